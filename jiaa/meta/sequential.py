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
from jaxtyping import Array, Float, Int, Key, PyTree

from jiaa.meta import bilevel, inner
from jiaa.train import parts
from jiaa.train import state as states
from jiaa.types import ImageStore, TrainState, UserTasks

EPOCH_DECAY = 0.9


@dataclasses.dataclass(frozen=True)
class SequentialStep:
    """Visits `users` one after another; static under jit.

    Attributes:
      loop: the inner loop; `batch_norm="carry"` is the released behaviour.
      users_per_epoch: training users, for the epoch's number.
      steps: inner steps on each level.
      average: beta: how far the prior moves towards a user's network after the visit,
        in [0, 1]; 1/4 as released.
      refresh: k: tasks start from the prior as it was at the last multiple of this
        many users; 4 as released.
      sampling: how a user's ratings become an episode.

    Raises:
      ValueError: `refresh` or `users_per_epoch` below 1.
    """

    loop: inner.InnerLoop
    users_per_epoch: int
    steps: int = 5
    average: float = 0.25
    refresh: int = 4
    sampling: bilevel.Sampling = bilevel.RELEASED_SAMPLING

    def __post_init__(self):
        """Refuses numbers of users that nothing can be divided by."""
        if self.refresh < 1 or self.users_per_epoch < 1:
            raise ValueError(
                f"refresh={self.refresh}, users_per_epoch={self.users_per_epoch}; "
                "expected at least one user each"
            )

    def init(self, params: PyTree) -> dict[str, PyTree]:
        """The optimizer state: moments, start of tasks, last user's network, visits."""
        chosen, _ = self._parts({"params": params})
        return {
            "moments": self.loop.optimizer.direction.init(chosen),
            "start": chosen,
            "last": chosen,
            "visited": jnp.zeros((), jnp.int32),
        }

    def init_state(self, prior: PyTree, *, key: Key[Array, ""]) -> TrainState:
        """The state before the first visit, in buffers of its own."""
        state = TrainState(
            params=prior["params"],
            batch_stats=prior["batch_stats"],
            opt_state=self.init(prior["params"]),
            step=jnp.zeros((), jnp.int32),
            key=key,
        )
        return states.copy(state)

    def rate_scale(self, visited: Int[Array, ""]) -> Float[Array, ""]:
        """0.9^(e (e + 1) / 2) in epoch e = visited // users_per_epoch.

        At every epoch the program multiplies its rate by 0.9^e.
        """
        epoch = visited // self.users_per_epoch
        return jnp.float32(EPOCH_DECAY) ** (epoch * (epoch + 1) // 2)

    def __call__(
        self,
        state: TrainState,
        users: Int[Array, " user"],
        tasks: UserTasks,
        store: ImageStore,
    ) -> tuple[TrainState, dict[str, Float[Array, ""]]]:
        """The state after visiting `users` in order, and their mean metrics.

        `users` are rows of `tasks`; `tasks.image_ids` are rows of `store`.
        """
        chosen, rest = self._parts(state.prior)

        def visit(carry, task):
            walked = self._walk(state, carry, task, store)
            return self._moved(carry, walked.state), walked.metrics

        carry = (chosen, state.batch_stats, state.opt_state)
        carry, metrics = jax.lax.scan(visit, carry, tasks[users])
        chosen, batch_stats, memory = carry
        state = state.replace(
            params={**state.params, **parts.merge(chosen, rest)},
            batch_stats=batch_stats,
            opt_state=memory,
            step=state.step + 1,
        )
        return state, jax.tree.map(jnp.mean, metrics)

    def last_user(self, state: TrainState) -> PyTree:
        """The last user's adapted network, which is what the released program saves."""
        _, rest = self._parts(state.prior)
        params = {**state.params, **parts.merge(state.opt_state["last"], rest)}
        return {"params": params, "batch_stats": state.batch_stats}

    @property
    def _carries(self) -> bool:
        return self.loop.batch_norm == "carry"

    def _parts(self, prior) -> tuple[PyTree, PyTree]:
        """The network's parameters that adapt, and all others."""
        return parts.partition(inner.model_params(prior), self.loop.adapts)

    def _walk(self, state, carry, task, store) -> bilevel.Walked:
        """One user's two levels, from the tasks' start and with the moments so far."""
        _, batch_stats, memory = carry
        episode, key = bilevel.iteration_episode(
            self.sampling, task, step=state.step, key=state.key
        )
        begun = {
            **self.loop.begin(state.prior, episode.support),
            "params": memory["start"],
            "batch_stats": batch_stats if self._carries else state.batch_stats,
            "moments": memory["moments"],
        }
        return bilevel.two_levels(
            self.loop,
            state.prior,
            begun,
            episode,
            store,
            steps=self.steps,
            key=key,
            rate_scale=self.rate_scale(memory["visited"]),
        )

    def _moved(self, carry, adapted):
        """Prior, statistics and memory after a visit."""
        chosen, batch_stats, memory = carry
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
        return chosen, adapted["batch_stats"] if self._carries else batch_stats, memory
