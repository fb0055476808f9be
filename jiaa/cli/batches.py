"""What a run's steps are fed: rows of a resident store, or images read ahead.

A store lies on the device whenever it fits (`data.store.place`). One that does not, and
one that `config.data.images` leaves in files, is read ahead of the steps, with the same
results.
"""

import logging
from typing import Any

import grain
import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P
from jaxtyping import Array, Int, Key

from jiaa.cli.options import Config, ConfigError
from jiaa.data import loader, stream
from jiaa.data.photographs import Photographs
from jiaa.data.store import usable_cores
from jiaa.meta import gather
from jiaa.train import mesh as train_mesh
from jiaa.types import ImageStore, UserTasks

logger = logging.getLogger(__name__)


def is_resident(store: ImageStore) -> bool:
    """Whether the store lies on a device, as an argument of every step."""
    return isinstance(store.content, jax.Array)


def of_images(
    config: Config,
    store: ImageStore,
    *,
    image_ids: Int[np.ndarray, " image"],
    mesh: Mesh | None,
) -> grain.DatasetIterator:
    """Generic training's batches: rows of `image_ids`, with images if need be."""
    options = {"batch_size": config.generic.batch_size, "seed": config.seed}
    if is_resident(store):
        return loader.index_batches(len(image_ids), **options)
    tell(store)
    return stream.image_batches(
        store.content,
        image_ids=image_ids,
        threads=usable_cores(),
        workers=decoders(config, store),
        sharding=placement(mesh),
        **options,
    )


def placement(mesh: Mesh | None) -> Any:
    """Where batches of images are put that are read ahead.

    None, the host, for several processes: `processes.whole_batch` puts them together.
    """
    if jax.process_count() > 1:
        return None
    return jax.local_devices()[0] if mesh is None else train_mesh.image_sharding(mesh)


def of_users(
    config: Config,
    store: ImageStore,
    tasks: UserTasks,
    *,
    sampling: Any,
    mesh: Mesh | None,
    key: Key[Array, ""],
) -> grain.DatasetIterator:
    """Meta-training's batches: rows of `tasks`, with their episodes' images if need be.

    Raises:
      ConfigError: several processes, and a store that does not fit on each device.
    """
    section = config.meta
    users, dispatch = section.users_per_step, section.iterations_per_dispatch
    if is_resident(store):
        size = users * dispatch
        return loader.index_batches(len(tasks), batch_size=size, seed=config.seed)
    check_gathering(store)
    tell(store)
    everywhere = jax.local_devices()[0]
    if mesh is not None:
        everywhere = NamedSharding(train_mesh.automatic(mesh), P())
    return gather.gathered_batches(
        tasks,
        store,
        sampling=sampling,
        users_per_step=users,
        steps_per_batch=dispatch,
        seed=config.seed,
        sharding=everywhere,
        key=key,
    )


def check_gathering(store: ImageStore) -> None:
    """Refuses several processes, of which none could gather what the others drew.

    Raises:
      ConfigError: naming the fields that help.
    """
    count = jax.process_count()
    if count > 1:
        raise ConfigError(
            f"{_found(store)} are not on the devices, and {count} processes do not "
            "gather episodes' images from elsewhere; set config.data.images='device' "
            "with a config.data.image_size that fits, or config.trunk.frozen, or start "
            "one process"
        )


def tell(store: ImageStore) -> None:
    """Logs that a store is not on the device, and what that means."""
    logger.info("%s are read ahead of the steps", _found(store))


def _found(store: ImageStore) -> str:
    if isinstance(store.content, Photographs):
        return repr(store.content)
    return f"{len(store)} images ({store.content.nbytes / 2**30:.1f} GiB)"


def decoders(config: Config, store: ImageStore) -> int:
    """Processes that decode; arrays need no decoding."""
    files = isinstance(store.content, Photographs)
    return (config.data.get("decode_workers") or 0) if files else 0
