"""What can be known to be wrong with a multi-task config before anything is read."""

import math
from collections.abc import Collection, Mapping
from typing import Any

import jax

from jiaa.cli import build, learners
from jiaa.cli.check import (
    EVALUATE,
    check_data,
    check_evaluate,
    check_options,
    check_sizes,
    check_whole,
    refused_as,
)
from jiaa.cli.check_trunk import are_whole, is_size
from jiaa.cli.multitask import data as sources_of
from jiaa.cli.multitask.network import make_network
from jiaa.cli.multitask.second import DATABASES, FOLDS, TASKS
from jiaa.cli.options import WORDS, Config, ConfigError, expected, word
from jiaa.cli.unused import check_unused, field_of, unused_of_trunk
from jiaa.models.kong import ATTRIBUTES, CONTENT
from jiaa.models.personality import AESTHETICS
from jiaa.train import kong as kong_losses
from jiaa.train.multitask import MODES
from jiaa.train.optimizers import by_path

SHARED = (
    "model.backbone",
    "model.tap",
    "trunk.map",
    "generic.optimizer",
    "generic.schedule",
    "evaluate.strategy",
)
KINDS = ("ridge", "steps", "released")
OWN: Mapping[str, Collection[str]] = {
    "second.task": TASKS,
    "model.aesthetics": ("softmax", "sigmoid"),
    "generic.trains": ("all", "branches"),
    "generic.mode": MODES,
    "generic.loss": sources_of.AESTHETIC_LOSSES,
    "generic.second_loss": sources_of.SECOND_LOSSES,
    "fusion.kind": KINDS,
}
SWITCHES = ("model.batch_norm", "model.output_norm", "fusion.offset", "second.stream")
LEAST = {
    "seed": 0,
    "second.seed": 0,
    "second.users": FOLDS,
    "second.images": 1,
    "second.shown": 1,
    "second.likes": 1,
    "second.voters": 1,
    "second.train_images": 0,
    "generic.steps": 1,
    "generic.batch_size": 2,  # BatchNorm makes 0 of a single image
    "generic.steps_per_epoch": 1,
    "generic.save_every": 1,
    "generic.log_every": 1,
    "fusion.epochs": 1,
    "fusion.batch_size": 1,
    "fusion.steps": 0,
    "evaluate.seed": 0,
}
# What a trait, a vote or a class is learned by.
FITTING = {
    "traits": ("euclidean", "euclidean_sum"),
    "votes": ("euclidean", "euclidean_sum", "cross_entropy"),
    "column": ("euclidean", "euclidean_sum", "cross_entropy"),
}
KONG_FIELDS = {"batch_norm": False, "output_norm": False, "dropout": 0.0}


def check(config: Config) -> None:
    """Refuses what would only be found later, and choices that would do nothing.

    Raises:
      ConfigError: naming field, value, expectation and remedy.
    """
    for path, known in {**{path: WORDS[path] for path in SHARED}, **OWN}.items():
        word(config, path, known)
    check_whole({path: (field_of(config, path), x) for path, x in LEAST.items()})
    _check_database(config)
    check_evaluate(config)
    check_sizes(config)
    check_options(config, (*EVALUATE, "threshold", "databases"))
    check_unused(config, unused_of_trunk(config))
    _check_numbers(config)
    _check_tasks(config)
    _check_second(config)
    _check_model(config)
    _check_evaluation(config)
    _check_rates(config)


def _check_database(config: Config) -> None:
    check_data(config)
    if config.data.get("features") is not None:
        raise ConfigError(
            f"config.data.features={config.data.features!r}: these programs learn from "
            "photographs, and not from features of elsewhere; set it to None"
        )


def _check_numbers(config: Config) -> None:
    """Switches; weights, strengths and rates, which have to be above 0; widths."""
    for path in SWITCHES:
        value = field_of(config, path)
        if not isinstance(value, bool):
            raise ConfigError(f"config.{path} is {value!r}; expected True or False")
    for path in ("generic.gamma", "fusion.strength", "fusion.rate"):
        value = field_of(config, path)
        if not _is_number(value) or value <= 0:
            raise ConfigError(f"config.{path} is {value!r}; expected a number above 0")
    dropout = config.model.dropout
    if not _is_number(dropout) or not 0 <= dropout < 1:
        raise ConfigError(
            f"config.model.dropout is {dropout!r}; expected a share from 0, below 1"
        )
    for path in ("model.hidden", "fusion.hidden"):
        value = field_of(config, path)
        if not isinstance(value, list | tuple) or (value and not are_whole(value, 1)):
            raise ConfigError(
                f"config.{path} is {value!r}; expected the layers' widths, such as "
                "(1024, 512), or () for none"
            )


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value)


def _check_words(config: Config, path: str, known: Collection[str], least: int) -> None:
    """Refuses what is no collection of at least so many of the known words."""
    value = field_of(config, path)
    words = value if isinstance(value, list | tuple) else ()
    fits = words is value and len(words) >= least
    if not fits or [x for x in words if words.count(x) > 1 or x not in known]:
        raise ConfigError(
            f"config.{path} is {value!r}; expected "
            f"{'one or more' if least else 'some or none'} of {tuple(known)}, each once"
        )


