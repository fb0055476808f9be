"""Outer updates: what one user's learning says about the prior, summed over users.

BLG-PIAA (slides, "Key idea" and the numbered listing; a Reptile-like first-order
update):

    theta_i' = Adam(L, theta)     S steps on user i's support set   (line 7)
    theta_i  = Adam(L, theta_i')  S steps on user i's query set     (line 9)
    theta   <- theta - beta * sum_i (theta - theta_i)               (line 11)

`BLG` is that listing (`parallel` mode); `sequential.py` is the authors' released
program, step for step. `MAML` (Finn et al., 2017) differentiates the query loss after
adaptation: with only the head adapting it is ANIL (Raghu et al., 2020), with a
closed-form learner R2-D2 (Bertinetto et al., 2019). A new outer update is one more
callable with the signature of `BLG.__call__`; `notebooks/meta_learning.ipynb` writes
one.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import Mesh
from jaxtyping import Array, Float, Int, Key, PyTree

from jiaa import losses
from jiaa.data import tasks as data_tasks
from jiaa.meta import inner, task_axis
from jiaa.train import mesh as train_mesh
from jiaa.train.state import create_train_state
from jiaa.types import Episode, ImageStore, Personalizer, TrainState, UserTasks


class Direction(NamedTuple):
    """One user's say.

    Attributes:
      gradient: a tree like `prior["params"]`, to walk against.
      metrics: name -> what to log; the mean over users is reported. A name that begins
        with "loss" stops the training when it is not finite.
      batch_stats: a tree like `prior["batch_stats"]`, whose mean over users becomes the
        prior's; by default nothing, and the prior keeps its own.
    """

    gradient: PyTree
    metrics: dict[str, Float[Array, ""]]
    batch_stats: PyTree = ()


OuterUpdate = Callable[..., Direction]
"""`update(prior, episode, store, *, key) -> Direction`, for one user."""


@dataclasses.dataclass(frozen=True)
class BLG:
    """theta - theta_i: `steps` steps on the support set, then as many on the query set.

    Lines 7 to 11 of the slides' listing. One optimizer, fresh for the user, serves both
    levels; no gradient passes through.

    Attributes:
      loop: the inner loop of both levels.
      steps: S, on each level.
      query_loop: where the second level has its own: it may move other parameters (say,
        the layers that all users share) than the first, which starts them off.
    """

    loop: inner.InnerLoop
    steps: int = 5
    query_loop: inner.InnerLoop | None = None

    def __call__(
        self, prior: PyTree, episode: Episode, store: ImageStore, *, key: Key[Array, ""]
    ) -> Direction:
        """The direction of one user's episode; what does not adapt has zeros."""
        walked = two_levels(
            self.loop,
            prior,
            self.loop.begin(prior, episode.support),
            episode,
            store,
            steps=self.steps,
            key=key,
            query_loop=self.query_loop,
        )
        theta = inner.model_params(prior)
        moved = jax.tree.map(jnp.subtract, theta, walked.theta)
        gradient = {**jax.tree.map(jnp.zeros_like, prior["params"]), **moved}
        last_loop = self.query_loop or self.loop
        stats = inner.carried_statistics(last_loop, walked.state)
        return Direction(gradient, walked.metrics, stats)


@dataclasses.dataclass(frozen=True)
class MAML:
    """The gradient of the query loss after adaptation, through `learner.adapt`.

    Finn et al., ICML 2017, Algorithm 2, line 10, for one task.

    Attributes:
      learner: any differentiable `Personalizer`; whether the gradient is of first or of
        second order is the learner's matter (`InnerLoop.second_order`).
      loss: of the query set; a name in `losses.LOSSES` or a function, as in
        `InnerLoop`. The mean over the query images counts.
    """

    learner: Personalizer
    loss: str | Callable[..., Float[Array, " image"]] = "mse"

    def __call__(
        self, prior: PyTree, episode: Episode, store: ImageStore, *, key: Key[Array, ""]
    ) -> Direction:
        """The direction of one user's episode."""

        def query_loss(params):
            shared = {**prior, "params": params}
            adapted = self.learner.adapt(shared, episode, store, key=key)
            predicted = self.learner.predict(shared, adapted, episode.query, store)
            mask = jnp.asarray(episode.query.mask)
            scores = jnp.where(mask, episode.query.scores, 0.0)
            per_image = inner.loss_function(self.loss)(predicted, scores, mask)
            stats = inner.carried_statistics(self.learner, adapted)
            return losses.masked_mean(per_image, mask), stats

        (loss, stats), gradient = jax.value_and_grad(query_loss, has_aux=True)(
            prior["params"]
        )
        return Direction(gradient, {"loss": loss}, stats)


