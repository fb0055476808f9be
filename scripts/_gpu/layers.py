"""The rows that a GPU's tables of choices lack: convolutions, and the user axis.

"kinds": each of a convolution's three maps in each way that jiaa knows; with a kernel a
user, "library" is the grouped convolution that XLA makes of `vmap`, "patches" a batched
matrix product, "loop" one user after another. "rules": a meta-iteration of heads and of
small networks by `vmap` and by `map`.
"""

from typing import Any

from scripts import bench_convolution, bench_scaling
from scripts._gpu.bench import Bench
from scripts._gpu.lines import Line, Lines

CALLS = 10  # started together: a layer takes less time than starting it


def kinds(lines: Lines, job: Line, ends: float) -> None:
    """The part "kinds", the rows for `convolution_mixed.CHOICES`."""
    bench = Bench(lines, job, ends)
    for precision in bench.size.precisions:
        for name, layer in bench.size.layers.items():
            for operation in bench_convolution.OPERANDS:
                if operation == "input_gradient" and layer.channels == 3:
                    continue
                _layer(bench, name, layer, operation, precision)


def _layer(
    bench: Bench,
    name: str,
    layer: bench_convolution.Layer,
    operation: str,
    precision: str,
) -> None:
    """One map of one layer: each way of jiaa's, and PyTorch's."""
    facts: dict[str, Any] = {
        "group": f"{name}, {operation}, {precision}",
        "work": 1,
        "unit": "calls/s",
        "calls": CALLS,
        "floor": _floor(layer, precision),
        "precision": precision,
        "layer": layer._asdict(),
    }
    ways: dict[str, Any] = {}
    if "jiaa" in bench.sides:
        ways = bench_convolution.jiaa_starts(layer, operation, dtype=precision)
    for way, start in ways.items():
        chosen = way == _chosen(layer, operation)
        bench.measure("jiaa", way, lambda start=start: start, chosen=chosen, **facts)
    bench.measure(
        "torch",
        "one user after another" if layer.users else "conv2d",
        lambda: bench_convolution.torch_start(
            layer, operation, device=bench.device, dtype=precision
        ),
        **facts,
    )


def _chosen(layer: bench_convolution.Layer, operation: str) -> str:
    """The way that jiaa's own table takes on this device today."""
    from jiaa.models import convolution_mixed

    geometry = bench_convolution.geometry_of(layer)
    return convolution_mixed.choose(operation, geometry, users=bool(layer.users))


def _floor(layer: bench_convolution.Layer, precision: str) -> tuple[float, float, str]:
    """Operations and bytes of any of the three maps: two operands in, one out."""
    users, taps = max(layer.users, 1), layer.kernel**2
    height, width = bench_convolution.geometry_of(layer).counts
    outputs = layer.images * height * width * layer.features
    inputs = layer.images * layer.size**2 * layer.channels
    read = 1 if layer.depthwise else layer.channels  # channels, for each output
    kernel = taps * read * layer.features
    bytes_each = 4 if precision == "float32" else 2
    operations = 2 * outputs * taps * read
    moved = bytes_each * (outputs + inputs + kernel)
    return users * operations, users * moved, precision


def rules(lines: Lines, job: Line, ends: float) -> None:
    """The part "rules", the rows for `task_axis.RULES`; jiaa alone."""
    bench = Bench(lines, job, ends)
    for point in bench.size:
        for strategy in ("vmap", "map"):
            made: dict[str, Any] = {}
            bench.measure(
                "jiaa",
                strategy,
                lambda point=point, strategy=strategy, made=made: _iteration(
                    point, strategy, made
                ),
                group=f"user axis, {point.row}",
                work=point.users,
                unit="users/s",
                check=lambda _, made=made: made,
                precision="float32",
                point=point._asdict(),
            )


def _iteration(point: Any, strategy: str, made: dict[str, Any]) -> Any:
    """A meta-iteration; `made` gets what `auto` reckons and would choose."""
    import dataclasses

    import jax
    import jax.numpy as jnp

    point = point._replace(strategy=strategy)
    step, prior = bench_scaling.make_step(point, None)
    state = step.init_state(prior, key=jax.random.key(0))
    arguments = (state, jnp.arange(point.users), *bench_scaling.make_data(point))
    with bench_scaling.Overheard() as heard:
        jax.jit(dataclasses.replace(step, strategy="auto")).trace(*arguments)
    made.update(heard.choice)
    run = jax.jit(step)
    return lambda: run(*arguments)
