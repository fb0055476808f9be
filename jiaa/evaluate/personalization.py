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
from jiaa.meta import task_axis
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
    strategy: task_axis.Strategy = "vmap",
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
      chunk: users per call; by default as many as `memory_limit` allows.
      memory_limit: bytes of each device, where no chunk is given; by default half of
        the device's memory, or 4 GiB on a CPU.
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
    size = chunk or devices * users_per_chunk(
        tasks, store, personalizer=personalizer, prior=prior, memory_limit=memory_limit
    )
    plan = _chunks(tasks, size, devices=devices)
    measure = functools.partial(
        _measure,
        personalizer=personalizer,
        metrics=tuple(metrics.items()),
        strategy=strategy,
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


@functools.partial(
    jax.jit,
    static_argnames=(
        "personalizer",
        "shots",
        "metrics",
        "strategy",
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
    mesh: Mesh | None,
    keep_scores: bool,
):
    """Metrics (and scores) of a chunk of users x repeats; one compilation per shots."""

    def all_users(shared, tasks):
        prior, store, kept_ids, repeats, key = shared
        one_split = functools.partial(
            _one_split, personalizer, prior, store, kept_ids, metrics, key, shots
        )

        def one_user(task):
            generic = _generic_scores(personalizer, prior, task, store, kept_ids)
            return jax.lax.map(lambda repeat: one_split(task, generic, repeat), repeats)

        run = task_axis.over_users(one_user, strategy=strategy)
        measured, scores, finite = run(tasks)
        return measured, (scores if keep_scores else None), finite

    shared = (prior, store, kept_ids, repeats, key)
    return train_mesh.shard_users(all_users, mesh, user_args=[1])(shared, tasks)


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


def users_per_chunk(
    tasks: UserTasks,
    store: ImageStore,
    *,
    personalizer: Personalizer,
    prior: PyTree,
    memory_limit: int | None = None,
) -> int:
    """How many users fit in `memory_limit` bytes at once, by a rough upper estimate.

    A user costs the adapted state a few times over (gradients, moments, the step's
    copy) and activations, taken as 64 times the float inputs for images and 8 for
    features.
    """
    if memory_limit is None:
        memory_limit = _default_memory()
    adapted = jax.eval_shape(personalizer.init, prior)
    state = sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(adapted))
    one_image = int(np.prod(store.content.shape[1:])) * 4
    factor = 64 if store.images is not None else 8
    user = 4 * state + factor * one_image * tasks.mask.shape[-1]
    return max(1, min(len(tasks), memory_limit // user))


def _default_memory() -> int:
    stats = jax.local_devices()[0].memory_stats() or {}
    return stats.get("bytes_limit", 8 * 2**30) // 2
