"""The layers of the backbones, one by one: the rows behind `convolution_mixed.CHOICES`.

    python scripts/bench_convolution.py --threads 1
    python scripts/bench_convolution.py --threads 1 --rows B E b e
    python scripts/bench_convolution.py --threads 1 --rows U1 U2 U3
    python scripts/bench_convolution.py --threads 1 --rows L1 L2 L3 L4 L5 L6 L7
    python scripts/bench_convolution.py --device gpu

A row is a layer's shape; for each of a convolution's three maps there is a line, with
the milliseconds of each way that `convolution_maps` knows and of PyTorch's (channels
last). "chosen" is what `CHOICES` take, "ratio" PyTorch's time over that one's: above 1,
jiaa is faster. Capitals are layers at 224 px and 16 images (A to E: ResNet18, S:
SqueezeNet, X: AlexNet), small letters ResNet18's at 64 px and 32 images. In the rows U
each of 4 users has a kernel: "loop" takes one user after another as for one kernel,
"library" is what XLA makes of `vmap`, a grouped convolution. The rows L are depthwise
layers of EfficientNet-Lite2 at 260 px and 8 images ("taps": `convolution_taps`). Times
are the least of all rounds, because other programs only ever add to them.
"""

import argparse
import functools
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

# `scripts` is imported from the repository's root.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from scripts import _benchmark


class Layer(NamedTuple):
    """A layer's shape; `users` 0: one kernel for all images."""

    images: int
    size: int
    channels: int
    features: int
    kernel: int
    stride: int
    padding: int
    users: int = 0
    depthwise: bool = False


def _depthwise(size: int, channels: int, kernel: int, stride: int) -> Layer:
    padding = kernel // 2
    return Layer(8, size, channels, channels, kernel, stride, padding, depthwise=True)


LAYERS = {
    "A": Layer(16, 224, 3, 64, 7, 2, 3),
    "B": Layer(16, 56, 64, 64, 3, 1, 1),
    "B2": Layer(16, 56, 64, 128, 3, 2, 1),
    "C": Layer(16, 28, 128, 128, 3, 1, 1),
    "C2": Layer(16, 28, 128, 256, 3, 2, 1),
    "D": Layer(16, 14, 256, 256, 3, 1, 1),
    "D2": Layer(16, 14, 256, 512, 3, 2, 1),
    "E": Layer(16, 7, 512, 512, 3, 1, 1),
    "S0": Layer(16, 224, 3, 64, 3, 2, 0),
    "S1": Layer(16, 55, 16, 64, 3, 1, 1),
    "S2": Layer(16, 27, 32, 128, 3, 1, 1),
    "S3": Layer(16, 13, 64, 256, 3, 1, 1),
    "X0": Layer(16, 224, 3, 64, 11, 4, 2),
    "X1": Layer(16, 27, 64, 192, 5, 1, 2),
    "X2": Layer(16, 13, 192, 384, 3, 1, 1),
    "a": Layer(32, 64, 3, 64, 7, 2, 3),
    "b": Layer(32, 16, 64, 64, 3, 1, 1),
    "b2": Layer(32, 16, 64, 128, 3, 2, 1),
    "c": Layer(32, 8, 128, 128, 3, 1, 1),
    "c2": Layer(32, 8, 128, 256, 3, 2, 1),
    "d": Layer(32, 4, 256, 256, 3, 1, 1),
    "d2": Layer(32, 4, 256, 512, 3, 2, 1),
    "e": Layer(32, 2, 512, 512, 3, 1, 1),
    "U1": Layer(16, 56, 64, 64, 3, 1, 1, users=4),
    "U2": Layer(32, 16, 64, 64, 3, 1, 1, users=4),
    "U3": Layer(32, 2, 512, 512, 3, 1, 1, users=4),
    "L1": _depthwise(130, 32, 3, 1),
    "L2": _depthwise(130, 96, 3, 2),
    "L3": _depthwise(65, 144, 3, 1),
    "L4": _depthwise(65, 144, 5, 2),
    "L5": _depthwise(33, 288, 5, 1),
    "L6": _depthwise(17, 528, 3, 1),
    "L7": _depthwise(9, 1248, 5, 1),
}


@functools.lru_cache(maxsize=1)
def arrays_of(layer: Layer) -> dict[str, Any]:
    """Random images, kernel and output, with a user axis where the layer has one."""
    import numpy as np

    rng = np.random.default_rng(0)
    counts = geometry_of(layer).counts
    k, leading = layer.kernel, (layer.users,) if layer.users else ()
    shapes = {
        "x": (layer.images, layer.size, layer.size, layer.channels),
        "kernel": (k, k, 1 if layer.depthwise else layer.channels, layer.features),
        "y": (layer.images, *counts, layer.features),
    }
    return {
        name: rng.standard_normal((*leading, *shape), np.float32)
        for name, shape in shapes.items()
    }


def geometry_of(layer: Layer) -> Any:
    """The layer as `convolution_maps` describes it."""
    from jiaa.models.convolution_maps import Geometry

    around = (layer.padding, layer.padding)
    return Geometry(
        size=(layer.size, layer.size),
        kernel=(layer.kernel, layer.kernel),
        channels=layer.channels,
        strides=(layer.stride, layer.stride),
        padding=(around, around),
        depthwise=layer.depthwise,
    )


