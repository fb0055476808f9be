"""What the device can do at all: a large copy, and large products of matrices.

Shares of the roofline are shares of these rates, not of a vendor's.
"""

from typing import Any

from scripts._gpu.bench import Bench
from scripts._gpu.lines import Line, Lines


def figures(lines: Lines, job: Line, ends: float) -> None:
    """The part "device"."""
    bench = Bench(lines, job, ends)
    numbers, side = bench.size
    for precision in ("bfloat16", "float32"):
        for name, make in (("jiaa", jax_product), ("torch", torch_product)):
            bench.measure(
                name,
                f"product of {side} x {side}",
                lambda make=make, precision=precision: make(
                    side, precision, bench.device
                ),
                group=f"product, {precision}",
                work=2 * side**3 / 1e12,
                unit="TFLOP/s",
                calls=10,
                precision=precision,
                ceiling=precision,
                scale=1e12,
            )
    for name, make in (("jiaa", jax_copy), ("torch", torch_copy)):
        bench.measure(
            name,
            f"copy of {4 * numbers / 1e6:.3g} MB",
            lambda make=make: make(numbers, bench.device),
            group="copy",
            work=2 * 4 * numbers / 1e9,
            unit="GB/s",
            calls=10,
            ceiling="bytes",
            scale=1e9,
        )


def jax_product(side: int, precision: str, device: str) -> Any:
    """A product of random matrices, in JAX."""
    import jax

    keys = jax.random.split(jax.random.key(0), 2)
    a, b = (jax.random.normal(key, (side, side), precision) for key in keys)
    product = jax.jit(lambda a, b: a @ b)
    return lambda: product(a, b)


def torch_product(side: int, precision: str, device: str) -> Any:
    """A product of random matrices, in PyTorch."""
    import torch

    options = {"dtype": getattr(torch, precision), "device": device}
    a, b = (torch.randn(side, side, **options) for _ in range(2))
    return lambda: a @ b


def jax_copy(count: int, device: str) -> Any:
    """One addition to each of many floats, in JAX."""
    import jax

    x = jax.random.normal(jax.random.key(0), (count,))
    add = jax.jit(lambda x: x + 1)
    return lambda: add(x)


def torch_copy(count: int, device: str) -> Any:
    """One addition to each of many floats, in PyTorch."""
    import torch

    x = torch.randn(count, device=device)
    return lambda: x + 1