def _check_tasks(config: Config) -> None:
    _check_words(config, "generic.tasks", (AESTHETICS, sources_of.SECOND), 1)
    tasks = tuple(config.generic.tasks)
    if sources_of.SECOND in tasks and config.second.task == "none":
        raise ConfigError(
            f"config.generic.tasks is {tasks!r}, and config.second.task is 'none': "
            f"there is no second task. Set config.generic.tasks=({AESTHETICS!r},), or "
            f"config.second.task to one of {TASKS[:-1]}"
        )
    frozen, trains = config.trunk.frozen, config.generic.trains
    if frozen != (trains == "branches"):
        raise ConfigError(
            f"config.generic.trains is {trains!r}, and config.trunk.frozen is "
            f"{frozen!r}; expected 'branches' with a frozen trunk, else 'all'"
        )
    if config.model.aesthetics == "sigmoid" and config.generic.loss != "euclidean":
        raise ConfigError(
            f"config.generic.loss={config.generic.loss!r} compares distributions, and "
            "config.model.aesthetics='sigmoid' gives mean scores; set it back to "
            "'euclidean', or config.model.aesthetics='softmax'"
        )
    if config.fusion.kind == "released" and frozen:
        raise ConfigError(
            "config.fusion.kind='released' adapts the whole network; set "
            "config.trunk.frozen=False, or another kind"
        )


def _check_second(config: Config) -> None:
    section = config.second
    if section.task == "none":
        return
    loss, fitting = config.generic.second_loss, FITTING[section.task]
    if loss not in fitting:
        raise ConfigError(
            f"config.generic.second_loss is {loss!r}, which compares probabilities; "
            f"for config.second.task={section.task!r} expected one of {fitting}"
        )
    if section.task == "column":
        return
    if section.image_size is not None and not is_size(section.image_size):
        raise ConfigError(
            f"config.second.image_size is {section.image_size!r}; expected a side, "
            "(height, width), or None for config.data's"
        )
    known = DATABASES[section.task]
    if section.name not in known:
        raise ConfigError(
            f"config.second.name is {section.name!r}, which has no {section.task}; "
            f"{expected(section.name, known)}"
        )
    fold = section.fold
    if fold is not None and (type(fold) is not int or not 0 <= fold < FOLDS):
        raise ConfigError(
            f"config.second.fold is {fold!r}; expected 0 to {FOLDS - 1}, the tenth of "
            "the users that is held out, or None for nobody"
        )


def _check_model(config: Config) -> None:
    """Kong's networks have parts of their own, and take less."""
    _check_words(config, "model.kong", kong_losses.TERMS, 0)
    section, parts = config.model, tuple(config.model.kong)
    if not parts:
        return
    alone = tuple(config.generic.tasks) == (AESTHETICS,)
    fits = alone and not config.trunk.frozen and section.aesthetics == "sigmoid"
    if not fits or not section.hidden:
        raise ConfigError(
            f"config.model.kong={parts!r} needs config.generic.tasks=({AESTHETICS!r},),"
            " config.model.aesthetics='sigmoid', a trunk that is not frozen, and a "
            "hidden layer"
        )
    for name, neutral in KONG_FIELDS.items():
        if section[name] != neutral:
            raise ConfigError(
                f"config.model.{name}={section[name]!r} does nothing with "
                f"config.model.kong={parts!r}; set it to {neutral!r}"
            )


def _check_evaluation(config: Config) -> None:
    threshold = config.evaluate.threshold
    databases = build.plain({"databases": config.evaluate.databases})["databases"]
    if threshold is not None and not (_is_number(threshold) and 0 < threshold < 1):
        raise ConfigError(
            f"config.evaluate.threshold is {threshold!r}; expected a unit score (5 of "
            "AVA's 10 stars is 0.5), or None for the training images' median"
        )
    if not isinstance(databases, dict):
        raise ConfigError(
            f"config.evaluate.databases is {databases!r}; expected a name for each "
            "database and what differs from config.data"
        )
    if databases and AESTHETICS not in config.generic.tasks:
        raise ConfigError(
            f"config.evaluate.databases={databases!r} does nothing with "
            f"config.generic.tasks={tuple(config.generic.tasks)!r}, which give no "
            "generic score; set it back to {}"
        )
    for name, changes in databases.items():
        if not isinstance(changes, dict):
            raise ConfigError(
                f"config.evaluate.databases.{name} is {changes!r}; expected what "
                "differs from config.data, such as {'name': 'flickr_aes', 'root': ...}"
            )
        try:
            _check_database(build.elsewhere(config, changes))
        except ValueError as error:
            raise ConfigError(f"config.evaluate.databases.{name}: {error}") from error


def _check_rates(config: Config) -> None:
    """Every option has a taker, every pattern names a parameter; no array is made."""
    names = [AESTHETICS]
    if config.model.kong:
        names += [ATTRIBUTES, CONTENT]
    elif sources_of.SECOND in config.generic.tasks:
        task = config.second.task
        names.append(config.second.column if task == "column" else task)
    network = make_network(config, dict.fromkeys(names, 1))  # names matter here
    shapes = refused_as("model", lambda: build.variable_shapes(network))["params"]
    if config.trunk.frozen:
        shapes = {name: x for name, x in shapes.items() if name != "backbone"}
    groups, make = learners.optimizer_groups(config, "generic")
    if not any(groups.values()):
        raise ConfigError(
            f"config.generic.rates is {config.generic.rates!r}, which trains nothing; "
            "expected a pattern of paths and its rate, such as (('.*', 1e-4),)"
        )
    init = by_path(groups, default=None, make=make).init
    refused_as("generic.rates", lambda: jax.eval_shape(init, shapes))
