"""What can be known to be wrong with a config before anything is read or trained."""

from collections.abc import Callable
from typing import Any, get_args

import jax
from jaxtyping import PyTree

from jiaa.cli import build, learners
from jiaa.cli.options import (
    WORDS,
    Config,
    ConfigError,
    expected,
    names_of,
    unknown,
    word,
)
from jiaa.cli.unused import check_unused, field_of
from jiaa.data.photographs import Images
from jiaa.models import feature_map
from jiaa.models.generic import Aesthetic
from jiaa.models.views import FeatureView

# The least that a whole number can be.
LEAST = {
    "seed": 0,
    "generic.steps": 0,
    "generic.batch_size": 1,
    "generic.steps_per_epoch": 1,
    "generic.save_every": 1,
    "generic.log_every": 1,
    "trunk.five_crops": 0,
    "meta.steps": 0,
    "meta.users_per_step": 1,
    "meta.inner_steps": 1,
    "meta.steps_per_epoch": 1,
    "meta.iterations_per_dispatch": 1,
    "meta.chunk": 1,
    "meta.save_every": 1,
    "meta.log_every": 1,
    "adapt.steps": 0,
    "evaluate.seed": 0,
}
DATA = {
    "seed": 0,
    "min_ratings": 1,
    "max_missing": 0,
    "decode_workers": 1,
    "train_users": 1,
    "train_images": 1,
    "raters_per_image": 1,
    "gold_images": 0,
    "fold": 0,
    "workers": 1,
}
IMAGES = (None, *get_args(Images))
EVALUATE = ("shots", "repeats", "strategy", "seed", "chunk", "memory_limit")
UNUSED_OPTIONS = {"adam": ("momentum",), "sgd": ("b1", "b2", "eps", "eps_root")}


def check(config: Config) -> None:
    """Refuses what would only be found later, and choices that would do nothing.

    A section whose stage is not run (`generic` beside a prior, `meta` without steps) is
    not looked at for the latter: configs inherit from each other.

    Raises:
      ConfigError: naming field, value, expectation and remedy.
    """
    for path in WORDS:
        word(config, path)
    _check_numbers(config)
    _check_images(config)
    _check_sizes(config)
    _check_together(config)
    check_unused(config)
    build.dataset_options(config)
    _check_parameters(config)


def _check_numbers(config: Config) -> None:
    numbers = {path: (field_of(config, path), least) for path, least in LEAST.items()}
    for name, least in DATA.items():
        if config.data.get(name) is not None:
            numbers[f"data.{name}"] = config.data[name], least
    for path, (value, least) in numbers.items():
        if type(value) is not int or value < least:
            raise ConfigError(
                f"config.{path} is {value!r}; expected a whole number from {least}"
            )
    for name in ("scale", "test_ratings", "rater_counts"):
        pair = config.data.get(name, None)
        if pair is not None and not _is_pair(pair):
            raise ConfigError(
                f"config.data.{name} is {pair!r}; expected the lowest and the highest, "
                "such as (1, 5)"
            )
    for name in ("share_images", "progress"):
        if not isinstance(config.data.get(name), bool | None):
            raise ConfigError(
                f"config.data.{name} is {config.data[name]!r}; expected True or False"
            )
    section = config.evaluate
    shots, repeats = section.shots, section.repeats
    repeats = (repeats,) if type(repeats) is int and repeats > 0 else repeats
    for name, numbers, least in (("shots", shots, 1), ("repeats", repeats, 0)):
        if not _are_numbers(numbers, least):
            raise ConfigError(
                f"config.evaluate.{name} is {section[name]!r}; expected whole numbers "
                f"from {least}, such as (10, 100)"
            )


def _check_images(config: Config) -> None:
    if config.data.get("images") not in IMAGES:
        raise ConfigError(
            f"config.data.images is {config.data.images!r}; "
            f"{expected(config.data.images, IMAGES[1:])}, or None"
        )


def _check_sizes(config: Config) -> None:
    for path in ("data.image_size", "view.size"):
        value = field_of(config, path)
        unset = path == "view.size" and value in (0, None)
        if not (unset or _is_size(value)):
            raise ConfigError(
                f"config.{path} is {value!r}; expected a side, or (height, width)"
            )
    if not all(_is_size(size) for size in config.trunk.sizes):
        raise ConfigError(
            f"config.trunk.sizes is {config.trunk.sizes!r}; expected sides or pairs "
            "(height, width), such as (224, (288, 360))"
        )


def _is_size(value: Any) -> bool:
    pair = _are_numbers(value, 1) and len(value) == 2
    return pair or (type(value) is int and value > 0)


