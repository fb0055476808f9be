"""Outer updates: what one user's learning says about the prior, summed over users.

BLG-PIAA (slides, "Key idea" and the numbered listing; a Reptile-like first-order
update):

    theta_i' = Adam(L, theta)     S steps on user i's support set
    theta_i  = Adam(L, theta_i')  S steps on user i's query set
    theta   <- theta - beta * sum_i (theta - theta_i)

`BLG` is that listing (`parallel` mode); `sequential.py` is the authors' released
program, step for step. `MAML` (Finn et al., 2017) differentiates the query loss after
adaptation: with only the head adapting it is ANIL (Raghu et al., 2020), with a
closed-form learner R2-D2 (Bertinetto et al., 2019). A new outer update is one more
callable with the signature of `BLG.__call__`; `notebooks/meta_learning.ipynb` writes
one.
"""

import dataclasses
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int, Key, PyTree

from jiaa import losses
from jiaa.data import tasks as data_tasks
from jiaa.meta import inner, task_axis
from jiaa.types import Episode, ImageStore, Personalizer, TrainState, UserTasks


class Direction(NamedTuple):
    """One user's say: a tree like `prior["params"]` to walk against, and more."""

    gradient: PyTree
    batch_stats: PyTree
    metrics: dict[str, Float[Array, ""]]


OuterUpdate = Callable[..., Direction]


@dataclasses.dataclass(frozen=True)
class BLG:
    """theta - theta_i: `steps` steps on the support set, then as many on the query set.

    One optimizer, fresh for the user, serves both levels; no gradient passes through.
    With `query_loop`, the second level has its own: it may move other parameters (say,
    the layers that all users share) than the first, which starts them off.
    """

    loop: inner.InnerLoop
    steps: int = 5
    query_loop: inner.InnerLoop | None = None

    def __call__(
        self,
        prior: PyTree,
        episode: Episode,
        store: ImageStore,
        *,
        key: Key[Array, ""],
        rate_scale: Float[Array, ""] | float = 1.0,
    ) -> Direction:
        """The direction of one user's episode; `rate_scale` multiplies inner rates."""
        walked = two_levels(
            self.loop,
            prior,
            self.loop.begin(prior, episode.support),
            episode,
            store,
            steps=self.steps,
            key=key,
            rate_scale=rate_scale,
            query_loop=self.query_loop,
        )
        theta = inner.model_params(prior)
        moved = jax.tree.map(jnp.subtract, theta, walked.theta)
        gradient = {**jax.tree.map(jnp.zeros_like, prior["params"]), **moved}
        return Direction(gradient, walked.state["batch_stats"], walked.metrics)


@dataclasses.dataclass(frozen=True)
class MAML:
    """The gradient of the query loss after adaptation, through `learner.adapt`.

    `learner` is any differentiable `Personalizer`; whether the gradient is of first or
    of second order is the learner's matter (`InnerLoop.second_order`).
    """

    learner: Personalizer
    loss: str | Callable[..., Float[Array, " image"]] = "mse"

    def __call__(
        self,
        prior: PyTree,
        episode: Episode,
        store: ImageStore,
        *,
        key: Key[Array, ""],
        rate_scale: Float[Array, ""] | float = 1.0,
    ) -> Direction:
        """The direction of one user's episode; `rate_scale` multiplies the gradient."""

        def query_loss(params):
            shared = {**prior, "params": params}
            adapted = self.learner.adapt(shared, episode, store, key=key)
            predicted = self.learner.predict(shared, adapted, episode.query, store)
            mask = jnp.asarray(episode.query.mask)
            scores = jnp.where(mask, episode.query.scores, 0.0)
            per_image = inner.loss_function(self.loss)(predicted, scores, mask)
            has_statistics = isinstance(adapted, dict) and "batch_stats" in adapted
            stats = (adapted if has_statistics else prior)["batch_stats"]
            return losses.masked_mean(per_image, mask), stats

        (loss, stats), gradient = jax.value_and_grad(query_loss, has_aux=True)(
            prior["params"]
        )
        gradient = jax.tree.map(lambda leaf: rate_scale * leaf, gradient)
        return Direction(gradient, stats, {"loss": loss})


