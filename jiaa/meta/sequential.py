"""The authors' released BLG-PIAA program, step for step (PAPERS.md, "BLG-PIAA").

It differs from the slides' listing: users are visited one after another, the prior
moves after each of them, tasks start from a copy that is refreshed every few users, one
set of Adam moments lives through all users and both levels, the learning rate is
multiplied by 0.9^epoch at every epoch (which compounds), BatchNorm statistics are never
put back, and what the program saves is the last user's network, not the prior.
"""

import dataclasses

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PyTree

from jiaa.data import tasks as data_tasks
from jiaa.meta import bilevel, inner
from jiaa.train import parts
from jiaa.types import ImageStore, TrainState, UserTasks


@dataclasses.dataclass(frozen=True)
class SequentialStep:
    """Visits `users` one after another.

    Attributes:
      loop: the inner loop; `batch_norm="carry"` is the released behaviour.
      users_per_epoch: training users, for the epoch's number.
      steps: inner steps on each level.
      average: how far the prior moves towards a user's network after the visit.
      refresh: tasks start from the prior as it was at the last multiple of this many
        users.
      decay: the learning rate is multiplied by decay^epoch at every epoch.
      sampling: how a user's ratings become an episode.
    """

    loop: inner.InnerLoop
    users_per_epoch: int
    steps: int = 5
    average: float = 0.25
    refresh: int = 4
    decay: float = 0.9
    sampling: bilevel.Sampling = bilevel.RELEASED_SAMPLING

    def init(self, params: PyTree) -> dict[str, PyTree]:
        """The optimizer state: moments, start of tasks, last user's network, visits."""
        network = inner.model_params({"params": params})
        chosen, _ = parts.partition(network, self.loop.adapts)
        return {
            "moments": self.loop.optimizer.direction.init(chosen),
            "start": chosen,
            "last": chosen,
            "visited": jnp.zeros((), jnp.int32),
        }

    def rate_scale(self, visited: Int[Array, ""]) -> Float[Array, ""]:
        """decay^(e (e + 1) / 2) in epoch e = visited // users_per_epoch."""
        epoch = visited // self.users_per_epoch
        return jnp.float32(self.decay) ** (epoch * (epoch + 1) // 2)

    def __call__(
        self,
        state: TrainState,
        users: Int[Array, " user"],
        tasks: UserTasks,
        store: ImageStore,
    ) -> tuple[TrainState, dict[str, Float[Array, ""]]]:
        """The state after visiting `users` in order, and their mean metrics."""
        prior = {"params": state.params, "batch_stats": state.batch_stats}
        network = inner.model_params(prior)
        chosen, rest = parts.partition(network, self.loop.adapts)
        carries = self.loop.batch_norm == "carry"

        def visit(carry, task):
            chosen, batch_stats, memory = carry
            key = data_tasks.episode_key(
                state.key, repeat=state.step, user_id=task.user_id
            )
            episode = self.sampling(task, key=jax.random.fold_in(key, 0))
            begun = {
                **self.loop.begin(prior, episode.support),
                "params": memory["start"],
                "batch_stats": batch_stats if carries else state.batch_stats,
                "moments": memory["moments"],
            }
            _, adapted, metrics = bilevel.two_levels(
                self.loop,
                prior,
                begun,
                episode,
                store,
                steps=self.steps,
                key=jax.random.fold_in(key, 1),
                rate_scale=self.rate_scale(memory["visited"]),
            )
            chosen = jax.tree.map(
                lambda param, user: param + self.average * (user - param),
                chosen,
                adapted["params"],
            )
            visited = memory["visited"] + 1
            due = visited % self.refresh == 0
            memory = {
                "moments": adapted["moments"],
                "start": jax.tree.map(
                    lambda new, old: jnp.where(due, new, old), chosen, memory["start"]
                ),
                "last": adapted["params"],
                "visited": visited,
            }
            stats = adapted["batch_stats"] if carries else batch_stats
            return (chosen, stats, memory), metrics

        carry = (chosen, state.batch_stats, state.opt_state)
        (chosen, batch_stats, memory), metrics = jax.lax.scan(
            visit, carry, tasks[users]
        )
        state = state.replace(
            params={**state.params, **parts.merge(chosen, rest)},
            batch_stats=batch_stats,
            opt_state=memory,
            step=state.step + 1,
        )
        return state, jax.tree.map(jnp.mean, metrics)

    def last_user(self, state: TrainState) -> PyTree:
        """The last user's adapted network, which is what the released program saves."""
        network = inner.model_params({"params": state.params})
        _, rest = parts.partition(network, self.loop.adapts)
        params = {**state.params, **parts.merge(state.opt_state["last"], rest)}
        return {"params": params, "batch_stats": state.batch_stats}
