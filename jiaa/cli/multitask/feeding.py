"""What steps of several tasks are fed: rows of resident images, or images read ahead.

Both ways take the same examples in the same order, so a run may go on with the other.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

import grain
import jax
import jax.numpy as jnp

from jiaa.cli import batches as of_one
from jiaa.cli.options import Config, ConfigError
from jiaa.data import loader, stream
from jiaa.data import store as data_store
from jiaa.data.photographs import Photographs
from jiaa.train.multitask import Labelled


@dataclasses.dataclass(frozen=True, eq=False)
class Feed:
    """Batches of every source, and the images and labels that their rows count in.

    `resident` is None where batches bring images and labels along.
    """

    batches: grain.DatasetIterator
    resident: Mapping[str, Labelled] | None


def feed(config: Config, sources: Mapping[str, Labelled]) -> Feed:
    """Rows where all sources fit on the device together, else images read ahead.

    Raises:
      ConfigError: a batch that exceeds a source.
    """
    size = config.generic.batch_size
    for name, given in sources.items():
        if size > len(given):
            raise ConfigError(
                f"config.generic.batch_size={size} exceeds the {len(given)} examples "
                f"of {name!r}; set it to {len(given)} or less"
            )
    placed = {name: _placed(given) for name, given in sources.items()}
    if all(of_one.is_resident(given.store) for given in placed.values()):
        rows = {
            name: loader.index_batches(
                len(given), batch_size=size, seed=config.seed + number
            )
            for number, (name, given) in enumerate(placed.items())
        }
        return Feed(_Together(rows), placed)
    return Feed(_read_ahead(config, sources), None)


def _read_ahead(config: Config, sources: Mapping[str, Labelled]) -> stream.ReadAhead:
    size = config.generic.batch_size
    files = [isinstance(x.store.content, Photographs) for x in sources.values()]
    return stream.joint_batches(
        {name: stream.Stream(given, size) for name, given in sources.items()},
        seed=config.seed,
        threads=data_store.usable_cores(),
        # Processes get a copy of what they read: of files, that is their names.
        workers=(config.data.get("decode_workers") or 0) if all(files) else 0,
        sharding=jax.local_devices()[0],
    )


def _placed(given: Labelled) -> Labelled:
    """The same with arrays on the device, where its images fit."""
    store = data_store.place(given.store)
    labels = {name: jnp.asarray(x) for name, x in given.labels.items()}
    return Labelled(jnp.asarray(given.image_ids), labels, store)


class _Together(grain.DatasetIterator):
    """One batch of each source a step, whose positions are saved together.

    The state is that of `stream.ReadAhead`: all sources stand at the same batch.
    """

    def __init__(self, feeds: Mapping[str, grain.DatasetIterator]):
        super().__init__()
        self._feeds, self._next = feeds, 0

    def __next__(self) -> dict[str, Any]:
        rows = {name: jnp.asarray(next(feed)) for name, feed in self._feeds.items()}
        self._next += 1
        return rows

    def get_state(self) -> dict[str, int]:
        """The position, for a checkpoint."""
        return {"next_index": self._next}

    def set_state(self, state: dict[str, int]) -> None:
        """Goes to a position."""
        self._next = state["next_index"]
        for feed in self._feeds.values():
            feed.set_state(dict(state))
