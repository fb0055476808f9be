"""`jiaa.load`: a finished run, or an export of one, as a `jiaa.serve.Model`."""

import dataclasses
import functools
import json
import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import PyTree
from ml_collections import ConfigDict

from jiaa.cli import build, built_in, learners
from jiaa.cli.check_trunk import check_trunk
from jiaa.cli.encoders import identity_of, make_encoder
from jiaa.cli.multitask.serving import FUSION, fused_model
from jiaa.cli.options import WORDS, Config, ConfigError
from jiaa.cli.problem import PRIOR_FILE, Learned, head_of, read
from jiaa.cli.run import is_multitask
from jiaa.cli.settings import assign, recorded_config
from jiaa.data import default_scale
from jiaa.data.folder import check_scale
from jiaa.meta.inner import model_params
from jiaa.models.views import FeatureView
from jiaa.serve import taste
from jiaa.serve.encoder import Encoder
from jiaa.serve.export import WEIGHTS
from jiaa.serve.model import Model, Scale
from jiaa.train.workdir import CONFIG, read_record

logger = logging.getLogger(__name__)
ALIASES = {"pam": "nu_svr"}
OWN = "own"  # the run's own way
BLEND = "blend"
METHODS = (*WORDS["adapt.kind"], *ALIASES, FUSION, OWN)


def load(
    path: str | os.PathLike[str] | None = None,
    *,
    user: str | os.PathLike[str] | None = None,
    method: str | None = None,
    settings: Sequence[str] = (),
    scale: Scale | None = None,
    whole: bool | None = None,
) -> Model:
    """What a run has learned, ready to score photographs and to adapt to a person.

    Args:
      path: a run's workdir; a folder that `jiaa.export` wrote; or the .safetensors file
        in one of these. None: the built-in prior, which was learned from OASIS'
        photographs and needs the extra `weights`.
      user: a person's taste file (`Model.save_taste`, `jiaa personalize`), learned on
        this prior.
      method: how it adapts, one of `METHODS`; by default that of the taste file; else
        "blend", which finds out how much of the prior holds for a person, or where the
        whole network adapts "own", the run's. A run of several tasks adapts by
        "fusion", and no other run does.
      settings: "path=value" changes of the run's config, such as "adapt.strength=2".
      scale: (low, high) of the stars that are given and predicted; by default those of
        the taste file, or the scale that the run was trained on.
      whole: whether photographs stay pixels and the whole network may adapt, as in the
        run; by default if the run was so. False adapts the head alone, on features that
        are computed once. A taste file knows for itself.

    Raises:
      FileNotFoundError: there is no finished run; says what to do.
      ValueError: the run, the export, the taste, the scale or a setting is not of the
        right form.
    """
    if scale is not None:
        check_scale(scale)
    folder, weights = _located(built_in.FOLDER if path is None else path)
    config = recorded_config(folder)
    info = None if user is None else taste.read_info(user)
    assign(config, settings)
    check_trunk(config)
    method, whole = _chosen(config, method, info, whole)
    learned, record = read(weights), _record(folder, weights)
    learned = built_in.completed(config, learned)
    _check_reads(config, learned, weights)
    if method == FUSION:
        model = fused_model(config, learned, record=record)
    else:
        _adapt_by(config, method, whole)
        assign(config, settings)  # again: another method has options of its own
        _check_trunk(config, whole)
        model = _model(config, learned, record=record)
    _check_identity(record, model)
    if info is not None:
        assert user is not None
        model = taste.load(user, model)
    if scale is not None:
        model = model.replace(scale=(float(scale[0]), float(scale[1])))
    return model


def _check_identity(record: dict[str, Any], model: Model) -> None:
    """Warns of weights that are not those of the export's config and card.

    No error: another version may name its arrays otherwise, and hash them to another.
    """
    told = record.get("identity", model.identity)  # a run's config is written before
    if told != model.identity:
        logger.warning(
            "%s holds %s, but %s beside it was written for %s: if no other version of "
            "jiaa wrote them, they are not of one export; export the run again",
            record["source"],
            model.identity,
            CONFIG,
            told,
        )


def _check_reads(config: Config, learned: Learned, weights: Path) -> None:
    """Refuses weights of other networks than the config's, or of none."""
    count = len(config.trunk.get("beside", ()))
    if count != len(learned.beside):
        raise ConfigError(
            f"config.trunk.beside has {count} encoders, {weights} those of "
            f"{len(learned.beside)}. Both files have to come from one run"
        )
    if (learned.reads is None) != (config.model.backbone != build.NO_BACKBONE):
        raise ConfigError(
            f"config.model.backbone is {config.model.backbone!r} beside {weights}, "
            f"which reads {learned.reads or 'photographs'}. Both files have to come "
            "from one run"
        )


def _located(path: str | os.PathLike[str]) -> tuple[Path, Path]:
    """The folder with config.json, and the file with what was learned."""
    path = Path(path)
    names = (PRIOR_FILE, WEIGHTS)
    if path.is_file():
        if (path.parent / CONFIG).is_file():
            return path.parent, path
        raise FileNotFoundError(
            f"{path.parent / CONFIG} does not exist: the config beside {path.name} "
            "tells what network it is. Copy it there from the run"
        )
    for name in names:
        if (path / name).is_file() and (path / CONFIG).is_file():
            return path, path / name
    raise FileNotFoundError(
        f"{path} is neither a finished run nor an export: it has no {CONFIG} with "
        f"{' or '.join(names)}. Name the folder that was scripts/train.py's --workdir, "
        "after its training has finished"
    )


