"""From a config to what learns: inner loops, personalizers, outer updates.

`configs/common.py` documents every field.
"""

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any

import flax.linen as nn
import optax
from jax.sharding import Mesh
from jaxtyping import PyTree

from jiaa.cli.build import plain
from jiaa.cli.options import Config, ConfigError, construct, names_of, unknown, word
from jiaa.meta import bilevel, inner, sequential
from jiaa.models import views
from jiaa.personalize import REGRESSORS, Blend, Finetune, Residual, Ridge
from jiaa.personalize.hyper_prior import Strangers
from jiaa.train import optimizers
from jiaa.types import Personalizer

Rates = tuple[tuple[str, float], ...]
STRANGERS = "strangers"  # of config.adapt.options of a blend; others: its fields
RESIDUAL = ("columns", "target")  # of config.adapt.options; others: the regressor's
SHARE = "1/k"  # as a rate of config.meta: beta of the slides, k = users_per_step


def optimizer(config: Config, level: str) -> optax.GradientTransformation:
    """The optimizer of `config.<level>` ("generic" or "meta"): a rate a pattern."""
    groups, make = optimizer_groups(config, level)
    return optimizers.by_path(groups, default=None, make=make)


def optimizer_groups(
    config: Config, level: str
) -> tuple[Mapping[str, optimizers.Group], Callable[..., optax.GradientTransformation]]:
    """(pattern -> rate or schedule, None if frozen; an optimizer from one of them)."""
    section = config[level]
    name, schedule = (word(config, f"{level}.{x}") for x in ("optimizer", "schedule"))
    options = plain(section.optimizer_options)
    where = f"{level}.optimizer_options"
    horizon = {"steps_per_epoch": section.steps_per_epoch}
    if schedule in ("cosine", "linear"):
        horizon = {"steps": section.steps}

    def make(rate):
        return construct(where, optimizers.OPTIMIZERS[name], rate=rate, **options)

    def scheduled(rate):
        if schedule == "constant":
            return rate
        return optimizers.schedule(schedule, rate, **horizon)

    users = section.users_per_step if level == "meta" else None
    groups = {
        pattern: scheduled(rate) if rate else None
        for pattern, rate in rates(section.rates, f"{level}.rates", users=users)
    }
    return groups, make


def rates(value: Any, where: str, *, users: int | None = None) -> Rates:
    """(pattern, rate) pairs; "1/k" as a rate is one over the `users` of an iteration.

    Raises:
      ConfigError: not such pairs.
    """
    try:
        return tuple(
            (str(pattern), 1 / users if users and rate == SHARE else float(rate))
            for pattern, rate in value
        )
    except (TypeError, ValueError) as error:
        raise ConfigError(
            f"config.{where} is {value!r}; expected pairs of a pattern and a number, "
            "such as (('head/.*', 0.001), ('.*', 0.0001))"
        ) from error


def inner_loop(
    config: Config, network: nn.Module, *, method: str, view: views.View
) -> inner.InnerLoop:
    """The inner loop of `config.inner`."""
    section = plain(config.inner)
    section["optimizer"] = construct(
        "inner.optimizer_options",
        inner.InnerOptimizer,
        name=word(config, "inner.optimizer"),
        rates=rates(section.pop("rates"), "inner.rates"),
        **section.pop("optimizer_options"),
    )
    if section["calibrate"] is not None:
        options = section["calibrate"]
        section["calibrate"] = construct(
            "inner.calibrate", inner.Calibration, **options
        )
    return construct(
        "inner", inner.InnerLoop, model=network, view=view, method=method, **section
    )


def _changed(
    loop: inner.InnerLoop, changes: Mapping[str, Any], *, where: str
) -> inner.InnerLoop:
    """`loop` with the fields that another level or test time has for itself."""
    changes = dict(changes)
    own = ("model", "view", "method", "optimizer", "calibrate")  # of both levels
    known = ["rates", *(x for x in names_of(inner.InnerLoop) if x not in own)]
    for name in changes:
        if name not in known:
            raise unknown(f"config.{where}", name, known)
    if chosen := changes.pop("rates", ()):
        chosen = rates(chosen, f"{where}.rates")
        changes["optimizer"] = dataclasses.replace(loop.optimizer, rates=chosen)
    try:
        return dataclasses.replace(loop, **changes)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"config.{where}: {error}") from error


