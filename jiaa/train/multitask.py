"""Training steps of several tasks, each from data of its own: PDMTL and PA_IAA.

A *source* is one database: images, labels, and the terms of the loss that they serve.
Every step takes a batch of each source. PA_IAA (TIP 2020, eq. 8) goes down the gradient
of L = L_a + gamma L_p ("joint"): the network sees each batch apart, with the same
weights (Siamese), so BatchNorm normalises each database by itself. PDMTL (ICME 2019,
Sec. 3) trains the tasks alternately, and the released PA_IAA program takes a step of
Adam for each loss ("alternating"): a source's step leaves other branches as they are.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import Mesh
from jaxtyping import Array, Float, Int, PyTree, Shaped

from jiaa.train import mesh as train_mesh
from jiaa.train import optimizers
from jiaa.train import state as states
from jiaa.types import ImageStore, TrainState, value

Metrics = dict[str, Float[Array, ""]]
JOINT = "joint"
MODES = (JOINT, "alternating")


@dataclasses.dataclass(frozen=True)
class Term:
    """One loss of a source: weight * mean of loss(network's output, label).

    Attributes:
      output: name of the network's output, such as "traits".
      label: name of the source's label.
      loss: `loss(predicted, target)` -> one value per image.
      weight: gamma of eq. 8; above 0.
    """

    output: str
    label: str
    loss: Callable[..., Float[Array, " image"]]
    weight: float = 1.0


@dataclasses.dataclass(frozen=True)
class Source:
    """A database and what is learned from it; hashable, so that it is static.

    Attributes:
      name: its key in batches and in `Labelled` data.
      terms: losses of its images.
    """

    name: str
    terms: tuple[Term, ...]

    @property
    def outputs(self) -> tuple[str, ...]:
        """The network's outputs that it needs, each once."""
        return tuple(dict.fromkeys(term.output for term in self.terms))


@value
class Labelled:
    """A source's images and labels; `image_ids` are rows of `store`.

    `labels` are by name, with the axis of `image_ids` in front: unit scores [image],
    distributions [image bin], traits [image trait]. On the host, these are the
    `Examples` of a `data.stream.Stream`, for stores that do not fit on the device.
    """

    image_ids: Int[Array | np.ndarray, " image"]
    labels: Mapping[str, Shaped[Array | np.ndarray, "image ..."]]
    store: ImageStore

    def __len__(self) -> int:
        """How many there are."""
        return len(self.image_ids)

    def __getitem__(self, number: int) -> dict[str, np.ndarray]:
        """{"images": content, label: value} of one of them, on the host."""
        content = self.store.content[int(self.image_ids[number])]
        labels = {name: np.asarray(x[number]) for name, x in self.labels.items()}
        return {**labels, "images": np.asarray(content)}

    def take(self, rows: Int[Array | np.ndarray, " row"]) -> dict[str, Any]:
        """{"images": content, label: values} of some rows."""
        rows = jnp.asarray(rows)
        content = self.store.take(jnp.take(jnp.asarray(self.image_ids), rows))
        chosen = {name: jnp.asarray(x)[rows] for name, x in self.labels.items()}
        return {**chosen, "images": content}


@dataclasses.dataclass(frozen=True, eq=False)
class MultiTaskStep:
    """(state, batch, data) -> (state after a step on every source, metrics).

    Attributes:
      apply: `apply(variables, inputs, *, tasks, batch_statistics, dropout, rngs,
        mutable) -> (outputs by name, {"batch_stats": ...})`, as of `MultiTask`.
      prepare: `prepare(content, key=key) -> inputs` (`models.views`).
      sources: one for a single task.
      optimizers: source -> transformation; for "joint" the one of `JOINT` alone.
      mode: "joint" or "alternating", in the order of the sources.
      mesh: devices to spread every source's batch over; they must divide its images.
    """

    apply: Callable[..., Any]
    prepare: Callable[..., Any]
    sources: tuple[Source, ...]
    optimizers: Mapping[str, optax.GradientTransformation]
    mode: str = JOINT
    mesh: Mesh | None = None

    def __post_init__(self):
        """Refuses unknown modes, and optimizers that do not fit."""
        if self.mode not in MODES:
            raise ValueError(f"mode is {self.mode!r}; expected one of {MODES}")
        if set(self.optimizers) != set(self._levels):
            raise ValueError(
                f"optimizers for {sorted(self.optimizers)}; with mode={self.mode!r} "
                f"expected exactly {sorted(self._levels)}"
            )

    def init_state(self, variables: PyTree, *, key: Any) -> TrainState:
        """The state at step 0, in buffers of its own; `key` is of all draws."""
        params = states.copy(variables["params"])
        return TrainState(
            params=params,
            batch_stats=states.copy(variables.get("batch_stats", {})),
            opt_state={k: tx.init(params) for k, tx in self.optimizers.items()},
            step=jnp.zeros((), jnp.int32),
            key=jnp.copy(key),
        )

    def __call__(
        self,
        state: TrainState,
        batch: Mapping[str, Any],
        data: Mapping[str, Labelled] | None = None,
    ) -> tuple[TrainState, Metrics]:
        """Pure; the state's key and step give augmentation and dropout.

        Args:
          state: of `init_state`.
          batch: source -> rows of its `Labelled` data; or {"images": ..., label: ...}
            from a loader that reads ahead.
          data: source -> images and labels, for batches of rows.

        Raises:
          ValueError: a batch of rows without data, one without a label that a loss
            needs, or one that the devices of the mesh do not divide.
        """
        key = jax.random.fold_in(state.key, state.step)
        given = {}
        for number, source in enumerate(self.sources):
            content, labels = _read(batch[source.name], data, source, self.mesh)
            view_key, dropout_key = jax.random.split(jax.random.fold_in(key, number))
            inputs = self.prepare(content, key=view_key)
            given[source.name] = inputs, labels, dropout_key
        metrics: Metrics = {}
        for level, sources in self._levels.items():
            state, measured = self._descend(state, level, sources, given)
            metrics |= measured
        metrics["loss"] = sum(metrics.values(), jnp.zeros(()))
        state = state.replace(step=state.step + 1)
        # Where it came from, so that the next step finds the same program.
        return train_mesh.replicate(state, self.mesh), metrics

    @property
    def _levels(self) -> dict[str, tuple[Source, ...]]:
        """Optimizer -> the sources whose losses it goes down together."""
        if self.mode == "joint":
            return {JOINT: self.sources}
        return {source.name: (source,) for source in self.sources}

    def _descend(self, state, level, sources, given) -> tuple[TrainState, Metrics]:
        """One update of an optimizer."""

        def total(params):
            stats, metrics = state.batch_stats, {}
            for source in sources:
                measured, stats = self._losses(params, stats, source, given)
                metrics |= measured
            return sum(metrics.values(), jnp.zeros(())), (stats, metrics)

        (_, (stats, metrics)), gradient = jax.value_and_grad(total, has_aux=True)(
            state.params
        )
        tx = self.optimizers[level]
        updates, moved = tx.update(gradient, state.opt_state[level], state.params)
        state = state.replace(
            params=optax.apply_updates(state.params, updates),
            batch_stats=stats,
            opt_state={**state.opt_state, level: moved},
        )
        return state, metrics

    def _losses(self, params, stats, source: Source, given) -> tuple[Metrics, PyTree]:
        """({"loss_SOURCE_OUTPUT": weighted mean loss}, BatchNorm statistics after)."""
        inputs, labels, dropout_key = given[source.name]
        outputs, changed = self.apply(
            {"params": params, "batch_stats": stats},
            inputs,
            tasks=source.outputs,
            batch_statistics=True,
            dropout=True,
            rngs={"dropout": dropout_key},
            mutable=["batch_stats"],
        )
        metrics = {}
        for term in source.terms:
            values = term.loss(outputs[term.output], labels[term.label])
            name = f"loss_{source.name}_{term.output}"
            metrics[name] = metrics.get(name, 0.0) + term.weight * jnp.mean(values)
        return metrics, {**stats, **changed.get("batch_stats", {})}


def source_optimizers(
    sources: tuple[Source, ...],
    rates: Mapping[str, optimizers.Group],
    *,
    make: Callable[[Any], optax.GradientTransformation],
    mode: str = "joint",
) -> dict[str, optax.GradientTransformation]:
    """The optimizers of a `MultiTaskStep`: one for all, or one a source.

    A source's own leaves the branches of other sources alone: without a gradient,
    momentum and weight decay would still move them.

    Args:
      sources: what is trained on; output "traits" is the branch "branches_traits".
      rates: pattern of paths -> rate or schedule, as of `optimizers.by_path`; what no
        pattern names is frozen.
      make: an optimizer from a rate.
      mode: "joint" or "alternating".
    """
    if mode == JOINT:
        return {JOINT: optimizers.by_path(rates, default=None, make=make)}
    every = {output for source in sources for output in source.outputs}
    found = {}
    for source in sources:
        others = sorted(every - set(source.outputs))
        frozen: dict[str, optimizers.Group] = {f"branches_{x}/.*": None for x in others}
        found[source.name] = optimizers.by_path(
            {**frozen, **rates}, default=None, make=make
        )
    return found


def _read(
    batch: Any,
    data: Mapping[str, Labelled] | None,
    source: Source,
    mesh: Mesh | None,
):
    """(content, labels) of one source's batch, spread over the mesh."""
    batch = train_mesh.shard_images(batch, mesh)
    if not isinstance(batch, Mapping):
        if data is None or source.name not in data:
            raise ValueError(
                f"the batch of {source.name!r} holds rows only; pass data with its "
                "images and labels, or batches of {'images', labels}"
            )
        batch = train_mesh.shard_images(data[source.name].take(batch), mesh)
    labels = {name: batch[name] for name in batch if name != "images"}
    if missing := [t.label for t in source.terms if t.label not in labels]:
        raise ValueError(
            f"{source.name!r} has the labels {sorted(labels)}, not {missing}"
        )
    return batch["images"], labels
