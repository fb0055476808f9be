"""Words and options in a config: unknown ones, and what was probably meant."""

import difflib
import functools
import inspect
from collections.abc import Callable, Collection
from typing import Any, TypeVar

import flax.linen as nn

from jiaa import losses
from jiaa.meta import task_axis
from jiaa.models import feature_map, generic
from jiaa.models.backbones import BACKBONES
from jiaa.models.heads import HEADS
from jiaa.personalize import REGRESSORS
from jiaa.train import optimizers

T = TypeVar("T")
Config = Any  # an ml_collections.ConfigDict

WORDS: dict[str, Collection[str]] = {
    "model.backbone": BACKBONES,
    "model.head": HEADS,
    "model.tap": generic.TAPS,
    "trunk.map": feature_map.MAPS,
    "generic.trains": ("all", "head", "ridge"),
    "generic.optimizer": optimizers.OPTIMIZERS,
    "generic.schedule": optimizers.SCHEDULES,
    "generic.loss": losses.LOSSES,
    "inner.optimizer": ("adam", "sgd"),
    "inner.loss": losses.LOSSES,
    "inner.reduction": ("mean", "sum"),
    "inner.batch_norm": ("frozen", "reset", "carry"),
    "meta.mode": ("parallel", "sequential"),
    "meta.outer": ("blg", "maml"),
    "meta.outer_loss": losses.LOSSES,
    "meta.optimizer": optimizers.OPTIMIZERS,
    "meta.schedule": optimizers.SCHEDULES,
    "meta.keep": ("prior", "last_user"),
    "meta.strategy": task_axis.STRATEGIES,
    "adapt.kind": ("finetune", "ridge", "blend", *REGRESSORS),
    "evaluate.strategy": task_axis.STRATEGIES,
}


class ConfigError(ValueError):
    """A config that cannot work; the message names field, value and remedy."""


def word(config: Config, path: str, known: Collection[str] = ()) -> str:
    """The field `path`, which is one of its known words; by default of `WORDS`.

    Raises:
      ConfigError: it is none of them.
    """
    known = known or WORDS[path]
    section, field = path.split(".")
    value = config[section][field]
    if not isinstance(value, str) or value not in known:
        raise ConfigError(f"config.{path} is {value!r}; {expected(value, known)}")
    return value


def unknown(where: str, name: str, known: Collection[str]) -> ConfigError:
    """The error for a name that is none of the known ones."""
    return ConfigError(f"{where} has no {name!r}; {expected(name, known)}")


def expected(name: Any, known: Collection[str]) -> str:
    """The known names, and the one that was probably meant."""
    near = difflib.get_close_matches(str(name), known, n=1)
    meant = f" (did you mean {near[0]!r}?)" if near else ""
    return f"known: {', '.join(known)}{meant}" if known else "it takes none"


def construct(where: str, make: Callable[..., T], /, **options: Any) -> T:
    """`make(**options)`, whose options stand in `config.<where>`.

    Raises:
      ConfigError: an option that `make` does not take, or a value that it cannot take.
    """
    known = names_of(make)
    for name in options:
        if name not in known:
            raise unknown(f"config.{where}", name, known)
    try:
        return make(**options)
    except ConfigError:
        raise
    except (TypeError, ValueError) as error:
        raise ConfigError(f"config.{where}: {error}") from error


def names_of(make: Callable[..., Any]) -> list[str]:
    """The keywords that a call may give, in order.

    Linen modules' own two are left out, and what a `functools.partial` gives itself.
    """
    is_module = inspect.isclass(make) and issubclass(make, nn.Module)
    hidden: Collection[str] = ("parent", "name") if is_module else ()
    if isinstance(make, functools.partial):
        hidden = make.keywords
    return [name for name in inspect.signature(make).parameters if name not in hidden]
