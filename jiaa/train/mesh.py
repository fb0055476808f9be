"""Users over the devices of a mesh, by `jax.shard_map`; a batch of images, by `jit`.

A user's learning talks to nobody, so users are spread over *all* axes of a mesh,
whatever their names: eight devices as "user" 8, or as "user" 4 x "data" 2, or a mesh of
your own, give the same numbers at the same speed.

Not `jax.pmap`, which is in maintenance mode and itself built on `shard_map`; nor `jit`
with shardings, because the partitioner puts all-gathers around the grouped convolutions
that per-user kernels become.

`shard_map` runs here with `check_vma=False`. With the check, parameters that all
devices share count as unvarying, and `jax.grad` inside an inner loop silently sums
their gradient over the devices; one would have to cast them, and any constant that
starts a scan, by `jax.lax.pcast`. Without it, a device differentiates its own users
alone, and whatever can be vmapped can be sharded.
"""

import os
import re
from collections.abc import Callable, Collection, Sequence
from typing import Any

import jax
import jax.core
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jax.sharding import AxisType, Mesh, NamedSharding
from jax.sharding import PartitionSpec as P
from jaxtyping import Array, Bool, PyTree

USER, DATA = "user", "data"
THREADS = "NPROC"  # how many threads XLA's pool has on a CPU; its cores by default
_FORCED = re.compile(r"--xla_force_host_platform_device_count=(\d+)")


def spare_threads() -> None:
    """Gives XLA's pool more threads than a CPU has devices; before JAX finds any.

    Each device's program holds a thread, and may wait for a product that the pool's
    others compute. With as many devices as threads none is left, and all wait for ever:
    seen with jaxlib 0.10 and nu-SVR on four devices. A number of threads that the
    environment gives stays as it is.
    """
    forced = _FORCED.findall(os.environ.get("XLA_FLAGS", ""))
    asked = getattr(jax.config, "jax_num_cpu_devices", 1)
    devices = max(asked, *map(int, forced[-1:]), 1)
    if devices > 1:
        os.environ.setdefault(THREADS, str((os.cpu_count() or 1) + devices))


def user_mesh(devices: Sequence[jax.Device] | None = None, *, data: int = 1) -> Mesh:
    """A mesh with the axes "user" and "data"; all devices, unless some are given.

    `data` is the length of the second axis.

    Raises:
        ValueError: `data` does not divide the devices.
    """
    devices = jax.devices() if devices is None else list(devices)
    if len(devices) % data:
        raise ValueError(
            f"data={data} does not divide the {len(devices)} devices. "
            f"Use a divisor of {len(devices)}."
        )
    grid = np.asarray(devices).reshape(-1, data)
    return Mesh(grid, (USER, DATA), axis_types=(AxisType.Auto, AxisType.Auto))


