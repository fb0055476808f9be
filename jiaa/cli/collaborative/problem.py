"""From a collaborative config to pairs, maps and network.

`configs/cfan/_common.py` documents every field.
"""

import dataclasses
import functools
import hashlib
import json
import os
import shutil
from pathlib import Path

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, PyTree

from jiaa import data
from jiaa.cli.build import plain
from jiaa.cli.collaborative import networks
from jiaa.cli.options import Config, ConfigError, construct
from jiaa.data import interactions, reviews
from jiaa.data.interactions import Interactions
from jiaa.data.tasks import rank
from jiaa.train import collaborative as steps
from jiaa.train.collaborative import Material, Objective
from jiaa.types import ImageStore, UserTasks


@dataclasses.dataclass(frozen=True, eq=False)
class Opened:
    """An experiment, ready to train or to measure.

    `tasks` are the users of the new-user protocol, or None; `store` is what their
    personalizer sees.
    """

    config: Config
    dataset: data.Dataset
    pairs: Interactions
    material: Material
    network: nn.Module
    objective: Objective
    store: ImageStore
    tasks: UserTasks | None
    start: PyTree  # parameters of a trunk that learns, or None


def open_problem(config: Config, *, progress: bool = True) -> Opened:
    """Everything that training and measuring share; the same at every call.

    Raises:
      ConfigError: fields that do not go together.
      DataError: as the dataset's loader.
    """
    dataset = load_dataset(config, progress=progress)
    pairs, tasks = make_interactions(config, dataset)
    sees = config.method not in ("bpr", "cfn_pure", "review_only")
    network, store, start = networks.network_and_store(
        config, dataset, pairs, sees=sees, progress=progress
    )
    objective = construct("objective", Objective, **plain(config.objective))
    material = steps.make_material(pairs.train, pairs.labels, store)
    return Opened(
        config,
        dataset,
        pairs,
        jax.tree.map(jnp.asarray, material),
        network,
        objective,
        store or ImageStore(features=np.zeros((pairs.images, 1), np.float32)),
        tasks,
        start,
    )


def load_dataset(config: Config, *, progress: bool = True) -> data.Dataset:
    """The dataset; a synthetic world's files are written if they are not there."""
    options = plain(config.data)
    name, root = options.pop("name"), options.pop("root")
    options["cache_dir"] = options["cache_dir"] or None
    options = {field: x for field, x in options.items() if x is not None}
    if len(config.world):
        root = write_world(config, name)
    if name == "ava_reviews" and config.reviews.rated_by == "words":
        options["rate"] = functools.partial(
            _stars, lexicon=config.reviews.lexicon, progress=progress
        )
    return data.load(name, root=root or None, progress=progress, **options)


def _stars(texts, *, lexicon: str, progress: bool) -> Float[np.ndarray, " review"]:
    return reviews.rate_reviews(texts, lexicon=lexicon, progress=progress).stars


def write_world(config: Config, name: str) -> Path:
    """The folder of `config.world`, written below the cache if it is not there."""
    from jiaa.data.synthetic import VERSION, formats

    sizes = plain(config.world)
    digest = hashlib.blake2b(json.dumps(sizes).encode(), digest_size=8).hexdigest()
    folder = Path(config.data.cache_dir) / f"{name}_world_v{VERSION}_{digest}"
    if not folder.is_dir():
        part = folder.with_name(f".{folder.name}.{os.getpid()}")
        shutil.rmtree(part, ignore_errors=True)
        construct("world", formats.FORMATS[name], root=part, **sizes)
        part.rename(folder)
    return folder


def make_interactions(
    config: Config, dataset: data.Dataset
) -> tuple[Interactions, UserTasks | None]:
    """Training pairs, held-out pairs, labels; and the users of the users' protocol."""
    section = config.pairs
    labels, tags = interactions.image_labels(
        dataset, tag=section.tag, crowd_above=section.crowd_above
    )
    if tags:
        labels, kept = interactions.keep_tags(labels, least=section.least_images)
        tags = tuple(tags[row] for row in kept)
    known, new = _users(config, dataset)
    vocabulary, length = reviews.Vocabulary(()), 0
    everything = interactions.pairs_of(known, good_above=section.good_above)
    held_out = _held_out(config, everything)
    if "review" in (known.side or {}):
        user, column = np.nonzero(np.asarray(known.mask))
        texts = np.asarray(known.side["review"])[user, column]
        vocabulary = reviews.build_vocabulary(
            texts[~held_out].tolist(),
            size=config.reviews.vocabulary,
            min_count=config.reviews.min_count,
        )
        length = config.reviews.length
        everything = interactions.pairs_of(
            known, good_above=section.good_above, vocabulary=vocabulary, length=length
        )
    pairs = Interactions(
        train=everything.take(np.flatnonzero(~held_out)),
        test=everything.take(np.flatnonzero(held_out)),
        labels=labels,
        users=len(known),
        images=len(dataset.image_names),
        tags=tags,
        workers=tuple(dataset.workers[int(x)] for x in known.user_id),
        vocabulary=vocabulary,
    )
    return pairs, None if new is None else _with_side(new, vocabulary, length)


def _held_out(config: Config, pairs: interactions.Pairs) -> np.ndarray:
    section = config.pairs
    user, image = np.asarray(pairs.user), np.asarray(pairs.image)
    if config.protocol == "users":
        return np.zeros(len(pairs), bool)
    options = {"share": section.share, "seed": config.seed}
    if section.held_out == "pairs":
        held_out = interactions.hold_out(user, image, **options)
    else:
        images = np.unique(image)
        chosen = images[interactions.hold_out(images, images, **options)]
        held_out = np.isin(image, chosen)
    if not held_out.any() or held_out.all():
        raise ConfigError(
            f"config.pairs.share={section.share} holds out {held_out.sum()} of "
            f"{len(pairs)} pairs; expected some on both sides"
        )
    return held_out


def _users(config: Config, dataset: data.Dataset) -> tuple[UserTasks, UserTasks | None]:
    """Users whose pairs are learned from, and new ones who are measured."""
    splits = sorted(dataset.tasks)
    if config.protocol == "pairs":
        return interactions.concatenate([dataset.tasks[x] for x in splits]), None
    if "test" in splits:
        return dataset.split("train"), dataset.split("test")
    tasks = dataset.split("train")
    enough = np.asarray(tasks.mask).sum(1) > max(config.evaluate.shots)
    names = [dataset.workers[int(x)] for x in tasks.user_id]
    order = sorted(np.flatnonzero(enough), key=lambda u: rank(names[u], config.seed))
    new = np.zeros(len(tasks), bool)
    new[order[: round(config.pairs.share * len(tasks))]] = True
    if not new.any():
        raise ConfigError(
            f"config.evaluate.shots={config.evaluate.shots}: nobody rated more than "
            f"{max(config.evaluate.shots)} images; lower them"
        )
    return tasks[np.flatnonzero(~new)], tasks[np.flatnonzero(new)]


def _with_side(
    tasks: UserTasks, vocabulary: reviews.Vocabulary, length: int
) -> UserTasks:
    """Tasks whose side holds what `personalize.NewUser` reads."""
    side: dict[str, np.ndarray] = {"image": np.asarray(tasks.image_ids)}
    if length:
        mask = np.asarray(tasks.mask)
        texts = np.where(mask, np.asarray(tasks.side["review"]), "")
        words, counts = vocabulary.encode(texts.ravel().tolist(), length=length)
        side["words"] = words.reshape(*mask.shape, length)
        side["length"] = counts.reshape(mask.shape)
    return dataclasses.replace(tasks, side=side)
