"""Choices in a config that would do nothing: told, not ignored."""

from collections.abc import Callable
from typing import Any

from jiaa.cli.build import plain
from jiaa.cli.options import Config, ConfigError

# What a field is where nobody chose it, as in configs/common.py: a test compares them.
NEUTRAL = {
    "model.backbone_options": {},
    "model.tap": "logits",
    "model.weights": "",
    "trunk.taps": (),
    "trunk.sizes": (),
    "trunk.shapes": (),
    "trunk.five_crops": 0,
    "trunk.flip": False,
    "trunk.beside": (),
    "trunk.map": "none",
    "trunk.map_options": {},
    "generic.refit": False,
    "generic.strength": 1.0,
    "generic.optimizer": "adam",
    "generic.optimizer_options": {},
    "generic.rates": (("head/.*", 1e-3), (".*", 1e-4)),
    "generic.schedule": "constant",
    "generic.loss": "mse",
    "inner.second_order": False,
    "inner.remat": False,
    "meta.outer": "blg",
    "meta.outer_loss": "mse",
    "meta.inner_steps": 5,
    "meta.optimizer": "sgd",
    "meta.optimizer_options": {},
    "meta.pull": (),
    "meta.query": {},
    "meta.schedule": "constant",
    "meta.keep": "prior",
    "meta.strategy": "auto",
    "meta.chunk": 1,
    "adapt.strength": 1.0,
    "adapt.learned": False,
    "adapt.options": {},
}
ENCODING = ("taps", "sizes", "shapes", "five_crops", "flip", "beside")
TRUNK = (*ENCODING, "map", "map_options")
NETWORK = ("model.backbone_options", "model.tap", "model.weights")
SOLVED = ("optimizer", "optimizer_options", "rates", "schedule")


def check_unused(config: Config, found: list[tuple[str, str]]) -> None:
    """Refuses a choice that nobody reads: (field, why) pairs, as of `unused`.

    Raises:
      ConfigError: names the field, its value, why, and what to set it back to.
    """
    for field, why in found:
        value = field_of(config, field)
        if value != NEUTRAL[field]:
            raise ConfigError(
                f"config.{field}={value!r} does nothing {why}; set it back to "
                f"{NEUTRAL[field]!r}"
            )


def unused(config: Config) -> list[tuple[str, str]]:
    """Fields that nobody reads under this config, and what makes them so.

    A section whose stage is not run (`generic` beside a prior, `meta` without steps) is
    not looked at: configs inherit from each other.
    """
    generic, meta = config.generic, config.meta
    found = unused_of_trunk(config)

    def add(section: str, fields: tuple[str, ...], why: str) -> None:
        found.extend((f"{section}.{field}", why) for field in fields)

    if generic.steps and not config.prior:
        if generic.trains == "ridge":
            add("generic", (*SOLVED, "refit"), "with config.generic.trains='ridge'")
        elif not generic.refit:
            why = f"with config.generic.trains={generic.trains!r} and refit=False"
            add("generic", ("strength",), why)
        if generic.trains == "ridge" or generic.refit:
            why = "for a head in closed form, which is of least squares"
            add("generic", ("loss",), why)
        if generic.trains == "head":
            add("generic", ("refit",), "with config.generic.trains='head'")
    if meta.steps:
        _add_unused_by_meta(meta, add)
    kind = config.adapt.kind
    if kind != "ridge":
        add("adapt", ("strength",), f"with config.adapt.kind={kind!r}")
    if kind not in ("ridge", "blend"):
        add("adapt", ("learned",), f"with config.adapt.kind={kind!r}")
    if kind in ("finetune", "ridge"):
        add("adapt", ("options",), f"with config.adapt.kind={kind!r}")
    return found


def unused_of_trunk(config: Config) -> list[tuple[str, str]]:
    """The same of `config.trunk` alone."""
    trunk, found = config.trunk, []
    if not trunk.frozen:
        why = "without config.trunk.frozen"
        return [(f"trunk.{field}", why) for field in TRUNK]
    if config.data.get("features"):
        why = "with config.data.features, which no network computes"
        fields = (*(f"trunk.{field}" for field in ENCODING), *NETWORK)
        found += [(field, why) for field in fields]
    if trunk.map not in ("kernel", "unit"):
        found.append(("trunk.map_options", f"with config.trunk.map={trunk.map!r}"))
    return found


def _add_unused_by_meta(meta: Config, add: Callable[..., None]) -> None:
    if meta.mode == "sequential":
        fields = ("outer", "outer_loss", "optimizer", "optimizer_options", "pull")
        fields += ("query", "schedule", "strategy", "chunk")
        add("meta", fields, "with config.meta.mode='sequential'")
    else:
        add("meta", ("keep",), "with config.meta.mode='parallel'")
        if meta.strategy != "map":
            add("meta", ("chunk",), f"with config.meta.strategy={meta.strategy!r}")
    if meta.outer == "maml":
        why = "with config.meta.outer='maml', which learns as config.adapt says"
        add("meta", ("inner_steps", "query"), why)
    else:
        why = "with config.meta.outer='blg', which is of first order"
        add("meta", ("outer_loss",), why)
        add("inner", ("second_order", "remat"), why)


def field_of(config: Config, path: str) -> Any:
    """The value at a dotted path; a section as plain dictionaries."""
    value = config
    for name in path.split("."):
        value = value[name]
    return plain(value) if hasattr(value, "to_dict") else value
