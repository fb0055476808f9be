"""What steps of several tasks are fed: rows of resident images, or images read ahead.

Both ways take the same examples in the same order, so a run may go on with the other.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

import grain
import jax.numpy as jnp
from jax.sharding import Mesh

from jiaa.cli import batches as of_one
from jiaa.cli import problem
from jiaa.cli.options import Config, ConfigError
from jiaa.data import loader, stream
from jiaa.data.store import usable_cores
from jiaa.train.mesh import replicate
from jiaa.train.multitask import Labelled
from jiaa.types import ImageStore


@dataclasses.dataclass(frozen=True, eq=False)
class Feed:
    """Batches of every source, and the images and labels that their rows count in.

    `resident` is None where batches bring images and labels along.
    """

    batches: grain.DatasetIterator
    resident: Mapping[str, Labelled] | None


def feed(config: Config, sources: Mapping[str, Labelled], mesh: Mesh | None) -> Feed:
    """Rows where all sources fit on the devices together, else images read ahead.

    Resident images and labels lie whole on every device of the mesh.

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
    # Two tasks on the same photographs share them on the device.
    stores = {id(given.store): given.store for given in sources.values()}
    stores = {which: problem.placed(store, mesh) for which, store in stores.items()}
    resident = {
        name: _resident(given, stores[id(given.store)], mesh)
        for name, given in sources.items()
    }
    if all(of_one.is_resident(given.store) for given in resident.values()):
        rows = {
            name: loader.index_batches(
                len(given), batch_size=size, seed=config.seed + number
            )
            for number, (name, given) in enumerate(resident.items())
        }
        return Feed(_Together(rows), resident)
    return Feed(_read_ahead(config, sources, mesh), None)


def _read_ahead(
    config: Config, sources: Mapping[str, Labelled], mesh: Mesh | None
) -> stream.ReadAhead:
    size = config.generic.batch_size
    for given in sources.values():
        of_one.tell(given.store)
    return stream.joint_batches(
        {name: stream.Stream(given, size) for name, given in sources.items()},
        seed=config.seed,
        threads=usable_cores(),
        # Processes get a copy of what they read: of files, that is their names.
        workers=min(of_one.decoders(config, x.store) for x in sources.values()),
        sharding=of_one.placement(mesh),
    )


def _resident(given: Labelled, store: ImageStore, mesh: Mesh | None) -> Labelled:
    """The same with arrays on the devices, where its images, `store`, fit."""
    if not of_one.is_resident(store):
        return given
    labels = {name: jnp.asarray(x) for name, x in given.labels.items()}
    ids, labels = replicate((jnp.asarray(given.image_ids), labels), mesh)
    return Labelled(ids, labels, store)


class _Together(grain.DatasetIterator):
    """One batch of each source a step, whose positions are saved together.

    The state is that of `stream.ReadAhead`: all sources stand at the same batch.
    """

    def __init__(self, feeds: Mapping[str, grain.DatasetIterator]):
        super().__init__()
        self._feeds, self._next = feeds, 0

    def __next__(self) -> dict[str, Any]:
        rows = {name: next(feed) for name, feed in self._feeds.items()}
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
