"""Training and evaluation of one experiment, from its config to its workdir.

Once trained, `prior.safetensors` in the workdir holds all that was learned: the
network, its BatchNorm statistics, learned inner rates, and the feature map of a frozen
trunk.
"""

import dataclasses
import functools
import os
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int, Key, PyTree

from jiaa import evaluate as protocols
from jiaa import losses
from jiaa.cli import build
from jiaa.data import Dataset, loader
from jiaa.data import store as data_store
from jiaa.evaluate import results as evaluation_results
from jiaa.meta import bilevel
from jiaa.meta.sequential import SequentialStep
from jiaa.models import feature_map, trunk, variables
from jiaa.models.feature_map import FeatureMap
from jiaa.models.generic import Aesthetic
from jiaa.models.views import FeatureView, View
from jiaa.train.loop import fit
from jiaa.train.ridge import fit_ridge
from jiaa.train.state import create_train_state
from jiaa.train.steps import CrowdScores, train_step
from jiaa.train.workdir import Workdir
from jiaa.types import ImageStore, TrainState

PRIOR_FILE = "prior.safetensors"


@dataclasses.dataclass(frozen=True, eq=False)
class Learned:
    """A whole network's variables, and the map between its trunk and its head."""

    variables: PyTree
    feature_map: FeatureMap | None = None


@dataclasses.dataclass(frozen=True, eq=False)
class Problem:
    """What learners take: the shared prior, and images or features and how they enter.

    With a frozen trunk the content is its features, and the prior is the head alone.
    """

    prior: PyTree
    store: ImageStore
    method: str
    view: View


def train(
    config: build.Config, workdir: str | os.PathLike[str], *, progress: bool = True
) -> Path:
    """Trains what the config says, or goes on where a killed run stopped.

    A config without meta-training steps trains the generic prior (BA-PIAA) in
    `workdir`. With them, the prior is that of the run `config.prior`, or is trained in
    `workdir`/generic first. Returns the path of what was learned.
    """
    with _opened(config, workdir) as opened:
        target = Path(workdir) / PRIOR_FILE
        if target.is_file():
            return target  # finished; another config would have been refused
        dataset = build.dataset(config)
        network = build.model(config)
        if not config.meta.steps:
            learned = _train_generic(config, network, dataset, opened, progress)
        else:
            start = _prior_run(config, network, dataset, opened, progress)
            learned = _meta_train(config, network, dataset, start, opened, progress)
        save(learned, target)
    return target


def evaluate(
    config: build.Config, workdir: str | os.PathLike[str], *, progress: bool = True
) -> Path:
    """Measures what was learned in `workdir` on all test users.

    Writes results.csv and summary.json there and returns the latter's path.
    """
    dataset = build.dataset(config)
    tasks = dataset.split("test")
    network = build.model(config)
    ids = np.unique(np.asarray(tasks.image_ids)[np.asarray(tasks.mask)])
    problem = make_problem(
        config, network, dataset, load(workdir), image_ids=ids, progress=progress
    )
    loop = build.inner_loop(config, network, method=problem.method, view=problem.view)
    section = build.plain(config.evaluate)
    measured = protocols.personalization(
        build.personalizer(config, loop, width=problem.store.content.shape[-1]),
        problem.prior,
        tasks,
        problem.store,
        names=dataset.workers,
        progress=progress,
        key=jax.random.key(section.pop("seed")),
        **section,
    )
    return evaluation_results.write(
        measured,
        workdir,
        method=config.method,
        dataset=config.dataset,
        names=dataset.workers,
    )


def _opened(config: build.Config, folder: str | os.PathLike[str]) -> Workdir:
    # Files may have moved since the run began; what is in them may not have changed.
    paths = ("data.root", "data.cache_dir", "model.weights", "prior")
    return Workdir(folder, config=build.plain(config), may_differ=paths)


def save(learned: Learned, path: str | os.PathLike[str]) -> None:
    """Writes `path`, which `load` reads."""
    tree = dict(learned.variables)
    if learned.feature_map is not None:
        tree["map"] = feature_map.to_arrays(learned.feature_map)
    variables.save_variables(path, tree)


def load(workdir: str | os.PathLike[str]) -> Learned:
    """What was learned in a workdir.

    Raises:
      FileNotFoundError: its training has not finished.
    """
    path = Path(workdir) / PRIOR_FILE
    if not path.is_file():
        raise FileNotFoundError(
            f"{path} does not exist: no training has finished in this workdir. Run "
            "scripts/train.py with the same --config and --workdir first."
        )
    tree = variables.load_variables(path)
    arrays = tree.pop("map", None)
    fitted = None if arrays is None else feature_map.from_arrays(arrays)
    return Learned({"batch_stats": {}, **tree}, fitted)


