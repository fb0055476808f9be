"""A finished multi-task run for a person's own photographs: scores, and fusion."""

from typing import Any

import jax
import jax.numpy as jnp

from jiaa.cli import build
from jiaa.cli.encoders import identity_of, make_encoder
from jiaa.cli.multitask.network import make_network
from jiaa.cli.multitask.predict import changing
from jiaa.cli.multitask.users import fusion
from jiaa.cli.options import Config, ConfigError
from jiaa.cli.problem import Learned
from jiaa.data import default_scale
from jiaa.models.personality import AESTHETICS, OutputColumns
from jiaa.personalize.fusion import fusion_prior
from jiaa.serve.model import Model

FUSION = "fusion"  # how such a run learns a person


def fused_model(config: Config, learned: Learned, *, record: dict[str, Any]) -> Model:
    """The model of PA_IAA, MT_IAA or PDMTL: eq. 6 on the outputs of both tasks.

    The network stays as it is, its trunk's features are kept.

    Raises:
      ConfigError: the run has no second task, or its `config.fusion` adapts the whole
        network.
    """
    outputs = _outputs(learned)
    if config.fusion.kind == "released":
        raise ConfigError(
            "config.fusion.kind='released' adapts the whole network to each person; "
            "choose another: --set fusion.kind=ridge"
        )
    config.trunk.frozen = True  # from here on
    (second,) = outputs.keys() - {AESTHETICS}
    variables, beside = jax.tree.map(jnp.asarray, (learned.variables, learned.beside))
    network: Any = make_network(config, outputs)
    width = outputs[second]
    scale = build.plain(config.data).get("scale") or default_scale(config.data.name)
    ends = (float(scale[0]), float(scale[1]))
    return Model(
        personalizer=fusion(
            config,
            width=width,
            shots=config.fusion.batch_size,
            offset=config.fusion.offset,
        ),
        prior=fusion_prior(width),
        encoder=make_encoder(config, network, Learned(variables, beside=beside)),
        feature_map=OutputColumns(
            changing(config, Learned(variables)),
            jax.tree.map(jnp.asarray, learned.feature_map),
            network,
            second,
        ),
        prior_scale=ends,
        scale=ends,
        identity=identity_of(learned.variables, learned.feature_map, *learned.beside),
        record=record | {"method": config.method, "adapt": FUSION},
    )


def _outputs(learned: Learned) -> dict[str, int]:
    """Branch -> how many outputs it has, of two."""
    sizes = {
        name.removeprefix("branches_"): branch["output"]["kernel"].shape[1]
        for name, branch in learned.variables["params"].items()
        if name.startswith("branches_")
    }
    if AESTHETICS not in sizes or len(sizes) != 2:
        raise ConfigError(
            f"the run has the tasks {sorted(sizes)}; expected {AESTHETICS!r} and a "
            "second one, whose outputs fusion weighs"
        )
    return sizes
