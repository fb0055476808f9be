"""What can be known to be wrong with `config.trunk` before anything is read."""

from collections.abc import Mapping
from typing import Any

from jiaa.cli.build import NO_BACKBONE
from jiaa.cli.options import Config, ConfigError, construct, expected, unknown
from jiaa.cli.trunks import FIELDS
from jiaa.models.backbones import BACKBONES

TAPS = "blocks of names, such as (('fire7.mean', 'fire7.std'), ('logits',))"
SIZES = "sides or pairs (height, width), such as (224, (288, 360))"
SHAPES = (
    "pairs (height, width), such as ((288, 384), (384, 288)), which go without "
    "config.trunk.sizes and config.view.size"
)


def check_trunk(config: Config) -> None:
    """Refuses taps, sizes and encoders side by side that there are not.

    Raises:
      ConfigError: naming the field, its value and what is expected.
    """
    section = config.trunk
    # Runs that were recorded before there were these have none.
    fields = ("taps", "sizes", "shapes", "beside")
    taps, sizes, shapes, given = (section.get(name, ()) for name in fields)
    _require(_are_taps(taps), "trunk.taps", taps, TAPS)
    _require(_are_sizes(sizes), "trunk.sizes", sizes, SIZES)
    alone = not shapes or not (sizes or config.view.size)
    fits = _are_sizes(shapes) and int not in map(type, shapes)
    _require(alone and fits, "trunk.shapes", shapes, SHAPES)
    _require(
        isinstance(given, list | tuple) and all(isinstance(x, dict) for x in given),
        "trunk.beside",
        given,
        "a dictionary for each encoder, such as ({'backbone': 'squeezenet', 'taps': "
        "(('fire7.mean',),)},)",
    )
    for number, entry in enumerate(given):
        _check_entry(entry, f"trunk.beside[{number}]")


def check_features(config: Config) -> None:
    """Refuses features from a file beside a network, or without a frozen trunk.

    Raises:
      ConfigError: naming the field, its value and what to set.
    """
    file, backbone = config.data.get("features"), config.model.backbone
    fits = file is None or (isinstance(file, str) and file != "")
    _require(fits, "data.features", file, "the name of a file of features, or None")
    if file is None and backbone == NO_BACKBONE:
        raise ConfigError(
            f"config.model.backbone={backbone!r} runs no network; give features: "
            "config.data.features=FILE, or choose a backbone"
        )
    if file is None:
        return
    if backbone != NO_BACKBONE:
        raise ConfigError(
            f"config.model.backbone={backbone!r} does nothing with config.data."
            f"features={file!r}, which no network computes; set it to {NO_BACKBONE!r}"
        )
    generic = config.generic
    trained = generic.steps and not config.prior
    if not config.trunk.frozen or (trained and generic.trains == "all"):
        raise ConfigError(
            f"config.data.features={file!r} leaves only a head to learn; set config."
            "trunk.frozen=True, and config.generic.trains to 'ridge' or 'head'"
        )


def _check_entry(entry: Mapping[str, Any], where: str) -> None:
    for name in entry:
        if name not in FIELDS:
            raise unknown(f"config.{where}", name, tuple(FIELDS))
    entry = {**FIELDS, **entry}
    name, options = entry["backbone"], entry["backbone_options"]
    if not isinstance(name, str) or name not in BACKBONES:
        raise ConfigError(
            f"config.{where}.backbone is {name!r}; {expected(name, BACKBONES)}"
        )
    crops, taps = entry["five_crops"], entry["taps"]
    for field, fits, wanted in (
        ("weights", isinstance(entry["weights"], str), "a file, '' or 'random'"),
        ("taps", _are_taps(taps) and len(taps) > 0, TAPS),
        ("sizes", _are_sizes(entry["sizes"]), SIZES),
        ("five_crops", type(crops) is int and crops >= 0, "a whole number from 0"),
        ("flip", isinstance(entry["flip"], bool), "True or False"),
        ("backbone_options", isinstance(options, dict), "options and their values"),
    ):
        _require(fits, f"{where}.{field}", entry[field], wanted)
    construct(f"{where}.backbone_options", BACKBONES[name], **options)


def _require(fits: bool, path: str, value: Any, wanted: str) -> None:
    if not fits:
        raise ConfigError(f"config.{path} is {value!r}; expected {wanted}")


def _are_taps(value: Any) -> bool:
    return isinstance(value, list | tuple) and all(
        isinstance(block, list | tuple)
        and len(block) > 0
        and all(isinstance(name, str) for name in block)
        for block in value
    )


def _are_sizes(value: Any) -> bool:
    return isinstance(value, list | tuple) and all(map(is_size, value))


def is_size(value: Any) -> bool:
    """Whether this is a side, or (height, width)."""
    pair = are_whole(value, 1) and len(value) == 2
    return pair or (type(value) is int and value > 0)


def are_whole(values: Any, least: int) -> bool:
    """Whether these are whole numbers from `least`, at least one."""
    return (
        isinstance(values, list | tuple)
        and len(values) > 0
        and all(type(value) is int and value >= least for value in values)
    )