def personalizer(config: Config, loop: inner.InnerLoop, *, width: int) -> Personalizer:
    """Test-time adaptation: `config.adapt`; `width` is that of the store's features."""
    section = plain(config.adapt)
    del section["kind"]
    # Runs that were recorded before there were options have none.
    kind, options = word(config, "adapt.kind"), section.pop("options", {})
    ridge = {name: section.pop(name) for name in ("strength", "learned")}
    if kind == "ridge":
        return Ridge(loop.model, width, **ridge)
    where = "adapt.options"
    if kind == "blend":
        options.pop(STRANGERS, None)
        blend = functools.partial(Blend, model=loop.model, width=width)
        return construct(where, blend, **options)
    if kind in REGRESSORS:
        own = {name: options.pop(name) for name in RESIDUAL if name in options}
        regressor = construct(where, REGRESSORS[kind], **options)
        own = {**own, "model": loop.model, "width": width, "regressor": regressor}
        return construct(where, Residual, **own)
    steps = section.pop("steps")
    return Finetune(_changed(loop, section, where="adapt"), steps=steps)


def strangers(config: Config) -> Strangers:
    """How the hyper-prior of a blend is learned: `config.adapt.options.strangers`."""
    options = plain(config.adapt.options).get(STRANGERS, {})
    where = f"adapt.options.{STRANGERS}"
    if not isinstance(options, Mapping):
        known = ", ".join(names_of(Strangers))
        raise ConfigError(f"config.{where} is {options!r}; expected a dict of {known}")
    return construct(where, Strangers, **options)


def meta_step(
    config: Config,
    loop: inner.InnerLoop,
    *,
    users: int,
    width: int,
    mesh: Mesh | None = None,
) -> bilevel.MetaStep | sequential.SequentialStep:
    """One meta-iteration of `config.meta`; `users` is the number of training users.

    They are spread over the mesh, except by the sequential program.
    """
    section = config.meta
    sampling = construct("meta.sampling", bilevel.Sampling, **plain(section.sampling))
    if word(config, "meta.mode") == "sequential":
        return sequential.SequentialStep(
            loop,
            users_per_epoch=users,
            steps=section.inner_steps,
            average=sequential_average(config),
            refresh=section.users_per_step,
            sampling=sampling,
        )
    return bilevel.MetaStep(
        outer=outer_update(config, loop, width=width),
        optimizer=optax.chain(
            optimizers.pull_to_start(rates(section.pull, "meta.pull")),
            optimizer(config, "meta"),
        ),
        sampling=sampling,
        strategy=section.strategy,
        chunk=section.chunk,
        mesh=mesh,
    )


def sequential_average(config: Config) -> float:
    """How far the released program's prior moves towards each user's network.

    Raises:
      ConfigError: more than one rate: the program has one for all parameters.
    """
    section = config.meta
    pairs = rates(section.rates, "meta.rates", users=section.users_per_step)
    if len(pairs) != 1 or pairs[0][0] != ".*":
        raise ConfigError(
            f"config.meta.rates is {section.rates!r}; with config.meta.mode="
            f"'sequential' expected one rate for all, such as (('.*', '{SHARE}'),)"
        )
    return pairs[0][1]


def learnable(
    config: Config, loop: inner.InnerLoop, prior: PyTree, *, width: int
) -> PyTree:
    """`prior` with what the learner itself learns: inner rates, a ridge's strength."""
    if word(config, "meta.outer") == "maml":
        return personalizer(config, loop, width=width).learnable(prior)
    return loop.learnable(prior)


def outer_update(
    config: Config, loop: inner.InnerLoop, *, width: int
) -> bilevel.OuterUpdate:
    """The outer update of `config.meta.outer`: "blg" or "maml"."""
    section = config.meta
    if word(config, "meta.outer") == "maml":
        learner = personalizer(config, loop, width=width)
        return bilevel.MAML(learner, loss=section.outer_loss)
    query = plain(section.query)
    query_loop = _changed(loop, query, where="meta.query") if query else None
    return bilevel.BLG(loop, section.inner_steps, query_loop)
