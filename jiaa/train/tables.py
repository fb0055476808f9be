"""Large tables of embeddings, spread row by row over the devices of a mesh.

Users and images of a real site are millions: a table of 50 numbers each, with Adam's
two moments, is gigabytes. Each device holds its share of the rows; a batch looks up the
rows that it needs, and the compiler adds what has to be exchanged. All other parameters
are whole on every device.
"""

from typing import Any

import jax
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P
from jaxtyping import PyTree

from jiaa.train.mesh import automatic
from jiaa.types import TrainState

TABLE = "_table/embedding"
LARGE = 64 * 2**20  # bytes from which a table is spread
# Of rows, on any number of devices, so that a run can move between machines: 2, 4, ...
# 64 of them can share a table.
MULTIPLE = 64


def table_shardings(tree: PyTree, mesh: Mesh, *, large: int = LARGE) -> PyTree:
    """A sharding for each leaf: tables of `large` bytes or more by rows, others whole.

    A table is a leaf whose path ends in "_table/embedding", so an optimizer's moments
    are found as well. One whose rows the devices do not divide stays whole: give the
    network `table_multiple=MULTIPLE`.
    """
    whole = NamedSharding(automatic(mesh), P())
    rows = NamedSharding(automatic(mesh), P(mesh.axis_names))

    def sharding(path: Any, leaf: Any) -> NamedSharding:
        name = jax.tree_util.keystr(path, simple=True, separator="/")
        if not name.endswith(TABLE) or leaf.size * leaf.dtype.itemsize < large:
            return whole
        return whole if leaf.shape[0] % mesh.size else rows

    return jax.tree_util.tree_map_with_path(sharding, tree)


def spread(state: TrainState, mesh: Mesh | None, *, large: int = LARGE) -> TrainState:
    """The state laid out on the mesh; as it is without one."""
    if mesh is None:
        return state
    return jax.device_put(state, table_shardings(state, mesh, large=large))
