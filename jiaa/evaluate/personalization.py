"""The protocol of PIAA: every user, several numbers of ratings, many random splits.

PA_IAA, Table V and the text before it (so are PAM's Table 4 and the slides' Table I):
the images that a user rated "are split into two sets, i.e., k images for model fine-
tuning and the remaining images for test", 50 times, with k = 10 and k = 100. The
coefficient is taken per user and split, averaged over splits, then over users. All
methods see the same splits.
"""

import dataclasses
import functools
import time
from collections.abc import Callable, Iterator, Mapping, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Array, Float, Int, Key, PyTree
from tqdm import tqdm

from jiaa import metrics as jiaa_metrics
from jiaa.data import store as data_store
from jiaa.data import tasks as data_tasks
from jiaa.meta import memory, task_axis
from jiaa.train import mesh as train_mesh
from jiaa.train import processes
from jiaa.types import Examples, ImageStore, Personalizer, UserTasks

Metric = Callable[..., jiaa_metrics.Measured]


@dataclasses.dataclass(frozen=True, eq=False)
class Results:
    """What was measured, nothing averaged; NaN where a coefficient does not exist.

    Attributes:
      user_id: the users, in the order of `values`' second axis.
      shots: numbers of support ratings, in the order of its first axis.
      repeat: which splits, in the order of its last axis.
      values: metric -> value; "generic_" + metric is the un-adapted prior's on the same
        query images.
      scores: number of shots -> predicted unit scores of the query images, in the order
        of the split and padded at the end; only on request.
      seconds: wall time of the whole call, compilation included.
    """

    user_id: Int[np.ndarray, " user"]
    shots: tuple[int, ...]
    repeat: Int[np.ndarray, " repeat"]
    values: dict[str, Float[np.ndarray, "shots user repeat"]]
    scores: dict[int, Float[np.ndarray, "user repeat query"]]
    seconds: float