class Walked(NamedTuple):
    """Where two levels of inner steps led.

    Attributes:
      theta: the whole network's parameters.
      state: of the loop that walked last.
      metrics: "loss", the mean over all steps; "loss_support" and "loss_query", before
        each level's first step.
    """

    theta: PyTree
    state: dict
    metrics: dict[str, Float[Array, ""]]


def two_levels(
    loop: inner.InnerLoop,
    prior: PyTree,
    state: dict,
    episode: Episode,
    store: ImageStore,
    *,
    steps: int,
    key: Key[Array, ""],
    rate_scale: Float[Array, ""] | float = 1.0,
    query_loop: inner.InnerLoop | None = None,
) -> Walked:
    """`steps` steps on the support set from `state`, as many on the query set then.

    Lines 7 and 9 of the slides' listing, for one user. With 0 steps nothing moves, and
    the losses are those where it stands. `rate_scale` multiplies the inner rates.
    """
    first_key, second_key = (jax.random.fold_in(key, level) for level in range(2))
    options = {"steps": steps, "rate_scale": rate_scale}
    state, first = _level(
        loop, prior, state, episode.support, store, key=first_key, **options
    )
    if query_loop is not None:
        params = {**prior["params"], **loop.whole(prior, state)}
        prior = {"params": params, "batch_stats": state["batch_stats"]}
        state = {**query_loop.start(prior), "scale": state["scale"]}
    last_loop = query_loop or loop
    state, second = _level(
        last_loop, prior, state, episode.query, store, key=second_key, **options
    )
    metrics = {
        "loss": (jnp.mean(first) + jnp.mean(second)) / 2,
        "loss_support": first[0],
        "loss_query": second[0],
    }
    return Walked(last_loop.whole(prior, state), state, metrics)


def _level(loop, prior, state, examples, store, *, steps, key, rate_scale):
    """The state after `steps` steps, and their losses; at least the first one's."""
    if steps:
        options = {"steps": steps, "key": key, "rate_scale": rate_scale}
        return loop.run(prior, state, examples, store, **options)
    return state, loop.first_loss(prior, state, examples, store, key=key)[None]


