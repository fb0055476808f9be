"""A finished run, ready to adapt to users and to score images or single pixels."""

import dataclasses
import os
from collections.abc import Callable

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int

from jiaa.cli import build, learners
from jiaa.cli.options import Config, ConfigError
from jiaa.cli.problem import Learned, Problem, load, make_problem
from jiaa.cli.trunks import trunks
from jiaa.data import Dataset
from jiaa.types import Personalizer


@dataclasses.dataclass(frozen=True, eq=False)
class Finished:
    """What a workdir has learned, on a dataset.

    Attributes:
      config: of the run.
      problem: the prior, and the store that holds the images or their features.
      personalizer: adapts the prior to a user, as the evaluation does.
      content: differentiable; pixels in 0..255 [image height width 3] of the dataset's
        size -> what the store would hold of them.
    """

    config: Config
    problem: Problem
    personalizer: Personalizer
    content: Callable[[Array], Array]


def open_run(
    config: Config,
    workdir: str | os.PathLike[str],
    *,
    dataset: Dataset,
    image_ids: Int[np.ndarray, " image"],
    progress: bool = True,
) -> Finished:
    """The run of `config` in `workdir`; features are computed for `image_ids` alone.

    Raises:
      FileNotFoundError: its training has not finished.
    """
    network = build.model(config)
    learned = load(workdir)
    problem = make_problem(
        config, network, dataset, learned, image_ids=image_ids, progress=progress
    )
    loop = learners.inner_loop(
        config, network, method=problem.method, view=problem.view
    )
    width = problem.store.content.shape[-1]
    return Finished(
        config,
        problem,
        learners.personalizer(config, loop, width=width),
        _content(config, network, learned),
    )


def _content(config, network, learned: Learned) -> Callable[[Array], Array]:
    if not config.trunk.frozen:
        return lambda pixels: pixels
    if learned.reads is not None:
        return _no_pixels
    encoders = trunks(config, network, learned.variables, learned.beside)

    def features(pixels: Array) -> Array:
        blocks = [block for encoder in encoders for block in encoder(pixels)]
        joined = jnp.concatenate(blocks, axis=1)
        fitted = learned.feature_map
        return joined if fitted is None else fitted(joined)

    return features


def _no_pixels(pixels: Array) -> Array:
    raise ConfigError(
        f"pixels of shape {pixels.shape}: this run reads features from a file, and has "
        "no network that sees pixels; expected a run with a backbone"
    )
