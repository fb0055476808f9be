"""Which devices a command uses: all there are, of all processes, without being asked.

JAX_COORDINATOR_ADDRESS  host:port of process 0, and with it
JAX_NUM_PROCESSES        how many processes there are, and
JAX_PROCESS_ID           which one this is (`scripts/launch_local` sets all three);
JIAA_DISTRIBUTED=auto    or let JAX find them out: Slurm, Open MPI, TPU pods.
"""

import contextlib
import logging
import os
import sys
import traceback
from collections.abc import Iterator

import jax
from jax.sharding import Mesh

from jiaa.cli.options import ConfigError
from jiaa.models.convolution_mixed import prefer_eigen
from jiaa.train import mesh as train_mesh
from jiaa.train.loop import SIGTERM_EXIT_CODE

ADDRESS, COUNT, INDEX = (
    "JAX_COORDINATOR_ADDRESS",
    "JAX_NUM_PROCESSES",
    "JAX_PROCESS_ID",
)
AUTO = "JIAA_DISTRIBUTED"
NOT_FOUND = (AssertionError, RuntimeError)  # what JAX raises without a device
CHOSEN = ("JAX_PLATFORMS", "JAX_NUM_CPU_DEVICES")

logger = logging.getLogger(__name__)


def connect() -> None:
    """Joins the processes that the environment names; before any computation.

    On a CPU, convolutions are left to Eigen (docs/speed_layers.md), and several devices
    leave threads for their products (`train.mesh.spare_threads`).

    Raises:
      ValueError: the environment says half of it, or asks for devices that JAX does not
        find.
    """
    prefer_eigen()
    train_mesh.spare_threads()
    told = {name: os.environ.get(name) for name in (ADDRESS, COUNT, INDEX)}
    automatic = os.environ.get(AUTO, "")
    if automatic not in ("", "auto"):
        raise ValueError(f"{AUTO}={automatic!r}; expected 'auto', or leave it unset")
    if automatic:
        jax.distributed.initialize()
    elif told[COUNT] or told[INDEX]:
        _initialise(told)
    _check_found()


def _check_found() -> None:
    try:
        jax.local_devices()
    except NOT_FOUND as error:
        told = [f"{name}={os.environ[name]!r}" for name in CHOSEN if name in os.environ]
        raise ValueError(
            f"JAX finds no device with {', '.join(told) or 'its defaults'} "
            f"({str(error) or type(error).__name__}); expected one at least. Correct "
            f"or unset {' and '.join(CHOSEN)}, or install JAX for this device"
        ) from error


def _initialise(told: dict[str, str | None]) -> None:
    try:
        count, index = int(told[COUNT] or ""), int(told[INDEX] or "")
        wrong = not told[ADDRESS] or not 0 <= index < count
    except ValueError:
        wrong, count, index = True, 0, 0
    if wrong:
        said = ", ".join(f"{name}={value or ''}" for name, value in told.items())
        raise ValueError(
            f"{said}; expected host:port, a number of processes, and this one's number "
            f"from 0. Set all three (scripts/launch_local does), or {AUTO}=auto under "
            "Slurm, Open MPI and on TPU pods, or none of them"
        )
    jax.distributed.initialize(told[ADDRESS], num_processes=count, process_id=index)


def _is_alone() -> bool:
    """Whether there is one process, also where JAX finds no device to count them by."""
    try:
        return jax.process_count() == 1
    except NOT_FOUND:
        return not any(os.environ.get(name) for name in (COUNT, INDEX, AUTO))


@contextlib.contextmanager
def failing_at_once() -> Iterator[None]:
    """A process that fails among several ends there and then, with code 1.

    Otherwise it would wait at JAX's exit for the others, who wait for it. Stopped by
    SIGTERM, they all leave together.
    """
    try:
        yield
    except (Exception, SystemExit) as error:
        code = error.code if isinstance(error, SystemExit) else None
        if _is_alone() or code == SIGTERM_EXIT_CODE:
            raise
        if isinstance(code, str):
            print(code, file=sys.stderr)
        else:
            traceback.print_exc()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(1)


def for_users(users: int, what: str) -> Mesh | None:
    """The fewest devices on which `users` are done as soon as on all; None: one device.

    Seven users on four devices take two rounds, with one place left empty; six take two
    rounds on three devices as well.
    """
    rounds = -(-users // jax.device_count())
    return _mesh(-(-users // rounds), f"{users} {what}")


def for_batch(images: int, field: str) -> Mesh | None:
    """The most devices that divide a batch of `images`; None: one device.

    Raises:
      ConfigError: no number that gives each process a device divides it.
    """
    processes, local = jax.process_count(), jax.local_device_count()
    fitting = [
        processes * each
        for each in range(1, local + 1)
        if not images % (processes * each)
    ]
    if not fitting:
        raise ConfigError(
            f"config.{field}={images} does not divide into {processes} processes; use "
            f"a multiple of {processes}, such as {-(-images // processes) * processes}"
        )
    return _mesh(fitting[-1], f"{images} images a batch")


def for_one() -> Mesh | None:
    """One device, or one of each process, which then all compute the same."""
    return _mesh(1, "users visited one after another")


def _mesh(count: int, what: str) -> Mesh | None:
    """A mesh of at least `count` devices, as many of each process; None for one."""
    processes, total = jax.process_count(), jax.device_count()
    each = min(-(-count // processes), jax.local_device_count())
    used = each * processes
    tell = logger.warning if used < total else logger.info
    tell("%s: on %d of %d devices", what, used, total)
    if used == 1:
        return None
    chosen = []
    for process in range(processes):
        own = [one for one in jax.devices() if one.process_index == process]
        chosen += own[:each]
    return train_mesh.user_mesh(chosen)