def _prior_run(
    config: build.Config,
    network: Aesthetic,
    dataset: Dataset,
    workdir: Workdir,
    progress: bool,
) -> Learned:
    """The prior that meta-training starts from."""
    if config.prior:
        return load(config.prior)
    if not config.generic.steps:
        return _fresh(config, network, dataset, progress=progress)
    folder = Path(workdir) / "generic"
    with _opened(config, folder) as opened:
        learned = _train_generic(config, network, dataset, opened, progress)
        save(learned, folder / PRIOR_FILE)
    return learned


def _fresh(
    config: build.Config, network: Aesthetic, dataset: Dataset, *, progress: bool
) -> Learned:
    """Initial variables; those of a trunk that stays frozen with its feature map."""
    whole = build.initial_variables(config, network, key=jax.random.key(config.seed))
    if config.generic.steps and config.generic.trains == "all":
        return Learned(whole)
    return _mapped(config, network, dataset, whole, progress=progress)


def _mapped(config, network, dataset: Dataset, whole: PyTree, *, progress) -> Learned:
    """`whole` with a feature map fitted to the trunk, and a new head for that."""
    section = config.trunk
    if not section.frozen or (section.map == "none" and not section.taps):
        return Learned(whole)
    ids = dataset.generic_ids()
    features, widths = _trunk_features(
        config, network, dataset, whole, image_ids=ids, progress=progress
    )
    options = build.plain(section.map_options)
    fitted = feature_map.fit_feature_map(
        features[ids], widths=widths, kind=section.map, **options
    )
    width = sum(widths) if fitted is None else fitted(features[ids[:1]]).shape[1]
    key = jax.random.fold_in(jax.random.key(config.seed), 1)
    head = build.head_variables(network, width=width, key=key)
    merged = {name: {**whole[name], **head[name]} for name in ("params", "batch_stats")}
    return Learned(merged, fitted)


def _trunk_features(config, network, dataset, whole, *, image_ids, progress):
    """`trunk.trunk_features` as the config says, kept in `config.data.cache_dir`."""
    settings = build.plain(config.trunk)
    compute = functools.partial(
        trunk.trunk_features,
        dataset.store,
        model=network,
        variables={
            name: {"backbone": x.get("backbone", {})} for name, x in whole.items()
        },
        views=build.trunk_views(config),
        taps=settings["taps"],
        five_crops=settings["five_crops"],
        image_ids=image_ids,
        flip=settings["flip"],
        progress=progress,
    )
    folder = config.data.get("cache_dir")
    return trunk.cached(compute, folder) if folder else compute()


def make_problem(
    config: build.Config,
    network: Aesthetic,
    dataset: Dataset,
    learned: Learned,
    *,
    image_ids: Int[np.ndarray, " image"],
    progress: bool,
) -> Problem:
    """What learners take; features of `image_ids` if the trunk is frozen."""
    whole = learned.variables
    if not config.trunk.frozen:
        store = data_store.place(dataset.store)
        return Problem(whole, store, "__call__", build.image_view(config))
    features, _ = _trunk_features(
        config, network, dataset, whole, image_ids=image_ids, progress=progress
    )
    if learned.feature_map is not None:
        features = learned.feature_map(features)
    prior = {
        name: {part: tree for part, tree in whole[name].items() if part != "backbone"}
        for name in ("params", "batch_stats")
    }
    store = ImageStore(features=jnp.asarray(features))
    return Problem(jax.tree.map(jnp.asarray, prior), store, "score", FeatureView())