OPERANDS = {
    "output": ("x", "kernel"),
    "input_gradient": ("y", "kernel"),
    "kernel_gradient": ("x", "y"),
}


def jiaa_ways(
    layer: Layer, operation: str, *, dtype: str = "float32"
) -> dict[str, Callable[[], Any]]:
    """Each way to compute `operation`, waiting for its result."""
    import jax

    def waiting(way):
        return lambda: jax.block_until_ready(way())

    started = jiaa_starts(layer, operation, dtype=dtype)
    return {name: waiting(way) for name, way in started.items()}


def jiaa_starts(
    layer: Layer, operation: str, *, dtype: str = "float32"
) -> dict[str, Callable[[], Any]]:
    """Each way to compute `operation`, not waiting for its result."""
    import jax
    import jax.numpy as jnp

    from jiaa.models import convolution_mixed

    geometry, arrays = geometry_of(layer), arrays_of(layer)
    a, b = (jnp.asarray(arrays[name], dtype) for name in OPERANDS[operation])
    ways = {
        name: lambda a, b, way=way: way(a, b, geometry)
        for name, way in convolution_mixed.implementations(geometry)[operation].items()
    }
    if layer.users:
        ways = {name: jax.vmap(way) for name, way in ways.items()}
        one = convolution_mixed.operations(geometry)[operation]
        ways["loop"] = lambda a, b: jax.lax.map(lambda ab: one(*ab), (a, b))
    compiled = {name: jax.jit(way) for name, way in ways.items()}
    return {name: lambda way=way: way(a, b) for name, way in compiled.items()}


def torch_way(
    layer: Layer, operation: str, *, device: str = "cpu"
) -> Callable[[], Any]:
    """PyTorch's, one user after another, waiting for its result."""
    import torch

    start = torch_start(layer, operation, device=device)

    def run():
        results = start()
        if device == "cuda":
            torch.cuda.synchronize()
        return results

    return run


def torch_start(
    layer: Layer, operation: str, *, device: str = "cpu", dtype: str = "float32"
) -> Callable[[], Any]:
    """PyTorch's, one user after another, not waiting for its result."""
    import torch

    arrays = arrays_of(layer)
    strides, padding = (layer.stride,) * 2, (layer.padding,) * 2
    groups = layer.channels if layer.depthwise else 1

    def placed(name, user):
        array = arrays[name][user] if layer.users else arrays[name]
        tensor = torch.from_numpy(array).to(device, getattr(torch, dtype))
        axes = (3, 2, 0, 1) if name == "kernel" else (0, 3, 1, 2)
        return tensor.permute(axes).contiguous(memory_format=torch.channels_last)

    users = range(max(layer.users, 1))
    given = [{name: placed(name, user) for name in arrays} for user in users]

    def one(x, kernel, y):
        if operation == "output":
            options = {"stride": strides, "padding": padding, "groups": groups}
            return torch.nn.functional.conv2d(x, kernel, None, **options)
        wanted = (operation == "input_gradient", operation == "kernel_gradient", False)
        return torch.ops.aten.convolution_backward(
            *(y, x, kernel, None, strides, padding, (1, 1)),
            *(False, (0, 0), groups, wanted),
        )

    return lambda: [one(**tensors) for tensors in given]


def measure(
    name: str, *, repeats: int, device: str = "cpu", clock: str = "wall"
) -> list[_benchmark.Row]:
    """A line for each map; images have no gradient that training would need."""
    from jiaa.models import convolution_mixed

    layer = LAYERS[name]
    rows = []
    for operation in OPERANDS:
        if operation == "input_gradient" and layer.channels == 3:
            continue
        runs = jiaa_ways(layer, operation)
        runs["torch"] = torch_way(layer, operation, device=device)
        for run in runs.values():
            run()
        times = _benchmark.interleaved(runs, repeats=repeats)
        least = {way: 1e3 * min(getattr(t, clock)) for way, t in times.items()}
        chosen = convolution_mixed.choose(
            operation, geometry_of(layer), users=bool(layer.users)
        )
        ratio = least["torch"] / least[chosen]
        ways = {way: least.get(way) for way in ("library", "patches", "derived")}
        ways |= {"taps": least.get("taps")} if layer.depthwise else {}
        loop = {"loop": least.get("loop")} if layer.users else {}
        rows.append(
            {
                "row": name,
                "map": operation,
                **ways,
                **loop,
                "torch": least["torch"],
                "chosen": chosen,
                "ratio": ratio,
            }
        )
    return rows


def main() -> None:
    """Prints the conditions, one table and a line of JSON a row."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", nargs="+", choices=LAYERS, default=list(LAYERS))
    parser.add_argument(
        "--repeats", type=_benchmark.count, default=9, help="rounds, after warming"
    )
    parser.add_argument(
        "--threads", type=_benchmark.count, help="cores a side; default: all"
    )
    parser.add_argument("--device", choices=("cpu", "gpu"), default="cpu")
    parser.add_argument("--clock", choices=("wall", "cpu"), default="wall")
    flags = parser.parse_args()
    _benchmark.begin(flags.threads, device=flags.device)
    options = {
        "repeats": flags.repeats,
        "device": "cuda" if flags.device == "gpu" else "cpu",
        "clock": flags.clock,
    }
    _benchmark.report([row for name in flags.rows for row in measure(name, **options)])


if __name__ == "__main__":
    main()
