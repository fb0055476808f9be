"""What was learned, on disk and in memory, and what learners take.

Once trained, `prior.safetensors` in the workdir holds all that was learned: the
network, its BatchNorm statistics, learned inner rates, and a frozen trunk's map.
"""

import dataclasses
import os
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Float, Int, PyTree
from safetensors import SafetensorError

from jiaa.cli import build, trunks
from jiaa.cli.options import Config, ConfigError
from jiaa.cli.settings import differences, finished_file, recorded_config
from jiaa.data import Dataset
from jiaa.data import store as data_store
from jiaa.data.feature_file import FeatureSpec
from jiaa.data.table import some
from jiaa.models import feature_map, generic, variables
from jiaa.models.feature_map import Map
from jiaa.models.generic import Aesthetic
from jiaa.models.views import FeatureView, View
from jiaa.train import mesh as train_mesh
from jiaa.train import processes
from jiaa.types import ImageStore

PRIOR_FILE = "prior.safetensors"


@dataclasses.dataclass(frozen=True, eq=False)
class Learned:
    """A whole network's variables, and the map between its trunk and its head.

    `beside` are the variables of the frozen encoders of `config.trunk.beside`; `reads`
    says which features it reads, where they come from a file and no trunk is there.
    """

    variables: PyTree
    feature_map: Map | None = None
    beside: tuple[PyTree, ...] = ()
    reads: FeatureSpec | None = None


@dataclasses.dataclass(frozen=True, eq=False)
class Problem:
    """What learners take: the shared prior, and images or features and how they enter.

    With a frozen trunk the content is its features, and the prior is the head alone.
    """

    prior: PyTree
    store: ImageStore
    method: str
    view: View


def save(learned: Learned, path: str | os.PathLike[str]) -> None:
    """Writes `path`, which `load` reads."""
    tree = dict(learned.variables)
    if learned.feature_map is not None:
        tree["map"] = feature_map.to_arrays(learned.feature_map)
    tree["beside"] = {str(i): other for i, other in enumerate(learned.beside)}
    if learned.reads is not None:
        encoder = np.frombuffer(learned.reads.encoder.encode(), np.uint8)
        widths = np.asarray(learned.reads.widths)
        tree["reads"] = {"encoder": encoder, "widths": widths}
    try:
        variables.save_variables(path, tree)
    except SafetensorError as error:  # an OSError of theirs: the disk is full, say
        raise OSError(
            f"{path} cannot be written: {error}. Make room, and run again"
        ) from error


def load(workdir: str | os.PathLike[str]) -> Learned:
    """What was learned in a workdir.

    Raises:
      FileNotFoundError: its training has not finished.
    """
    return read(finished_file(workdir, PRIOR_FILE))


def read(path: Path) -> Learned:
    """What `save` wrote.

    Raises:
      ValueError: the file is damaged.
    """
    tree = variables.load_variables(path)
    arrays = tree.pop("map", None)
    fitted = None if arrays is None else feature_map.from_arrays(arrays)
    others = tree.pop("beside", {})
    beside = tuple({"batch_stats": {}, **others[str(i)]} for i in range(len(others)))
    reads = None
    if (told := tree.pop("reads", None)) is not None:
        encoder = bytes(told["encoder"]).decode()
        reads = FeatureSpec(tuple(told["widths"].tolist()), encoder)
    return Learned({"batch_stats": {}, **tree}, fitted, beside, reads)


def borrowed(config: Config, network: Aesthetic) -> Learned:
    """The prior that `config.prior` names, which has to fit this experiment.

    A workdir's run must have had the same data, network and trunk. A file
    (`prior.safetensors` of any run) may come from other data, on purpose.

    Raises:
      FileNotFoundError: there is none; says what to do.
      ConfigError: it does not fit.
    """
    path = Path(config.prior)
    if path.is_file():
        learned = read(path)
    else:
        try:
            learned = load(path)
            recorded = recorded_config(path)
        except FileNotFoundError as error:
            raise FileNotFoundError(
                f"config.prior: {error} Or leave config.prior empty: the generic prior "
                "is then trained in WORKDIR/generic."
            ) from error
        wrong = differences(recorded, config, sections=("data", "model", "trunk"))
        if recorded.get("dataset") != config.dataset:
            wrong.insert(0, f"dataset is {recorded.get('dataset')!r} there")
        if wrong:
            raise ConfigError(
                f"config.prior={config.prior!r} is a run of another kind: "
                f"{'; '.join(wrong)}. What it learned from may be tested here. Give "
                "the same settings, or a prior of this experiment; to start there on "
                f"purpose, give the file: {path / PRIOR_FILE}"
            )
    _check_fits(config, network, learned)
    return learned


def _check_fits(config: Config, network: Aesthetic, learned: Learned) -> None:
    """Refuses a network of other parameters, or one without the map that is asked for.

    How wide a head is depends on the map: its names alone count.
    """
    wrong = []
    for name, expected in build.variable_shapes(network).items():
        found = _shapes(learned.variables.get(name, {}))
        for path, shape in _shapes(expected).items():
            there = found.get(path)
            if there is None:
                wrong.append(f"{path} is missing")
            elif path.startswith("backbone/") and there != shape:
                wrong.append(f"{path} is {there} there, {shape} here")
    others = [_shapes(x) for x in (learned.beside, trunks.beside_shapes(config))]
    if others[0] != others[1]:
        wrong.append("config.trunk.beside is not what it has")
    if (learned.reads is None) != (config.data.get("features") is None):
        wrong.append("config.data.features: one of both learns from photographs")
    maps = config.trunk.frozen and config.trunk.map != "none"
    if maps != (learned.feature_map is not None):
        wrong.append(f"config.trunk.map={config.trunk.map!r} is not what it has")
    if wrong:
        raise ConfigError(
            f"config.prior={config.prior!r} holds another network than config.model: "
            f"{some(wrong)}. Give the config.model and config.trunk that it was "
            "trained with, or another prior"
        )


