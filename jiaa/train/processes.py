"""What several processes of one program, by `jax.distributed`, have to agree on.

Every process runs the same code on the same data, and the mesh spans all devices. What
a process computed for itself may differ from its neighbour's in the last bits (another
CPU, another number of threads): the first one's counts. In a single process nothing
here does anything.
"""

import contextlib
import functools
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import AxisType, Mesh, NamedSharding
from jax.sharding import PartitionSpec as P
from jaxtyping import PyTree, Shaped


def is_first() -> bool:
    """Whether this process is the one that writes files and speaks."""
    return jax.process_index() == 0


def from_first(tree: PyTree) -> PyTree:
    """The first process' numbers, in all of them; of the same shapes everywhere."""
    if jax.process_count() == 1:
        return tree
    return multihost_utils.broadcast_one_to_all(tree)


def agreed(choice: bool) -> bool:
    """The first process' choice: files may appear between two processes' looks."""
    return bool(from_first(np.int32(choice)))


def to_host(tree: PyTree) -> PyTree:
    """The tree as numpy arrays; what lies on other processes' devices is fetched.

    All processes have to call it, and all get the whole of it.
    """

    def fetched(leaf: Any) -> np.ndarray:
        if isinstance(leaf, jax.Array) and not leaf.is_fully_addressable:
            return multihost_utils.process_allgather(leaf, tiled=True)
        return np.asarray(leaf)

    return jax.tree.map(fetched, tree)


def whole_batch(batch: PyTree[Shaped[Any, "share ..."]], mesh: Mesh | None) -> Any:
    """The batch of which every process has drawn its share (`data.loader`).

    In the order of a single process: rows of the processes in turn. It is put together
    on the devices, so that the host does not wait for the step before. Row numbers are
    whole on each; images are spread over all, which have to divide them. The mesh lists
    its devices process by process, equally many of each (`mesh.user_mesh`).
    """
    processes = jax.process_count()
    if processes == 1 or mesh is None:
        return batch
    grid = mesh.devices.reshape(processes, -1)
    by_process = Mesh(grid, ("process", "local"), axis_types=(AxisType.Auto,) * 2)

    def whole(share: Any) -> jax.Array:
        shares = jax.make_array_from_process_local_data(
            NamedSharding(by_process, P("process")),
            share[None],
            (processes, *share.shape),
        )
        spread = P(by_process.axis_names) if share.ndim > 1 else P()
        return _in_turn(shares, NamedSharding(by_process, spread))

    return jax.tree.map(whole, batch)


@functools.partial(jax.jit, static_argnums=1)
def _in_turn(shares: jax.Array, sharding: NamedSharding) -> jax.Array:
    rows = jnp.swapaxes(shares, 0, 1).reshape(-1, *shares.shape[2:])
    return jax.lax.with_sharding_constraint(rows, sharding)


def wait_for_all(name: str) -> None:
    """Returns when all processes are here; `name` tells places apart."""
    if jax.process_count() > 1:
        multihost_utils.sync_global_devices(name)


@contextlib.contextmanager
def first_before_others(name: str, *, enabled: bool = True) -> Iterator[None]:
    """The first process goes through the block alone, and then all others do.

    For what leaves a file that others then read (on a shared disk), such as decoded
    images; on disks of their own they each make theirs.
    """
    if enabled and not is_first():
        wait_for_all(name)
    yield
    if enabled and is_first():
        wait_for_all(name)
