"""What can be known to be wrong with a config before anything is read or trained."""

from collections.abc import Callable, Collection, Mapping
from typing import Any, get_args

import jax
from jaxtyping import PyTree

from jiaa.cli import build, learners
from jiaa.cli.check_trunk import are_whole, check_features, check_trunk, is_size
from jiaa.cli.options import (
    WORDS,
    Config,
    ConfigError,
    expected,
    names_of,
    unknown,
    word,
)
from jiaa.cli.unused import check_unused, field_of, unused
from jiaa.data.photographs import Images
from jiaa.models import feature_map
from jiaa.models.generic import Aesthetic
from jiaa.models.heads import SOLVABLE
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
    for path, known in WORDS.items():
        none = (build.NO_BACKBONE,) if path == "model.backbone" else ()
        word(config, path, (*known, *none))
    check_whole({path: (field_of(config, path), x) for path, x in LEAST.items()})
    check_data(config)
    check_evaluate(config)
    check_sizes(config)
    check_features(config)
    _check_together(config)
    check_unused(config, unused(config))
    _check_parameters(config)


def check_whole(numbers: Mapping[str, tuple[Any, int]]) -> None:
    """Refuses fields, by path, that are no whole numbers from their least.

    Raises:
      ConfigError: naming the first of them.
    """
    for path, (value, least) in numbers.items():
        if type(value) is not int or value < least:
            raise ConfigError(
                f"config.{path} is {value!r}; expected a whole number from {least}"
            )


def check_data(config: Config) -> None:
    """Refuses values in `config.data` that no loader takes."""
    section = config.data
    given = {
        name: least for name, least in DATA.items() if section.get(name) is not None
    }
    check_whole({f"data.{name}": (section[name], x) for name, x in given.items()})
    for name in ("scale", "test_ratings", "rater_counts"):
        pair = section.get(name, None)
        if pair is not None and not _is_pair(pair):
            raise ConfigError(
                f"config.data.{name} is {pair!r}; expected the lowest and the highest, "
                "such as (1, 5)"
            )
    for name in ("share_images", "progress"):
        if not isinstance(section.get(name), bool | None):
            raise ConfigError(
                f"config.data.{name} is {section[name]!r}; expected True or False"
            )
    if section.get("images") not in IMAGES:
        raise ConfigError(
            f"config.data.images is {section.images!r}; "
            f"{expected(section.images, IMAGES[1:])}, or None"
        )
    build.dataset_options(config)


def check_evaluate(config: Config) -> None:
    """Refuses numbers of ratings and repeats that cannot be evaluated."""
    section = config.evaluate
    shots, repeats = section.shots, section.repeats
    repeats = (repeats,) if type(repeats) is int and repeats > 0 else repeats
    for name, numbers, least in (("shots", shots, 1), ("repeats", repeats, 0)):
        if not are_whole(numbers, least):
            raise ConfigError(
                f"config.evaluate.{name} is {section[name]!r}; expected whole numbers "
                f"from {least}, such as (10, 100)"
            )


def check_sizes(config: Config) -> None:
    """Refuses sizes that are neither sides nor pairs, and what `check_trunk` does."""
    for path in ("data.image_size", "view.size"):
        value = field_of(config, path)
        unset = path == "view.size" and value in (0, None)
        if not (unset or is_size(value)):
            raise ConfigError(
                f"config.{path} is {value!r}; expected a side, or (height, width)"
            )
    check_trunk(config)


def _is_pair(value: Any) -> bool:
    return (
        isinstance(value, list | tuple)
        and len(value) == 2
        and all(type(end) in (int, float) for end in value)
    )


def _check_together(config: Config) -> None:
    """Refuses choices that exclude each other."""
    generic, meta = config.generic, config.meta
    if not generic.steps and not meta.steps:
        raise ConfigError(
            "config.generic.steps and config.meta.steps are 0: nothing to do"
        )
    in_closed_form = generic.trains == "ridge" or generic.refit
    if in_closed_form and config.model.head not in SOLVABLE:
        raise ConfigError(
            "config.generic.refit and trains='ridge' solve for a head of "
            f"{SOLVABLE}; config.model.head is {config.model.head!r}"
        )
    if config.adapt.kind == "blend" and config.adapt.learned and not in_closed_form:
        raise ConfigError(
            "config.adapt.learned=True: a blend's hyper-prior is learned from held-out "
            "generic scores, which only generic.trains='ridge' or generic.refit give; "
            "choose one of them, or set it to False"
        )
    for field, on_features in (
        ("generic.trains", generic.trains != "all"),
        ("generic.refit", generic.refit),
        ("adapt.kind", config.adapt.kind != "finetune"),
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
    whole = refused_as("model", lambda: build.variable_shapes(network))
    head = {
        name: {part: tree for part, tree in x.items() if part != "backbone"}
        for name, x in whole.items()
    }
    check_options(config)
    section = config.generic
    if section.steps and not config.prior and section.trains != "ridge":
        trained = head if section.trains == "head" else whole
        init = learners.optimizer(config, "generic").init
        refused_as("generic.rates", lambda: jax.eval_shape(init, trained["params"]))
    _check_learners(config, network, head if config.trunk.frozen else whole)


def check_options(config: Config, evaluate: Collection[str] = EVALUATE) -> None:
    """Refuses options of the feature map and of the evaluation that there are not."""
    for path, known in (
        ("trunk.map_options", names_of(feature_map.fit_feature_map)[3:]),
        ("evaluate", evaluate),
    ):
        for name in field_of(config, path):
            if name not in known:
                raise unknown(f"config.{path}", name, known)


def _check_learners(config: Config, network: Aesthetic, prior: PyTree) -> None:
    view = FeatureView() if config.trunk.frozen else build.image_view(config)
    loop = learners.inner_loop(config, network, method="score", view=view)
    rates = loop.optimizer.initial_rates
    refused_as("inner", lambda: rates(jax.eval_shape(loop.start, prior)["params"]))
    if config.adapt.kind == "blend":
        learners.strangers(config)
    personalizer = learners.personalizer(config, loop, width=1)
    refused_as("adapt", lambda: jax.eval_shape(personalizer.init, prior))
    if not config.meta.steps:
        return
    step = learners.meta_step(config, loop, users=1, width=1)

    def start(prior, key):
        prior = learners.learnable(config, loop, prior, width=1)
        return step.init_state(prior, key=key)

    refused_as("meta", lambda: jax.eval_shape(start, prior, jax.random.key(0)))


def refused_as(where: str, call: Callable[[], Any]) -> Any:
    """`call()`, whose errors are those of the field `config.<where>`."""
    try:
        return call()
    except ConfigError:
        raise
    except (TypeError, ValueError) as error:
        raise ConfigError(f"config.{where}: {error}") from error
