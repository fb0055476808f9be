"""From a config to its databases and the network that learns from them."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import flax.linen as nn

from jiaa.cli import build
from jiaa.cli.multitask import data as sources_of
from jiaa.cli.multitask.data import SECOND
from jiaa.cli.multitask.second import SECOND_OUTPUTS, Second, second_task
from jiaa.cli.options import Config, construct
from jiaa.data import Dataset
from jiaa.data.distributions import crowd
from jiaa.models import personality
from jiaa.models.backbones import BACKBONES, create_backbone
from jiaa.models.kong import ATTRIBUTES, CONTENT, KongNet
from jiaa.models.personality import AESTHETICS
from jiaa.train import processes


@dataclasses.dataclass(frozen=True, eq=False)
class Problem:
    """What a config learns from: its databases and the network.

    Attributes:
      dataset: of the aesthetic task, whose users are personalised.
      second: the second task, if there is one.
      network: with a branch for each task that is trained.
    """

    dataset: Dataset
    second: Second | None
    network: nn.Module


def problem(config: Config, *, progress: bool) -> Problem:
    """The databases and the network of a config.

    What the first process decodes, others find in the `cache_dir` of either database.

    Raises:
      ConfigError: databases that lack what the config asks of them.
    """
    cached = bool(config.data.cache_dir or config.second.cache_dir)
    with processes.first_before_others("dataset", enabled=cached):
        dataset = build.dataset(config, progress=progress)
        second = None
        if SECOND in config.generic.tasks:
            second = second_task(config, dataset, progress=progress)
    return Problem(dataset, second, _network(config, dataset, second))


def _network(config: Config, dataset: Dataset, second: Second | None) -> nn.Module:
    bins, labels = 1, {}
    if config.model.kong:
        labels = sources_of.kong_labels(dataset, tuple(config.model.kong))
    elif AESTHETICS in config.generic.tasks and config.model.aesthetics == "softmax":
        shares = crowd(dataset, "train").distribution(dataset.name)
        bins = shares.shape[1]
    counts = {name: values.shape[1] for name, values in labels.items()}
    branches = {AESTHETICS: bins}
    if second is not None:
        branches[second.name] = len(second.outputs)
    return make_network(config, {**branches, **counts})


def make_network(config: Config, outputs: Mapping[str, int]) -> nn.Module:
    """The network of `config.model`: a `MultiTask`, or one of Kong's.

    Args:
      config: of a multi-task experiment.
      outputs: how many outputs "aesthetics" and the second task have, by name; of
        Kong's, how many "attributes" and contents there are.

    Raises:
      ConfigError: options that the network or its backbone does not take.
    """
    section = build.plain(config.model)
    given = section["backbone_options"]
    construct("model.backbone_options", BACKBONES[section["backbone"]], **given)
    if section["kong"]:
        return construct(
            "model",
            KongNet,
            backbone=create_backbone(section["backbone"], **given),
            attributes=outputs.get(ATTRIBUTES, 0),
            contents=outputs.get(CONTENT, 0),
            hidden=section["hidden"][-1],
            tap=section["tap"],
        )
    names = ("backbone", "backbone_options", "tap")
    return construct(
        "model",
        personality.create_multi_task,
        branches=_branches(config, outputs),
        **{name: section[name] for name in names},
    )


def _branches(config: Config, outputs: Mapping[str, int]) -> dict[str, dict[str, Any]]:
    """Branch -> options of `personality.Branch`."""
    section, found = build.plain(config.model), {}
    for name, count in outputs.items():
        if name == AESTHETICS and AESTHETICS not in config.generic.tasks:
            continue
        options = {part: section[part] for part in ("hidden", "batch_norm", "dropout")}
        # A linear branch starts where every image is alike, as a closed form would.
        options |= {"outputs": count, "zero": not section["hidden"]}
        if name == AESTHETICS:
            options["output"] = section["aesthetics"]
        else:
            options["output"] = SECOND_OUTPUTS[config.second.task]
            options["output_norm"] = section["output_norm"]
        found[name] = options
    return found
