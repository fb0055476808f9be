"""How much memory one user's learning takes, and how much a device has left.

The first is an estimate from the traced program, because asking the compiler costs a
compilation (20 s for a ResNet18's inner loop on one core, the trace 1.5 s). It counts
the arrays that are alive together if the program runs in the order in which it is
written: an array lives from the operation that makes it to the last one that reads it,
an operation may write over what it reads last, and a loop's body takes its own peak
beside the loop's results. What the compiler fuses or makes twice is not seen.

Against `memory_analysis()` (temporaries and results, on a CPU) the estimate was 0.5 to
2.5 times the truth: 1.1 to 2.1 for ResNet18 of 32 to 128 pixels, 1.4 for SqueezeNet,
1.1 and 1.5 for heads on features, 2.5 for AlexNet, whose optimizer is most of it, 0.6
for a network of which the head alone adapts.
"""

import math
import os
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend import core

# A share of what is free: the estimate is good to a factor of about two.
SHARE = 0.5
LOOPS = ("scan", "while")


def peak_bytes(program: Any) -> int:
    """Bytes of temporaries and results that are alive at once in a jaxpr, at most.

    Arguments and constants are not counted: they are there before and after.

        memory.peak_bytes(jax.jit(function).trace(*arguments).jaxpr)
    """
    jaxpr: core.Jaxpr = getattr(program, "jaxpr", program)  # closed, in jax 0.10
    dying = _last_uses(jaxpr)
    sizes: dict[Any, int] = {}
    alive = peak = 0
    for equation, dead in zip(jaxpr.eqns, dying, strict=True):
        made = {v: _size(v) for v in equation.outvars}
        sizes |= made
        new = sum(made.values())
        inside = [peak_bytes(body) for body in _bodies(equation)]
        if equation.primitive.name in LOOPS:
            needed = new + max(inside)
        elif inside:
            needed = max(new, *inside)
        else:
            needed = new - sum(sizes.get(v, 0) for v in dead if _replaced(v, made))
        peak = max(peak, alive + needed)
        alive += new - sum(sizes.pop(v, 0) for v in dead)
    return peak


def _bodies(equation: core.JaxprEqn) -> list[Any]:
    """The programs that an operation runs: a loop's body, a condition's branches."""
    leaves = jax.tree.leaves(list(equation.params.values()))
    opened = [getattr(leaf, "jaxpr", leaf) for leaf in leaves]
    return [body for body in opened if isinstance(body, core.Jaxpr)]


def _last_uses(jaxpr: core.Jaxpr) -> list[list[Any]]:
    """For each operation, the arrays that nobody reads after it."""
    dying: list[list[Any]] = []
    read = {v for v in jaxpr.outvars if isinstance(v, core.Var)}
    for equation in reversed(jaxpr.eqns):
        inputs = {v for v in equation.invars if isinstance(v, core.Var)}
        dying.append([v for v in (*inputs, *equation.outvars) if v not in read])
        read |= inputs | set(equation.outvars)
    return dying[::-1]


def _replaced(dead: Any, made: dict[Any, int]) -> bool:
    """Whether an array that dies here may lie where a new one is written."""
    return dead not in made and any(dead.aval.shape == v.aval.shape for v in made)


def _size(variable: Any) -> int:
    aval = variable.aval
    if jnp.issubdtype(aval.dtype, jax.dtypes.extended):
        return 8 * math.prod(aval.shape)  # a random key: two words
    return math.prod(aval.shape) * aval.dtype.itemsize


def usable_bytes() -> int:
    """What a computation may count on, on one device of this process: half of the free.

    By `Device.memory_stats()`, or on a CPU the host's memory, which its devices share.
    Several processes compile one program and must not differ in it, so there it is half
    of the *whole* memory, rounded down: hosts of one kind then agree. On CPUs they are
    taken to be on one host, and share it.
    """
    device = jax.local_devices()[0]
    stats = device.memory_stats()
    if stats:
        total, used = stats["bytes_limit"], stats["bytes_in_use"]
        free = total - used
    else:
        shared = jax.local_device_count() * jax.process_count()
        total, free = (amount // shared for amount in host_bytes())
    if jax.process_count() > 1:
        step = 2 ** max(0, total.bit_length() - 4)
        free = total // step * step
    return max(1, int(SHARE * free))


def host_bytes() -> tuple[int, int]:
    """(all, free) memory of the host, or of the container that this process runs in."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        fields = dict(line.split(":") for line in lines)
        total, free = (
            int(fields[name].split()[0]) * 1024 for name in ("MemTotal", "MemAvailable")
        )
    except (OSError, KeyError, ValueError):  # not Linux
        total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        free = total // 2
    group = Path("/sys/fs/cgroup")
    try:
        limit, used = (
            int((group / f"memory.{name}").read_text()) for name in ("max", "current")
        )
    except (OSError, ValueError):  # no container, or one without a limit ("max")
        return total, free
    return min(total, limit), max(0, min(free, limit - used))