def _record(folder: Path, weights: Path) -> dict[str, Any]:
    """What config.json tells, where the weights lie, and the summary if any."""
    record = read_record(folder / CONFIG) | {"source": str(weights)}
    summary = folder / "summary.json"
    if summary.is_file():
        record["summary"] = json.loads(summary.read_text(encoding="utf-8"))
    return record


def _chosen(
    config: Config,
    method: str | None,
    info: taste.Info | None,
    whole: bool | None,
) -> tuple[str | None, bool | None]:
    """(method, whole) of this use of the run.

    Raises:
      ConfigError: a method that the taste was not learned by, or not of such a run.
    """
    method = ALIASES.get(method or "", method)
    if info is not None:
        if method not in (None, info.method):
            raise ConfigError(
                f"method={method!r}, but the taste was learned by {info.method!r}; "
                "leave the method out, or learn the taste again"
            )
        method, whole = info.method, info.whole
    if is_multitask(config):
        if method not in (None, FUSION):
            raise ConfigError(
                f"method={method!r}, but the run has several tasks, whose outputs are "
                f"weighed for each person; expected {FUSION!r}, or leave it out"
            )
        method = FUSION
    elif method == FUSION:
        raise ConfigError(
            f"method={method!r}, but the run has one task; expected a run of two, such "
            "as that of configs/pa_iaa/oasis_squeezenet.py. Or choose another method"
        )
    return method, whole


def _adapt_by(config: Config, method: str | None, whole: bool | None) -> None:
    """Sets the method, and whether the trunk is frozen, for this use of the run."""
    if whole and config.trunk.frozen:
        raise ConfigError("whole=True, but the run froze its trunk; leave it out")
    if whole is False and not config.trunk.frozen:
        config.trunk.frozen = True
        config.inner.adapts = "all"  # of what is left: the head
    if method is None and config.trunk.frozen:
        method = BLEND
    if method not in (None, OWN, config.adapt.kind):
        config.adapt.kind = method
        config.adapt.options = ConfigDict()
        config.adapt.learned = False  # a strength that another method has learned


def _check_trunk(config: Config, whole: bool | None) -> None:
    """Refuses the whole network where only a head can adapt."""
    if config.trunk.frozen or (whole is not False and config.adapt.kind == "finetune"):
        return
    told = "only the head adapts" if whole is False else f"{config.adapt.kind!r} adapts"
    raise ConfigError(
        f"config.trunk.frozen=False, but here {told}, on features that are computed "
        "once; leave the setting out, or load the model with whole=False"
    )


def _model(config: Config, learned: Learned, *, record: dict[str, Any]) -> Model:
    network = build.model(config)
    frozen = config.trunk.frozen
    variables, beside = jax.tree.map(jnp.asarray, (learned.variables, learned.beside))
    prior = head_of(variables) if frozen else variables
    loop = learners.inner_loop(
        config,
        network,
        method="score" if frozen else "__call__",
        view=FeatureView() if frozen else build.image_view(config),
    )
    shown = dataclasses.replace(learned, variables=variables, beside=beside)
    encoder = make_encoder(config, network, shown)
    width = _width(config, network, encoder, learned, prior)
    personalizer = learners.personalizer(config, loop, width=width)
    ends = _scale(config)
    feature_map = learned.feature_map if frozen else None
    return Model(
        personalizer=personalizer,
        prior=prior,
        encoder=encoder,
        feature_map=jax.tree.map(jnp.asarray, feature_map),
        prior_scale=ends,
        scale=ends,
        identity=identity_of(learned.variables, learned.feature_map, *learned.beside),
        record=record | {"method": config.method, "adapt": config.adapt.kind},
    )


def _scale(config: Config) -> Scale:
    """(low, high) of the stars that the run was trained on."""
    scale = build.plain(config.data).get("scale") or default_scale(config.data.name)
    try:
        low, high = map(float, scale)
    except (TypeError, ValueError) as error:
        raise ConfigError(
            f"config.data.scale is {scale!r}; expected (low, high), (1, 5) for example"
        ) from error
    check_scale((low, high))
    return low, high


def _width(config, network, encoder: Encoder, learned: Learned, prior: PyTree) -> int:
    """How wide the store's features are; refuses a head of another width."""
    if not encoder.width:
        return 0
    variables = {**prior, "params": model_params(prior)}

    def head(features):
        if learned.feature_map is not None:
            features = learned.feature_map(features)
        network.apply(variables, features, method="score")
        return features

    try:
        shape = jax.ShapeDtypeStruct((1, encoder.width), jnp.float32)
        return jax.eval_shape(head, shape).shape[1]
    except Exception as error:  # Flax's own errors of shapes and names
        raise ConfigError(
            f"what was learned is not of this config's network: {error}. Both files "
            "have to come from one run"
        ) from error


open_model = functools.partial(load, whole=False)  # what the commands use