def personalization(
    personalizer: Personalizer,
    prior: PyTree,
    tasks: UserTasks,
    store: ImageStore,
    *,
    shots: Sequence[int] = (10, 100),
    repeats: int | Sequence[int] = 50,
    metrics: Mapping[str, Metric] = jiaa_metrics.METRICS,
    strategy: task_axis.Strategy = "auto",
    chunk: int | None = None,
    memory_limit: int | None = None,
    mesh: Mesh | None = None,
    keep_scores: bool = False,
    progress: bool = True,
    names: Mapping[int, str] | None = None,
    key: Key[Array, ""],
) -> Results:
    """Measures a method on all users x shots x repeats.

    Args:
      personalizer: the method; static under jit.
      prior: what all users share.
      tasks: the test users' ratings; `image_ids` are rows of `store`.
      store: images or features, on the device or on the host.
      shots: numbers of support ratings, 1 or more; every user needs at least one more
        than each.
      repeats: how many random splits, or which of them (split r is the same one alone).
      metrics: name -> metric of (predicted, target, mask), in unit scores.
      strategy: how the users of a chunk are run (`task_axis`).
      chunk: users per call; by default as many as `memory_limit` allows, or as "auto"
        wants at once.
      memory_limit: bytes of each device that users may take at once; by default half of
        what is free (`memory.usable_bytes`).
      mesh: devices to spread the users of a chunk over, which then never talk to each
        other; any mesh (`train.mesh`). If it spans several processes, all of them call
        this with equal arguments, and all get the whole of the results.
      keep_scores: whether to return the predictions as well.
      progress: whether to show a progress bar.
      names: user id -> name, for errors.
      key: splits and minibatches derive from it, the repeat and the user id alone.

    Raises:
      ValueError: no repeats, or a number of shots that is not positive.
      DataError: a user has too few ratings.
      FloatingPointError: a user's adaptation gave scores that are not finite.
    """
    started = time.perf_counter()
    chosen = np.arange(repeats) if isinstance(repeats, int) else np.asarray(repeats)
    _check_numbers(tasks, shots=shots, repeats=chosen, names=names or {})
    devices = 1 if mesh is None else mesh.size
    method = {"personalizer": personalizer, "metrics": tuple(metrics.items())}
    strategy, inner, per_call = _user_axis(
        _user_bytes(prior, chosen, key, tasks, store, shots=max(shots), **method),
        strategy=strategy,
        users=-(-min(chunk or len(tasks), len(tasks)) // devices),
        usable=memory_limit or memory.usable_bytes(),
    )
    plan = _chunks(tasks, chunk or devices * per_call, devices=devices)
    measure = functools.partial(
        _measure,
        **method,
        strategy=strategy,
        inner_chunk=inner,
        mesh=mesh,
        keep_scores=keep_scores,
    )
    measured: dict[int, list] = {count: [] for count in shots}
    shared = train_mesh.replicate((prior, chosen, key), mesh)
    total = len(plan) * len(measured)
    with tqdm(total=total, desc="evaluate", unit="chunk", disable=not progress) as bar:
        for count in measured:
            for part, compact, kept in _parts(tasks, store, plan):
                placed = train_mesh.replicate((part, compact, kept), mesh)
                got = measure(*shared, *placed, shots=count)
                measured[count].append(processes.to_host(got))
                bar.update()
    return _gather(tasks, chosen, measured, started)


def _check_numbers(tasks, *, shots, repeats, names) -> None:
    """Refuses what cannot be measured, before anything is compiled."""
    if not repeats.size or not shots or min(shots) < 1:
        raise ValueError(
            f"shots={tuple(shots)}, {repeats.size} repeats; expected at least one "
            "number of shots, all of them positive, and at least one repeat"
        )
    for count in shots:
        data_tasks.check_shots(tasks, shots=count, names=names)


def _parts(
    tasks: UserTasks, store: ImageStore, plan: list[Int[np.ndarray, " u"]]
) -> Iterator[tuple[UserTasks, ImageStore, Int[np.ndarray, " image"]]]:
    """Each chunk's users, the images that they rated, and these images' ids."""
    rows = _compact_rows(tasks, plan)
    for users in plan:
        ids = np.asarray(tasks.image_ids)[users]
        compact, kept = data_store.compact(store, ids, pad_to=rows)
        yield tasks[users], compact, kept


def _gather(tasks, chosen, parts, started) -> Results:
    """Chunks' results joined, without the users that only filled the last chunk."""
    joined = {
        count: jax.tree.map(lambda *leaves: np.concatenate(leaves)[: len(tasks)], *part)
        for count, part in parts.items()
    }
    names = next(iter(joined.values()))[0]
    values = {
        name: np.stack(
            [
                np.where(measured[name].defined, measured[name].value, np.nan)
                for measured, _, _ in joined.values()
            ]
        )
        for name in names
    }
    for count, (_, _, finite) in joined.items():
        _check_finite(tasks, chosen, finite, shots=count)
    return Results(
        user_id=np.asarray(tasks.user_id),
        shots=tuple(joined),
        repeat=chosen,
        values=values,
        scores={
            count: scores
            for count, (_, scores, _) in joined.items()
            if scores is not None
        },
        seconds=time.perf_counter() - started,
    )


def _check_finite(tasks, chosen, finite, *, shots) -> None:
    """A diverged adaptation is an error: left out, it would flatter the method."""
    if finite.all():
        return
    user, repeat = np.argwhere(~finite)[0]
    raise FloatingPointError(
        f"{int((~finite).sum())} of {finite.size} adaptations to {shots} ratings gave "
        f"scores that are not finite; first user id {int(tasks.user_id[user])}, repeat "
        f"{int(chosen[repeat])}. Lower the inner learning rate or the number of steps."
    )


def _user_axis(
    user_bytes: int, *, strategy: task_axis.Strategy, users: int, usable: int
) -> tuple[task_axis.Strategy, int, int]:
    """(strategy, chunk of `task_axis`, a device's users a call), for `users` at most.

    What is chosen here is run in one call each: the host counts them, and shows it.
    """
    if strategy != "auto":
        return strategy, 1, task_axis.fitting(user_bytes, users, usable)
    chosen, size = task_axis.choose(user_bytes, users=users, usable=usable)
    return chosen, size, users if chosen == "vmap" else size


def _user_bytes(
    prior: PyTree,
    repeats: Int[np.ndarray, " repeat"],
    key: Key[Array, ""],
    tasks: UserTasks,
    store: ImageStore,
    *,
    shots: int,
    personalizer: Personalizer,
    metrics: tuple[tuple[str, Metric], ...],
) -> int:
    """What one user takes at once: the work (`memory.peak_bytes`) and their images."""

    def shape(leaf, *leading):
        dtype = jax.dtypes.canonicalize_dtype(leaf.dtype)
        return jax.ShapeDtypeStruct((*leading, *leaf.shape[1:]), dtype)

    most = tasks.mask.shape[-1]
    task, ids = jax.tree.map(shape, (tasks, tasks.image_ids))
    images = jax.tree.map(lambda leaf: shape(leaf, most), store)
    kept = jax.ShapeDtypeStruct((most,), ids.dtype)
    traced = _one_user.trace(
        (prior, images, kept, repeats, key),
        task,
        personalizer=personalizer,
        shots=shots,
        metrics=metrics,
    )
    (stored,) = jax.tree.leaves(images)
    return memory.peak_bytes(traced.jaxpr) + stored.size * stored.dtype.itemsize


@functools.partial(
    jax.jit,
    static_argnames=(
        "personalizer",
        "shots",
        "metrics",
        "strategy",
        "inner_chunk",
        "mesh",
        "keep_scores",
    ),
)
def _measure(
    prior: PyTree,
    repeats: Int[Array, " repeat"],
    key: Key[Array, ""],
    tasks: UserTasks,
    store: ImageStore,
    kept_ids: Int[Array, " image"],
    *,
    personalizer: Personalizer,
    shots: int,
    metrics: tuple[tuple[str, Metric], ...],
    strategy: task_axis.Strategy,
    inner_chunk: int,
    mesh: Mesh | None,
    keep_scores: bool,
):
    """Metrics (and scores) of a chunk of users x repeats; one compilation per shots."""

    def all_users(shared, tasks):
        one_user = functools.partial(
            _one_user,
            shared,
            personalizer=personalizer,
            shots=shots,
            metrics=metrics,
        )
        run = task_axis.over_users(one_user, strategy=strategy, chunk=inner_chunk)
        measured, scores, finite = run(tasks)
        return measured, (scores if keep_scores else None), finite

    shared = (prior, store, kept_ids, repeats, key)
    return train_mesh.shard_users(all_users, mesh, user_args=[1])(shared, tasks)


@functools.partial(jax.jit, static_argnames=("personalizer", "shots", "metrics"))
def _one_user(shared, task, *, personalizer, shots, metrics):
    """Metrics, scores and whether they are finite, for each repeat of one user."""
    prior, store, kept_ids, repeats, key = shared
    one_split = functools.partial(
        _one_split, personalizer, prior, store, kept_ids, metrics, key, shots
    )
    generic = _generic_scores(personalizer, prior, task, store, kept_ids)
    return jax.lax.map(lambda repeat: one_split(task, generic, repeat), repeats)


def _generic_scores(personalizer, prior, task, store, kept_ids):
    """The un-adapted prior's score for each row of the store that the user rated."""
    rows = data_store.remap(task.image_ids, kept_ids)
    query = Examples(rows, task.scores, task.mask, task.side)
    scores = personalizer.predict(prior, personalizer.init(prior), query, store)
    # Padding has row 0 as well: it must not overwrite the score of a real image 0.
    rows = jnp.where(task.mask, rows, len(store))
    return jnp.zeros(len(store), scores.dtype).at[rows].set(scores, mode="drop")


def _one_split(
    personalizer, prior, store, kept_ids, metrics, key, shots, task, generic, repeat
):
    """Metrics of one user's one split, and the scores of its query images."""
    split_key = data_tasks.episode_key(key, repeat=repeat, user_id=task.user_id)
    episode = data_tasks.sample_episode(
        task, shots=shots, key=jax.random.fold_in(split_key, 0)
    )
    episode = data_store.remap_episode(episode, kept_ids)
    adapted = personalizer.adapt(
        prior, episode, store, key=jax.random.fold_in(split_key, 1)
    )
    query = episode.query
    scores = personalizer.predict(prior, adapted, query, store)
    finite = jnp.all(jnp.isfinite(scores) | ~query.mask)
    measured = {}
    for prefix, predicted in (("", scores), ("generic_", generic[query.image_ids])):
        for name, metric in metrics:
            measured[prefix + name] = metric(predicted, query.scores, query.mask)
    return measured, scores, finite


def _chunks(tasks: UserTasks, size: int, devices: int) -> list[Int[np.ndarray, " u"]]:
    """Rows of each chunk's users; the last user fills up the last chunk."""
    size = min(size, len(tasks))
    size = -(-size // devices) * devices
    count = -(-len(tasks) // size)
    rows = np.minimum(np.arange(count * size), len(tasks) - 1)
    return list(rows.reshape(count, size))


def _compact_rows(tasks: UserTasks, plan: list[Int[np.ndarray, " u"]]) -> int:
    """Images of the chunk that has most: one shape then serves all chunks."""
    image_ids = np.asarray(tasks.image_ids)
    return max(len(np.unique(image_ids[users])) for users in plan)