@dataclasses.dataclass(frozen=True)
class Sampling:
    """How a training user's ratings become an episode (released program's defaults).

    A user with fewer than `under` ratings (by default, than `support + query`) gives
    `fraction` of them to the support set, and to the query set as many as stand to the
    support as `query` to `support`.

    Attributes:
      support, query: images a side of all other users; 1 or more.
      fraction: in (0, 1).
      under: at least `support`, so that these others have enough.

    Raises:
      ValueError: a number outside its range.
    """

    support: int = 80
    query: int = 20
    fraction: float = 0.8
    under: int | None = None

    def __post_init__(self):
        """Refuses what would give empty sides."""
        enough = self.under is None or self.under >= self.support
        if min(self.support, self.query) < 1 or not 0 < self.fraction < 1 or not enough:
            raise ValueError(
                f"{self}; expected support and query of 1 or more, a fraction between "
                "0 and 1, and under of None or at least the support"
            )

    def __call__(self, task: UserTasks, *, key: Key[Array, ""]) -> Episode:
        """One user's episode: support and query share no image.

        Its sides are masked and as long for every user, so that users can be batched.
        """
        under = self.under or self.support + self.query
        most = max(self.support, int(self.fraction * (under - 1)))
        most_query = max(self.query, -(-most * self.query // self.support))
        task = _pad_ratings(task, most + most_query + 1)
        drawn = data_tasks.sample_episode(
            task, shots=most + most_query, key=key
        ).support
        count = jnp.sum(task.mask)
        few = count < under
        num_support = jnp.where(few, jnp.floor(self.fraction * count), self.support)
        num_support = num_support.astype(int)
        num_query = jnp.where(
            few, jnp.ceil(num_support * self.query / self.support), self.query
        ).astype(int)

        def cut(start, number, width):
            rows = jax.tree.map(
                lambda leaf: jax.lax.dynamic_slice_in_dim(leaf, start, width), drawn
            )
            real = rows.mask & (jnp.arange(width) < number)
            return dataclasses.replace(rows, mask=real)

        return Episode(
            user_id=task.user_id,
            support=cut(0, num_support, most),
            query=cut(num_support, num_query, most_query),
        )


RELEASED_SAMPLING = Sampling(under=110)


def iteration_episode(
    sampling: Callable[..., Episode],
    task: UserTasks,
    *,
    step: Int[Array | np.ndarray, ""] | int,
    key: Key[Array, ""],
) -> tuple[Episode, Key[Array, ""]]:
    """One user's episode in iteration `step`, and the key of what is drawn from there.

    Of the run's key, the step and the user alone.
    """
    key = data_tasks.episode_key(key, repeat=step, user_id=task.user_id)
    episode = sampling(task, key=jax.random.fold_in(key, 0))
    return episode, jax.random.fold_in(key, 1)


def _pad_ratings(task: UserTasks, length: int) -> UserTasks:
    missing = max(0, length - task.mask.shape[0])

    def pad(leaf):
        return jnp.pad(leaf, ((0, missing),) + ((0, 0),) * (leaf.ndim - 1))

    return UserTasks(
        user_id=task.user_id,
        image_ids=pad(task.image_ids),
        scores=pad(task.scores),
        mask=pad(task.mask),
        side=jax.tree.map(pad, task.side),
    )


@dataclasses.dataclass(frozen=True)
class MetaStep:
    """One meta-iteration: k users' directions, summed, through the outer optimizer.

    Attributes:
      outer: an outer update (`BLG`, `MAML`, or a callable like them).
      optimizer: the outer optimizer; `optax.sgd(beta)` gives the slides' update, beta =
        1/k.
      sampling: how a user's ratings become an episode.
      strategy, chunk: how the user axis is run on each device (`task_axis`).
      mesh: devices to spread the users over, any number of users over any mesh
        (`train.mesh`): one all-reduce an iteration, none within a user's learning.
    """

    outer: OuterUpdate
    optimizer: optax.GradientTransformation
    sampling: Sampling = RELEASED_SAMPLING
    strategy: task_axis.Strategy = "vmap"
    chunk: int = 1
    mesh: Mesh | None = None

    def init_state(self, prior: PyTree, *, key: Key[Array, ""]) -> TrainState:
        """The state before the first iteration, in buffers of its own."""
        state = create_train_state(prior, optimizer=self.optimizer, key=key)
        return train_mesh.replicate(state, self.mesh)

    def __call__(
        self,
        state: TrainState,
        users: Int[Array, " user"],
        tasks: UserTasks,
        store: ImageStore,
    ) -> tuple[TrainState, dict[str, Float[Array, ""]]]:
        """Theta <- theta - beta * sum_i (theta - theta_i): listing, lines 4 to 11.

        Args:
          state: the prior, the outer optimizer's state, the iteration and the key.
          users: the k users' rows of `tasks`; one user may stand there twice.
          tasks: training users' ratings; `image_ids` are rows of `store`.
          store: images or features.

        Returns:
          The next state, and the users' mean metrics.
        """
        total = self._sum_of_directions(state, tasks[users], store)
        mean = functools.partial(jax.tree.map, lambda leaf: leaf / users.shape[0])
        updates, opt_state = self.optimizer.update(
            total.gradient, state.opt_state, state.params
        )
        carried = bool(jax.tree.leaves(total.batch_stats))
        state = state.replace(
            params=optax.apply_updates(state.params, updates),
            batch_stats=mean(total.batch_stats) if carried else state.batch_stats,
            opt_state=opt_state,
            step=state.step + 1,
        )
        return state, mean(total.metrics)

    def _sum_of_directions(self, state, tasks, store) -> Direction:
        """Every user's direction, added up leaf by leaf."""

        def of_users(prior, key, step, store, tasks, *, real):
            one_user = functools.partial(self._direction, prior, key, step, store)
            add_up = task_axis.sum_over_users(
                one_user, strategy=self.strategy, chunk=self.chunk
            )
            return add_up(tasks, real=real)

        run = train_mesh.shard_user_sum(of_users, self.mesh, user_args=[4])
        return run(state.prior, state.key, jnp.asarray(state.step), store, tasks)

    def _direction(self, prior, key, step, store, task) -> Direction:
        """One user's episode and what it says; replayable from key, step and user."""
        episode, key = iteration_episode(self.sampling, task, step=step, key=key)
        return self.outer(prior, episode, store, key=key)


def several(meta_step: Callable) -> Callable:
    """The step of `users: Int[Array, "iteration user"]`: several iterations a dispatch.

    Takes and returns what `meta_step` (`MetaStep`, `SequentialStep`) does, and never
    goes back to the host in between. Metrics are means over the iterations, so that a
    NaN in any of them shows.

        train_step = jax.jit(several(meta_step), donate_argnums=0)
    """

    def steps(state, users, tasks, store):
        def body(state, users):
            return meta_step(state, users, tasks, store)

        state, metrics = jax.lax.scan(body, state, users)
        return state, jax.tree.map(jnp.mean, metrics)

    return steps