def _is_pair(value: Any) -> bool:
    return (
        isinstance(value, list | tuple)
        and len(value) == 2
        and all(type(end) in (int, float) for end in value)
    )


def _are_numbers(values: Any, least: int) -> bool:
    return (
        isinstance(values, list | tuple)
        and len(values) > 0
        and all(type(value) is int and value >= least for value in values)
    )


def _check_together(config: Config) -> None:
    """Refuses choices that exclude each other."""
    generic, meta = config.generic, config.meta
    if not generic.steps and not meta.steps:
        raise ConfigError(
            "config.generic.steps and config.meta.steps are 0: nothing to do"
        )
    in_closed_form = generic.trains == "ridge" or generic.refit
    if in_closed_form and config.model.head != "warped":
        raise ConfigError(
            "config.generic.refit and trains='ridge' solve for a 'warped' head; "
            f"config.model.head is {config.model.head!r}"
        )
    for field, on_features in (
        ("generic.trains", generic.trains != "all"),
        ("generic.refit", generic.refit),
        ("adapt.kind", config.adapt.kind == "ridge"),
    ):
        if on_features and not config.trunk.frozen:
            raise ConfigError(
                f"config.{field}={field_of(config, field)!r} learns from features of a "
                "frozen trunk; set config.trunk.frozen=True"
            )
    dispatch = meta.iterations_per_dispatch
    for field in ("steps", "save_every", "log_every"):
        if meta[field] % dispatch:
            raise ConfigError(
                f"config.meta.iterations_per_dispatch={dispatch} does not divide "
                f"config.meta.{field}={meta[field]}; round one of them"
            )
    _check_learned(config)


def _check_learned(config: Config) -> None:
    """Only MAML learns rates or a ridge's strength; and rates have their optimizer."""
    inner, adapt = config.inner, config.adapt
    maml = config.meta.outer == "maml" and config.meta.steps > 0
    for field, learned in (
        ("inner.optimizer_options", inner.optimizer_options.get("learned", False)),
        ("adapt.learned", adapt.kind == "ridge" and adapt.learned),
    ):
        if learned and not maml:
            raise ConfigError(
                f"config.{field}={field_of(config, field)!r} is learned by meta-"
                "training with config.meta.outer='maml' alone; choose that, or leave "
                "it out"
            )
    for name in UNUSED_OPTIONS[inner.optimizer]:
        if name in inner.optimizer_options:
            raise ConfigError(
                f"config.inner.optimizer_options.{name} does nothing with "
                f"config.inner.optimizer={inner.optimizer!r}; leave it out"
            )


def _check_parameters(config: Config) -> None:
    """Every option has a taker, every pattern names a parameter; no array is made."""
    network = build.model(config)
    whole = _try("model", lambda: build.variable_shapes(network))
    head = {
        name: {part: tree for part, tree in x.items() if part != "backbone"}
        for name, x in whole.items()
    }
    for path, known in (
        ("trunk.map_options", names_of(feature_map.fit_feature_map)[3:]),
        ("evaluate", EVALUATE),
    ):
        for name in field_of(config, path):
            if name not in known:
                raise unknown(f"config.{path}", name, known)
    section = config.generic
    if section.steps and not config.prior and section.trains != "ridge":
        trained = head if section.trains == "head" else whole
        init = learners.optimizer(config, "generic").init
        _try("generic.rates", lambda: jax.eval_shape(init, trained["params"]))
    _check_learners(config, network, head if config.trunk.frozen else whole)


def _check_learners(config: Config, network: Aesthetic, prior: PyTree) -> None:
    view = FeatureView() if config.trunk.frozen else build.image_view(config)
    loop = learners.inner_loop(config, network, method="score", view=view)
    rates = loop.optimizer.initial_rates
    _try("inner", lambda: rates(jax.eval_shape(loop.start, prior)["params"]))
    personalizer = learners.personalizer(config, loop, width=1)
    _try("adapt", lambda: jax.eval_shape(personalizer.init, prior))
    if not config.meta.steps:
        return
    step = learners.meta_step(config, loop, users=1, width=1)

    def start(prior, key):
        prior = learners.learnable(config, loop, prior, width=1)
        return step.init_state(prior, key=key)

    _try("meta", lambda: jax.eval_shape(start, prior, jax.random.key(0)))


def _try(where: str, call: Callable[[], Any]) -> Any:
    try:
        return call()
    except ConfigError:
        raise
    except (TypeError, ValueError) as error:
        raise ConfigError(f"config.{where}: {error}") from error