class Walked(NamedTuple):
    """Where two levels of inner steps led."""

    theta: PyTree  # the whole network's parameters
    state: dict  # of the loop that walked last
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
    """`steps` steps on the support set from `state`, as many on the query set then."""
    options = {"steps": steps, "rate_scale": rate_scale}
    keys = [jax.random.fold_in(key, level) for level in range(2)]
    state, first = loop.run(
        prior, state, episode.support, store, key=keys[0], **options
    )
    if query_loop is not None:
        params = {**prior["params"], **loop.whole(prior, state)}
        prior = {"params": params, "batch_stats": state["batch_stats"]}
        state = {**query_loop.start(prior), "scale": state["scale"]}
    last_loop = query_loop or loop
    state, second = last_loop.run(
        prior, state, episode.query, store, key=keys[1], **options
    )
    metrics = {
        "loss": (jnp.mean(first) + jnp.mean(second)) / 2,
        "loss_support": first[0],
        "loss_query": second[0],
    }
    return Walked(last_loop.whole(prior, state), state, metrics)


@dataclasses.dataclass(frozen=True)
class Sampling:
    """How a training user's ratings become an episode (released program's defaults).

    A user with fewer than `under` ratings (by default, than `support + query`) gives
    `fraction` of them to the support set, and to the query set as many as stand to the
    support as `query` to `support`.
    """

    support: int = 80
    query: int = 20
    fraction: float = 0.8
    under: int | None = None

    def __call__(self, task: UserTasks, *, key: Key[Array, ""]) -> Episode:
        """An episode of masked rows, as many for every user; for one user."""
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
      carry_statistics: whether the users' mean BatchNorm statistics replace the
        prior's.
      rate_schedule: meta-iteration -> factor of the inner rates.
      strategy, chunk: how the user axis is run (`task_axis`).
    """

    outer: OuterUpdate
    optimizer: optax.GradientTransformation
    sampling: Sampling = RELEASED_SAMPLING
    carry_statistics: bool = False
    rate_schedule: Callable[[Int[Array, ""]], Float[Array, ""]] | None = None
    strategy: task_axis.Strategy = "vmap"
    chunk: int = 1

    def __call__(
        self,
        state: TrainState,
        users: Int[Array, " user"],
        tasks: UserTasks,
        store: ImageStore,
    ) -> tuple[TrainState, dict[str, Float[Array, ""]]]:
        """The next state and the users' mean metrics; `users` are rows of `tasks`."""
        prior = {"params": state.params, "batch_stats": state.batch_stats}
        schedule = self.rate_schedule
        rate_scale = 1.0 if schedule is None else schedule(jnp.asarray(state.step))

        def one_user(task):
            key = data_tasks.episode_key(
                state.key, repeat=state.step, user_id=task.user_id
            )
            episode = self.sampling(task, key=jax.random.fold_in(key, 0))
            direction = self.outer(
                prior,
                episode,
                store,
                key=jax.random.fold_in(key, 1),
                rate_scale=rate_scale,
            )
            return direction.gradient, (direction.batch_stats, direction.metrics)

        gradient, (batch_stats, metrics) = task_axis.sum_over_users(
            one_user, strategy=self.strategy, chunk=self.chunk
        )(tasks[users])
        updates, opt_state = self.optimizer.update(
            gradient, state.opt_state, state.params
        )
        if self.carry_statistics:
            state = state.replace(
                batch_stats=jax.tree.map(lambda leaf: jnp.mean(leaf, 0), batch_stats)
            )
        state = state.replace(
            params=optax.apply_updates(state.params, updates),
            opt_state=opt_state,
            step=state.step + 1,
        )
        return state, jax.tree.map(jnp.mean, metrics)


def several(meta_step: Callable) -> Callable:
    """The step of `users: Int[Array, "iteration user"]`: several iterations a dispatch.

    Metrics are means over the iterations, so that a NaN in any of them shows.
    """

    def steps(state, users, tasks, store):
        def body(state, users):
            return meta_step(state, users, tasks, store)

        state, metrics = jax.lax.scan(body, state, users)
        return state, jax.tree.map(jnp.mean, metrics)

    return steps
