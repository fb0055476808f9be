"""Optimizers by name, learning-rate schedules, and groups of parameters by path.

Weight decay is the papers' (Caffe's and PyTorch's): it joins the gradient *before*
momentum or moments. Decoupled decay is "adamw". A rate is a number above 0, or a
schedule: step number from 0 -> rate.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import PyTree

from jiaa.train.parts import merge, partition, path_mask, values_by_path

__all__ = [
    "OPTIMIZERS",
    "SCHEDULES",
    "adam",
    "adamw",
    "by_path",
    "compounding_epochs",
    "constant",
    "cosine",
    "exponential_epochs",
    "linear",
    "merge",
    "optimizer",
    "partition",
    "path_mask",
    "pull_to_start",
    "schedule",
    "sgd",
    "values_by_path",
]
Rate = float | optax.Schedule
Group = optax.GradientTransformation | Rate | None


def sgd(
    rate: Rate,
    *,
    momentum: float = 0.0,
    nesterov: bool = False,
    weight_decay: float = 0.0,
) -> optax.GradientTransformation:
    """Velocity = momentum * velocity + gradient + decay * p; p -= rate * velocity."""
    tx = optax.sgd(rate, momentum=momentum or None, nesterov=nesterov)
    return _decayed(tx, weight_decay)


def adam(
    rate: Rate,
    *,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-8,
    eps_root: float = 0.0,
    weight_decay: float = 0.0,
) -> optax.GradientTransformation:
    """Adam (Kingma & Ba, 2015). Differentiating through it needs `eps_root` > 0."""
    tx = optax.adam(rate, b1=b1, b2=b2, eps=eps, eps_root=eps_root)
    return _decayed(tx, weight_decay)


def adamw(
    rate: Rate,
    *,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-8,
    weight_decay: float = 1e-4,
) -> optax.GradientTransformation:
    """Adam with decoupled weight decay (Loshchilov & Hutter, 2019)."""
    return optax.adamw(rate, b1=b1, b2=b2, eps=eps, weight_decay=weight_decay)


def _decayed(tx, weight_decay):
    if not weight_decay:
        return tx
    return optax.chain(optax.add_decayed_weights(weight_decay), tx)


OPTIMIZERS: dict[str, Callable[..., optax.GradientTransformation]] = {
    "sgd": sgd,
    "adam": adam,
    "adamw": adamw,
}


def optimizer(name: str, rate: Rate, **options: Any) -> optax.GradientTransformation:
    """The optimizer of that name in `OPTIMIZERS`, with its options.

    Raises:
        ValueError: an unknown name; lists the known ones.
        TypeError: an option that this optimizer does not have.
    """
    if name not in OPTIMIZERS:
        raise ValueError(f"unknown optimizer {name!r}; known: {sorted(OPTIMIZERS)}")
    return OPTIMIZERS[name](rate, **options)


def by_path(
    groups: Mapping[str, Group],
    *,
    default: Group,
    make: Callable[[Rate], optax.GradientTransformation] = adam,
) -> optax.GradientTransformation:
    """One optimizer a group of parameters, chosen by the pattern of their paths.

    `groups` maps patterns (see `jiaa.train.parts`) to an optax transformation, to a
    rate (a number or a schedule, made into an optimizer by `make`), or to None: frozen,
    with no optimizer state. A leaf belongs to the first pattern that names it;
    `default` takes the leaves that no pattern names.

        by_path({"head": 1e-3}, default=1e-4)                # BLG-PIAA's two rates
        by_path({"head": 1e-3}, default=None)                # only the head learns

    Raises:
        ValueError: at `init`, if a pattern names no parameter; lists the paths.
    """
    # Numbered labels: optax sorts them, and a pattern may be called "default".
    names = [(pattern, f"{i}: {pattern}") for i, pattern in enumerate(groups)]
    transforms = {name: _transform(groups[pattern], make) for pattern, name in names}
    transforms["default"] = _transform(default, make)

    def label(params: PyTree) -> PyTree:
        return values_by_path(params, [*names, (".*", "default")])

    return optax.partition(transforms, label)  # pyright: ignore[reportArgumentType]


def _transform(group: Group, make) -> optax.GradientTransformation:
    if group is None:
        return optax.set_to_zero()
    if isinstance(group, optax.GradientTransformation):
        return group
    return make(group)


def pull_to_start(
    strengths: Sequence[tuple[str, float]],
) -> optax.GradientTransformation:
    """Adds strength * (p - p_0) to the gradient of the leaves that a pattern names.

    p_0 are the parameters at the start of training, which the state keeps for these
    leaves alone: weight decay towards a prior instead of towards 0 (L2-SP: Li et al.,
    ICML 2018). Of several patterns that name a leaf the first wins; without any pattern
    this is `optax.identity()`.

    Raises:
        ValueError: at `init`, if a pattern names no parameter; at `update`, without
            `params`.
    """
    if not strengths:
        return optax.identity()

    def rates_of(params):
        return values_by_path(params, [*strengths, (".*", 0.0)])

    def init(params):
        for pattern, _ in strengths:
            path_mask(params, pattern)  # refuses a pattern that names nothing
        return jax.tree.map(
            lambda p, rate: jnp.array(p) if rate else None, params, rates_of(params)
        )

    def update(updates, state, params=None):
        if params is None:
            raise ValueError("pull_to_start needs params; pass them to update.")

        def pulled(gradient, start, param, rate):
            return gradient if start is None else gradient + rate * (param - start)

        # A None of the state stands where the others have a leaf.
        return jax.tree.map(pulled, updates, state, params, rates_of(params)), state

    return optax.GradientTransformation(init, update)


def constant(rate: float) -> optax.Schedule:
    """The same rate at every step."""
    return optax.constant_schedule(rate)


def exponential_epochs(
    rate: float, *, steps_per_epoch: int, decay: float = 0.9
) -> optax.Schedule:
    """Rate * decay^epoch, epoch = step // steps_per_epoch.

    PDMTL and PA_IAA ("Implementation Details") multiply by 0.9 at every epoch; PAM
    (Sec. 5.1, "periodically annealed by 0.96") does not say how often.
    """

    def schedule(step):
        return rate * decay ** jnp.asarray(step // steps_per_epoch, jnp.float32)

    return schedule


def compounding_epochs(
    rate: float, *, steps_per_epoch: int, decay: float = 0.9
) -> optax.Schedule:
    """Rate * decay^(e(e+1)/2) in epoch e = step // steps_per_epoch.

    The authors' released BLG-PIAA program multiplies by decay^e at every epoch e.
    """

    def schedule(step):
        epoch = jnp.asarray(step // steps_per_epoch, jnp.float32)
        return rate * decay ** (epoch * (epoch + 1) / 2)

    return schedule


def cosine(
    rate: float, *, steps: int, warmup_steps: int = 0, final: float = 0.0
) -> optax.Schedule:
    """From 0 up to `rate` in `warmup_steps`, then half a cosine down to `final`.

    `final` is reached at step `steps`, warm-up included, and kept.

    Raises:
        ValueError: the warm-up is not shorter than `steps`.
    """
    if not 0 <= warmup_steps < steps:
        raise ValueError(
            f"warmup_steps={warmup_steps} of steps={steps}; expected 0 <= warmup_steps "
            "< steps, the warm-up included in the steps. Lower warmup_steps."
        )
    start = 0.0 if warmup_steps else rate
    return optax.warmup_cosine_decay_schedule(
        start, rate, warmup_steps, steps, end_value=final
    )


def linear(rate: float, *, steps: int) -> optax.Schedule:
    """From `rate` in a straight line down to 0 after `steps`."""
    return optax.linear_schedule(rate, 0.0, steps)


SCHEDULES: dict[str, Callable[..., optax.Schedule]] = {
    "constant": constant,
    "linear": linear,
    "exponential_epochs": exponential_epochs,
    "compounding_epochs": compounding_epochs,
    "cosine": cosine,
}


def schedule(name: str, rate: float, **options: Any) -> optax.Schedule:
    """The schedule of that name in `SCHEDULES`, with its options.

    Raises:
        ValueError: an unknown name; lists the known ones.
        TypeError: an option that this schedule does not have.
    """
    if name not in SCHEDULES:
        raise ValueError(f"unknown schedule {name!r}; known: {sorted(SCHEDULES)}")
    return SCHEDULES[name](rate, **options)