def _train_generic(
    config: build.Config,
    network: Aesthetic,
    dataset: Dataset,
    workdir: Workdir,
    progress: bool,
) -> Learned:
    """BA-PIAA's prior: regression of each training image's mean score."""
    section = config.generic
    ids = dataset.generic_ids()
    learned = _fresh(config, network, dataset, progress=progress)
    # A trunk that is frozen later may still be trained here, from images.
    here = config.copy_and_resolve_references()
    with here.unlocked():
        here.trunk.frozen = section.trains != "all"
    problem = make_problem(
        here, network, dataset, learned, image_ids=ids, progress=progress
    )
    if section.trains == "ridge":
        return _solve_generic(config, dataset, learned, problem)
    optimizer = build.optimizer(section, num_steps=section.steps)
    step = functools.partial(
        train_step,
        crowd=CrowdScores(ids, dataset.mean_scores[ids], _weights(section, dataset)),
        store=problem.store,
        apply=functools.partial(network.apply, method=problem.method),
        prepare=problem.view.learning,
        loss=losses.LOSSES[section.loss],
        optimizer=optimizer,
    )
    key = jax.random.key(config.seed)
    state = fit(
        create_train_state(problem.prior, optimizer=optimizer, key=key),
        step,
        loader.index_batches(len(ids), batch_size=section.batch_size, seed=config.seed),
        num_steps=section.steps,
        workdir=workdir,
        save_every=section.save_every,
        log_every=section.log_every,
        name="generic prior",
        progress=progress,
    )
    learned = _with(learned, state)
    if section.trains != "all" or not section.refit:
        return learned
    learned = _mapped(config, network, dataset, learned.variables, progress=progress)
    problem = make_problem(
        config, network, dataset, learned, image_ids=ids, progress=progress
    )
    return _solve_generic(config, dataset, learned, problem)


def _solve_generic(
    config: build.Config, dataset: Dataset, learned: Learned, problem: Problem
) -> Learned:
    """The same regression for a linear head with weight decay, in closed form."""
    ids, spread = dataset.generic_ids(), config.model.head_options.spread
    head = problem.prior["params"]["head"]
    slow, bias = fit_ridge(
        np.asarray(problem.store.features)[ids, : head["slow"].shape[0]],
        dataset.mean_scores[ids] / spread,
        strength=config.generic.strength,
    )
    whole = learned.variables
    head = {**head, "slow": slow, "bias": np.float32(bias * spread)}
    params = {**whole["params"], "head": head}
    return Learned({**whole, "params": params}, learned.feature_map)


def _weights(section, dataset: Dataset) -> np.ndarray | None:
    """An image's weight: the number of its raters, where the config asks for it."""
    if not section.weight_by_raters:
        return None
    raters = dataset.raters[dataset.generic_ids()]
    return (raters / raters.mean()).astype(np.float32)


def _meta_train(
    config: build.Config,
    network: Aesthetic,
    dataset: Dataset,
    start: Learned,
    workdir: Workdir,
    progress: bool,
) -> Learned:
    """BLG-PIAA (or another outer update) over the training users."""
    section = config.meta
    tasks = dataset.split("train")
    problem = make_problem(
        config,
        network,
        dataset,
        start,
        image_ids=dataset.generic_ids(),
        progress=progress,
    )
    loop = build.inner_loop(config, network, method=problem.method, view=problem.view)
    width = problem.store.content.shape[-1]
    params = build.learnable(config, loop, problem.prior["params"], width=width)
    prior = {**problem.prior, "params": params}
    step = build.meta_step(config, loop, users=len(tasks), width=width)
    dispatch = section.iterations_per_dispatch
    compiled = jax.jit(bilevel.several(step), donate_argnums=0)
    tasks = jax.tree.map(jnp.asarray, tasks)

    def train_step(state, users):
        rows = jnp.asarray(users).reshape(dispatch, section.users_per_step)
        return compiled(state, rows, tasks, problem.store)

    key = jax.random.key(config.seed)
    state = fit(
        _meta_state(step, prior, key),
        train_step,
        loader.index_batches(
            len(tasks),
            batch_size=section.users_per_step * dispatch,
            seed=config.seed,
        ),
        num_steps=section.steps,
        steps_per_call=dispatch,
        workdir=workdir,
        save_every=section.save_every,
        log_every=section.log_every,
        name=f"meta-train {config.method}",
        progress=progress,
    )
    if isinstance(step, SequentialStep) and section.keep == "last_user":
        last = step.last_user(state)
        state = state.replace(params=last["params"], batch_stats=last["batch_stats"])
    return _with(start, state)


def _meta_state(step, prior: PyTree, key: Key[Array, ""]) -> TrainState:
    if isinstance(step, SequentialStep):
        return TrainState(
            params=prior["params"],
            batch_stats=prior["batch_stats"],
            opt_state=step.init(prior["params"]),
            step=jnp.zeros((), jnp.int32),
            key=key,
        )
    return create_train_state(prior, optimizer=step.optimizer, key=key)


def _with(learned: Learned, state: TrainState) -> Learned:
    """`learned` with what the state has trained in the place of what it was."""
    old = learned.variables
    merged = {
        "params": {**old["params"], **state.params},
        "batch_stats": {**old["batch_stats"], **state.batch_stats},
    }
    return Learned(merged, learned.feature_map)
