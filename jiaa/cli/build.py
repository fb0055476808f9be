"""From a config to the values and functions of the stages to the left.

`configs/common.py` documents every field.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
import optax
from jaxtyping import Array, Key, PyTree

from jiaa import data
from jiaa.meta import bilevel, inner, sequential
from jiaa.models import generic, pretrained, views
from jiaa.personalize import Finetune, Ridge
from jiaa.train import optimizers
from jiaa.types import Personalizer

Config = Any  # an ml_collections.ConfigDict


CHOICES = {
    "generic.trains": ("all", "head", "ridge"),
    "meta.mode": ("parallel", "sequential"),
    "meta.outer": ("blg", "maml"),
    "meta.keep": ("prior", "last_user"),
    "meta.strategy": ("vmap", "map", "unroll"),
    "adapt.kind": ("finetune", "ridge"),
}


def check(config: Config) -> None:
    """Refuses, before anything is trained, what would only be found afterwards.

    Raises:
      ValueError: an unknown word, or numbers that do not go together.
    """
    for path, known in CHOICES.items():
        section, field = path.split(".")
        if config[section][field] not in known:
            found = config[section][field]
            raise ValueError(f"config.{path} is {found!r}; expected one of {known}")
    generic_, meta = config.generic, config.meta
    if generic_.steps < 1 and not meta.steps:
        raise ValueError(
            "config.generic.steps and config.meta.steps are 0: nothing to do"
        )
    if (generic_.refit or generic_.trains == "ridge") and config.model.head != "warped":
        raise ValueError(
            "config.generic.refit and trains='ridge' solve for a 'warped' head; "
            f"config.model.head is {config.model.head!r}"
        )
    for field in ("steps", "save_every", "log_every"):
        if meta[field] % meta.iterations_per_dispatch:
            raise ValueError(
                f"config.meta.iterations_per_dispatch={meta.iterations_per_dispatch} "
                f"does not divide config.meta.{field}={meta[field]}; round one of them"
            )


def dataset(config: Config) -> data.Dataset:
    """The dataset of `config.data`: a name, a root, and the options of its loader."""
    options = plain(config.data)
    name, root = options.pop("name"), options.pop("root")
    options["cache_dir"] = options["cache_dir"] or None
    return data.load(name, root=root or None, **options)


def model(config: Config) -> generic.Aesthetic:
    """The network of `config.model`."""
    options = plain(config.model)
    options.pop("weights")
    return generic.create_model(**options)


def image_view(config: Config) -> views.ImageView:
    """How images enter the backbone; size 0 keeps the store's own."""
    spec = pretrained.SPECS[config.model.backbone]
    size = config.view.size or None
    return views.ImageView(spec.mean, spec.std, size, config.view.augment)


def trunk_views(config: Config) -> tuple[views.ImageView, ...]:
    """The whole-image views whose features are averaged; by default `image_view`."""
    view = image_view(config)
    sizes = plain(config.trunk)["sizes"] or (view.size,)
    return tuple(dataclasses.replace(view, size=size) for size in sizes)


def initial_variables(
    config: Config, network: generic.Aesthetic, *, key: Key[Array, ""]
) -> PyTree:
    """Random variables; the backbone's from `config.model.weights` if that is set."""
    # No parameter's shape depends on the images' size.
    side: int = max(network.backbone.minimum_size, 32)
    images = jnp.zeros((2, side, side, 3), jnp.float32)
    variables = generic.initialise(network, images, key=key)
    if config.model.weights:
        loaded = pretrained.load_pretrained(config.model.weights, network.backbone)
        for collection in ("params", "batch_stats"):
            if loaded[collection]:
                variables[collection]["backbone"] = loaded[collection]
    return variables


def head_variables(
    network: generic.Aesthetic, *, width: int, key: Key[Array, ""]
) -> PyTree:
    """Random variables of the head alone, on features of that width."""
    features = jnp.zeros((2, width), jnp.float32)
    variables = dict(network.init(key, features, method="score"))
    variables.setdefault("batch_stats", {})
    return variables


def optimizer(section: Config, *, num_steps: int) -> optax.GradientTransformation:
    """`section.optimizer` with a rate a pattern, on `section.schedule` if it is set."""
    options = plain(section.optimizer_options)

    def make(rate):
        return optimizers.optimizer(section.optimizer, rate, **options)

    def scheduled(rate):
        if section.schedule == "constant":
            return rate
        if section.schedule in ("cosine", "linear"):
            return optimizers.schedule(section.schedule, rate, steps=num_steps)
        steps = section.steps_per_epoch
        return optimizers.schedule(section.schedule, rate, steps_per_epoch=steps)

    groups = {
        pattern: scheduled(rate) if rate else None for pattern, rate in section.rates
    }
    return optimizers.by_path(groups, default=None, make=make)