def pad_users(tree: PyTree, *, multiple: int) -> tuple[PyTree, Bool[Array, " user"]]:
    """The tree with users added up to a multiple, and which users are real.

    What is added repeats the last user, whose values are sure to be finite. Every leaf
    has a leading user axis of the same length.
    """
    users = _count(tree)
    rows = jnp.arange(-(-users // multiple) * multiple)
    padded = jax.tree.map(lambda x: jnp.asarray(x)[jnp.minimum(rows, users - 1)], tree)
    return padded, rows < users


def shard_users(
    function: Callable[..., PyTree], mesh: Mesh | None, *, user_args: Collection[int]
) -> Callable[..., PyTree]:
    """`function` of all users -> the same, each device running its share of the users.

    The positional arguments numbered in `user_args`, and every result, are trees with a
    leading user axis, which is spread over all axes of the mesh; all other arguments
    (prior, store, key) are whole on every device. Any number of users goes: padding is
    added and cut off. No mesh, no change.

        adapt_all = shard_users(jax.vmap(adapt, (None, 0)), mesh, user_args=[1])

    Raises:
        ValueError: when called, if the arguments' numbers of users differ.
    """
    if mesh is None:
        return function

    def sharded(*args):
        padded, _, users = _padded(args, user_args, mesh)
        run = jax.shard_map(
            function,
            mesh=automatic(mesh),
            in_specs=_specs(args, user_args, mesh),
            out_specs=P(mesh.axis_names),
            check_vma=False,
        )
        return jax.tree.map(lambda x: x[:users], run(*padded))

    return sharded


def shard_user_sum(
    function: Callable[..., PyTree], mesh: Mesh | None, *, user_args: Collection[int]
) -> Callable[..., PyTree]:
    """The same for `function(*args, real=...) -> sum over users`, for outer updates.

    `real` [user] tells the function which users to leave out of its sum. The devices'
    sums are added by a single all-reduce, behind `function`: it differentiates for each
    user and returns the sum of that, not a sum to be differentiated.

    Raises:
        ValueError: when called, if the arguments' numbers of users differ.
    """
    if mesh is None:

        def alone(*args):
            users = _count(args[min(user_args)])
            return function(*args, real=jnp.ones(users, bool))

        return alone

    def share(real, *args):
        flat, unravel = ravel_pytree(function(*args, real=real))
        return unravel(jax.lax.psum(flat, mesh.axis_names))

    def sharded(*args):
        padded, real, _ = _padded(args, user_args, mesh)
        run = jax.shard_map(
            share,
            mesh=automatic(mesh),
            in_specs=(P(mesh.axis_names), *_specs(args, user_args, mesh)),
            out_specs=P(),
            check_vma=False,
        )
        return run(real, *padded)

    return sharded


def shard_images(tree: PyTree, mesh: Mesh | None) -> PyTree:
    """The tree with its leading axis, a batch of images, spread over all devices.

    For steps in which images share one set of parameters, under `jit`: the compiler
    splits the work and adds what has to be added, BatchNorm's sums included, so that
    the numbers are those of one device. No mesh, no change.

    Raises:
        ValueError: the devices do not divide the images.
    """
    if mesh is None:
        return tree
    images = _count(tree)
    if images % mesh.size:
        raise ValueError(
            f"a batch of {images} images does not divide into {mesh.size} devices; "
            f"use a multiple of {mesh.size}, such as {-(-images // mesh.size)} x "
            f"{mesh.size} = {-(-images // mesh.size) * mesh.size}."
        )
    return jax.lax.with_sharding_constraint(tree, image_sharding(mesh))


def image_sharding(mesh: Mesh) -> NamedSharding:
    """How `shard_images` lays a batch out over the devices."""
    return NamedSharding(automatic(mesh), P(mesh.axis_names))


def replicate(tree: PyTree, mesh: Mesh | None) -> PyTree:
    """The tree whole on every device of the mesh; as it is if there is none.

    A step whose state does not start there is compiled a second time, for the state
    that it returned. Under `jit` it says where a result is to lie. On a mesh of several
    processes each one gives its own copy, and they have to be equal: nothing is sent
    and nothing compared (`processes.from_first` makes them so).
    """
    if mesh is None:
        return tree
    whole = NamedSharding(automatic(mesh), P())
    if whole.is_fully_addressable:
        return jax.device_put(tree, whole)
    return jax.tree.map(lambda leaf: _among_processes(leaf, whole), tree)


def _among_processes(leaf: Any, sharding: NamedSharding) -> jax.Array:
    """`jax.device_put` compares such an array across processes first: gigabytes."""
    if isinstance(leaf, jax.core.Tracer):
        return jax.device_put(leaf, sharding)
    if isinstance(leaf, jax.Array):
        if not leaf.is_fully_addressable:
            return jax.device_put(leaf, sharding)
        if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            data = _among_processes(jax.random.key_data(leaf), sharding)
            return jax.random.wrap_key_data(data, impl=jax.random.key_impl(leaf))
    host = np.asarray(leaf)
    host = host.astype(jax.dtypes.canonicalize_dtype(host.dtype), copy=False)
    return jax.make_array_from_callback(
        host.shape, sharding, lambda index: np.asarray(host[index])
    )


def automatic(mesh: Mesh) -> Mesh:
    """The mesh with automatic axes, whatever they were (`jax.make_mesh`: explicit)."""
    types = (AxisType.Auto,) * len(mesh.axis_names)
    return Mesh(mesh.devices, mesh.axis_names, axis_types=types)


def _padded(
    args: tuple[Any, ...], user_args: Collection[int], mesh: Mesh
) -> tuple[list[PyTree], Array, int]:
    """The arguments with their users padded, which users are real, and their number."""
    counts = {number: _count(args[number]) for number in user_args}
    if len(set(counts.values())) != 1:
        raise ValueError(
            f"arguments (number: users) {counts} differ in their number of users; "
            "expected one number, on the leading axis. Check user_args."
        )
    many = {number: args[number] for number in user_args}
    many, real = pad_users(many, multiple=mesh.size)
    padded = [many.get(number, arg) for number, arg in enumerate(args)]
    return padded, real, next(iter(counts.values()))


def _specs(
    args: tuple[Any, ...], user_args: Collection[int], mesh: Mesh
) -> tuple[P, ...]:
    return tuple(
        P(mesh.axis_names) if i in user_args else P() for i in range(len(args))
    )


def _count(tree: PyTree) -> int:
    sizes = {jnp.shape(leaf)[0] for leaf in jax.tree.leaves(tree)}
    if len(sizes) != 1:
        raise ValueError(
            f"leading axes of lengths {sorted(sizes)}; expected the same number of "
            "users in every leaf. Put what users share into an argument of its own."
        )
    return sizes.pop()