def _shapes(tree: PyTree) -> dict[str, tuple[int, ...]]:
    return {
        jax.tree_util.keystr(path, simple=True, separator="/"): tuple(leaf.shape)
        for path, leaf in jax.tree_util.tree_leaves_with_path(tree)
    }


def fresh(
    config: Config, network: Aesthetic, dataset: Dataset, *, progress: bool
) -> Learned:
    """Initial variables; those of a trunk that stays frozen with its feature map."""
    whole = build.initial_variables(config, network, key=jax.random.key(config.seed))
    beside = trunks.initial_beside(config)
    learned = Learned(whole, beside=beside, reads=dataset.features)
    if config.generic.steps and config.generic.trains == "all":
        return learned
    return mapped(config, network, dataset, learned, progress=progress)


def mapped(
    config: Config, network, dataset: Dataset, learned: Learned, *, progress: bool
) -> Learned:
    """`learned` with a feature map fitted to the trunk, and a new head for that."""
    section, whole = config.trunk, learned.variables
    own = section.taps or learned.beside or learned.reads  # not what model.tap takes
    if not section.frozen or (section.map == "none" and not own):
        return learned
    ids = dataset.generic_ids()
    features, widths = features_of(
        config, network, dataset, learned, image_ids=ids, progress=progress
    )
    options = build.plain(section.map_options)
    fitted = feature_map.fit_feature_map(
        features[ids], widths=widths, kind=section.map, **options
    )
    width = sum(widths)
    if fitted is not None:
        width = jax.eval_shape(fitted, features[ids[:1]]).shape[1]
    key = jax.random.fold_in(jax.random.key(config.seed), 1)
    head = generic.initialise_head(network, width=width, key=key)
    merged = {name: {**whole[name], **head[name]} for name in ("params", "batch_stats")}
    return dataclasses.replace(learned, variables=merged, feature_map=fitted)


def features_of(
    config: Config,
    network: Any,
    dataset: Dataset,
    learned: Learned,
    *,
    image_ids: Int[np.ndarray, " needed"],
    progress: bool,
) -> tuple[Float[np.ndarray, "image feature"], tuple[int, ...]]:
    """A dataset's features, and the width of each block: a file's, or the trunk's.

    Raises:
      DataError: the file's are not those that were learned from.
    """
    if dataset.features is None:
        return compute_features(
            config,
            network,
            dataset.store,
            learned,
            image_ids=image_ids,
            progress=progress,
        )
    if learned.reads is not None:
        learned.reads.check(dataset.features, str(config.data.features))
    return np.asarray(dataset.store.content), dataset.features.widths


def compute_features(
    config: Config,
    network: Any,
    store: ImageStore,
    learned: Learned,
    *,
    image_ids: Int[np.ndarray, " needed"],
    progress: bool,
) -> tuple[Float[np.ndarray, "image feature"], tuple[int, ...]]:
    """The frozen trunk's features of a store, and the width of each of their blocks."""
    encoders = trunks.trunks(config, network, learned.variables, learned.beside)
    return trunks.compute_features(
        config, encoders, store, image_ids=image_ids, progress=progress
    )


def make_problem(
    config: Config,
    network: Aesthetic,
    dataset: Dataset,
    learned: Learned,
    *,
    image_ids: Int[np.ndarray, " image"],
    progress: bool,
    mesh: Mesh | None = None,
) -> Problem:
    """What learners take; features of `image_ids` if the trunk is frozen.

    The store lies whole on every device of the mesh; on one device without.
    """
    whole = learned.variables
    if not config.trunk.frozen:
        store = placed(dataset.store, mesh)
        prior = processes.from_first(whole)
        return Problem(prior, store, "__call__", build.image_view(config))
    features, _ = features_of(
        config, network, dataset, learned, image_ids=image_ids, progress=progress
    )
    if learned.feature_map is not None:
        features = learned.feature_map(features)
    prior, features = processes.from_first((head_of(whole), features))
    store = ImageStore(features=jnp.asarray(features))
    return Problem(
        jax.device_put(prior),  # unlike jnp.asarray, without a program for each shape
        train_mesh.replicate(store, mesh),
        "score",
        FeatureView(),
    )


def head_of(whole: PyTree) -> PyTree:
    """The prior behind a frozen trunk: all variables but the backbone's."""
    return {
        name: {part: tree for part, tree in whole[name].items() if part != "backbone"}
        for name in ("params", "batch_stats")
    }


def placed(store: ImageStore, mesh: Mesh | None) -> ImageStore:
    """The store on the devices if it fits there, else unchanged on the host."""
    if mesh is None:
        return data_store.place(store)
    fits = data_store.fits_on_device(store)
    return train_mesh.replicate(store, mesh) if processes.agreed(fits) else store