def inner_loop(
    config: Config, network: nn.Module, *, method: str, view: views.View
) -> inner.InnerLoop:
    """The inner loop of `config.inner`."""
    section = plain(config.inner)
    rates = _rates(section.pop("rates"))
    optimizer = inner.InnerOptimizer(
        name=section.pop("optimizer"), rates=rates, **section.pop("optimizer_options")
    )
    calibrate = section.pop("calibrate")
    return inner.InnerLoop(
        model=network,
        view=view,
        method=method,
        optimizer=optimizer,
        calibrate=inner.Calibration(**calibrate) if calibrate else None,
        **section,
    )


def _changed(loop: inner.InnerLoop, changes: Mapping[str, Any]) -> inner.InnerLoop:
    """`loop` with the fields that another level or test time has for itself."""
    changes = dict(changes)
    if rates := changes.pop("rates", ()):
        optimizer = dataclasses.replace(loop.optimizer, rates=_rates(rates))
        changes["optimizer"] = optimizer
    return dataclasses.replace(loop, **changes)


def _rates(rates: Any) -> tuple[tuple[str, float], ...]:
    return tuple((pattern, float(rate)) for pattern, rate in rates)


def personalizer(config: Config, loop: inner.InnerLoop, *, width: int) -> Personalizer:
    """Test-time adaptation: `config.adapt`; `width` is that of the store's features."""
    section = plain(config.adapt)
    kind = section.pop("kind")
    if kind == "finetune":
        steps = section.pop("steps")
        del section["strength"], section["learned"]
        return Finetune(_changed(loop, section), steps=steps)
    if kind == "ridge":
        chosen = {name: section[name] for name in ("strength", "learned")}
        return Ridge(loop.model, width, **chosen)
    raise ValueError(f"config.adapt.kind is {kind!r}; expected 'finetune' or 'ridge'")


def meta_step(
    config: Config, loop: inner.InnerLoop, *, users: int, width: int
) -> bilevel.MetaStep | sequential.SequentialStep:
    """One meta-iteration of `config.meta`; `users` is the number of training users."""
    section = config.meta
    sampling = bilevel.Sampling(**plain(section.sampling))
    if section.mode == "sequential":
        return sequential.SequentialStep(
            loop, users_per_epoch=users, steps=section.inner_steps, sampling=sampling
        )
    if section.mode != "parallel":
        known = "'parallel' or 'sequential'"
        raise ValueError(f"config.meta.mode is {section.mode!r}; expected {known}")
    return bilevel.MetaStep(
        outer=outer_update(config, loop, width=width),
        optimizer=optax.chain(
            optimizers.pull_to_start(_rates(section.pull)),
            optimizer(section, num_steps=section.steps),
        ),
        sampling=sampling,
        carry_statistics=loop.batch_norm == "carry",
        strategy=section.strategy,
        chunk=section.chunk,
    )


def learnable(
    config: Config, loop: inner.InnerLoop, params: PyTree, *, width: int
) -> PyTree:
    """`params` with what the learner itself learns: inner rates, a ridge's strength."""
    if config.meta.outer == "maml":
        return personalizer(config, loop, width=width).learnable(params)  # pyright: ignore
    return loop.learnable(params)


def outer_update(
    config: Config, loop: inner.InnerLoop, *, width: int
) -> bilevel.OuterUpdate:
    """The outer update of `config.meta.outer`: "blg" or "maml"."""
    section = config.meta
    if section.outer == "blg":
        if loop.optimizer.learned:
            raise ValueError(
                "config.inner.optimizer_options.learned needs config.meta.outer="
                "'maml': no gradient reaches the inner rates through BLG-PIAA's update"
            )
        query = plain(section.query)
        query_loop = _changed(loop, query) if query else None
        return bilevel.BLG(loop, section.inner_steps, query_loop)
    if section.outer == "maml":
        learner = personalizer(config, loop, width=width)
        return bilevel.MAML(learner, loss=section.outer_loss)
    raise ValueError(f"config.meta.outer is {section.outer!r}; expected 'blg', 'maml'")


def plain(section: Config) -> dict[str, Any]:
    """A section as plain dictionaries and tuples, hashable where values are."""
    return {
        name: plain(x)
        if hasattr(x, "to_dict")
        else tuple(x)
        if isinstance(x, list)
        else x
        for name, x in section.items()
    }
