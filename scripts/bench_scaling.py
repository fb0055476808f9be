"""How time and memory of one BLG meta-iteration grow: users, steps, size, devices.

    python scripts/bench_scaling.py --threads 4
    python scripts/bench_scaling.py --axis users steps --repeats 3
    python scripts/bench_scaling.py --axis strategy --threads 1
    python scripts/bench_scaling.py --axis users steps size --device gpu

A ResNet18 of a quarter of its width, all of it adapting by Adam, BatchNorm by the
batch; one number at a time moves away from `BASE`. The axis "strategy" runs heads on
features (H) and small networks (N) by `vmap` and by `map`, which are the rows behind
`task_axis.RULES`.

Each row is a process of its own, so that no row sees another one's memory. Memory is
told twice. "compiled_mb" is what the compiler sets aside on one device, temporaries and
results, arguments (images, prior) left out. "resident_mb" is how far the process grew
above what it held after compiling, while it ran (peak resident memory, set back by
/proc/self/clear_refs; Linux only); it counts all devices. "estimate_mb" is what `auto`
reckons for one user (`meta.memory`). Megabytes are 10^6 bytes, times are seconds.
"""

import argparse
import dataclasses
import json
import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

# `scripts` is imported from the repository's root.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from scripts import _benchmark

ROOT = Path(__file__).resolve().parent.parent


class Point(NamedTuple):
    """One measurement; `rated` images a user, three quarters of them the support.

    Attributes:
      row: its name in the table.
      width: of ResNet18's first block; 0: a head of 32 hidden units on features.
      size: pixels a side, or features.
      steps: on each of the two levels.
      devices: fake CPU devices where there are fewer real ones.
    """

    row: str
    users: int = 4
    steps: int = 2
    size: int = 64
    devices: int = 1
    strategy: str = "auto"
    width: int = 16
    rated: int = 32


BASE = Point("base")
AXES = {
    "users": (1, 2, 4, 8, 16),
    "steps": (1, 2, 5, 10),
    "size": (32, 64, 96, 128),
    "devices": (1, 2, 4),
}
KINDS = (
    Point("H1", users=8, steps=5, size=64, width=0, rated=24),
    Point("H2", users=8, steps=5, size=64, width=0, rated=100),
    Point("H3", users=8, steps=5, size=512, width=0, rated=100),
    Point("H4", users=8, steps=5, size=2048, width=0, rated=100),
    Point("H5", users=8, steps=5, size=4096, width=0, rated=100),
    Point("N1", users=8, steps=1, size=32, width=4, rated=20),
    Point("N2", users=8, steps=1, size=64, width=8, rated=40),
)


def points_of(axis: str) -> list[Point]:
    """The rows of one axis."""
    if axis == "strategy":
        names = ("vmap", "map")
        return [kind._replace(strategy=name) for kind in KINDS for name in names]
    return [
        BASE._replace(row=f"{axis}={value}", **{axis: value}) for value in AXES[axis]
    ]


def make_step(point: Point, mesh: Any) -> tuple[Any, Any]:
    """(meta-step, prior) of a point."""
    import jax
    import jax.numpy as jnp
    import optax

    from jiaa.meta import bilevel
    from jiaa.meta.inner import InnerLoop, InnerOptimizer
    from jiaa.models.generic import create_model
    from jiaa.models.pretrained import SPECS
    from jiaa.models.views import FeatureView, ImageView

    head = not point.width
    model = create_model(
        backbone="resnet18",
        head="pooled",
        backbone_options={"num_classes": 1, "width": point.width or 4},
        head_options={"hidden": (32,)} if head else {},
    )
    view = FeatureView()
    if not head:
        view = ImageView.of(SPECS["resnet18"], size=point.size, augment=False)
        view = dataclasses.replace(view, size=None)
    method = "score" if head else "__call__"
    loop = InnerLoop(
        model,
        view=view,
        method=method,
        optimizer=InnerOptimizer("adam", ((".*", 1e-4),)),
        batch_norm="frozen" if head else "reset",
    )
    step = bilevel.MetaStep(
        bilevel.BLG(loop, point.steps),
        optax.sgd(1 / point.users),
        bilevel.Sampling(point.rated * 3 // 4, point.rated // 4, fraction=0.75),
        strategy=point.strategy,  # pyright: ignore[reportArgumentType]
        mesh=mesh,
    )
    example = (2, point.size) if head else (2, point.size, point.size, 3)
    start = jax.jit(lambda key: model.init(key, jnp.zeros(example), method=method))
    prior = start(jax.random.key(0))
    return step, {"batch_stats": {}, **prior}


def make_data(point: Point) -> tuple[Any, Any]:
    """Random ratings of random images or features; every image has one rater."""
    import jax
    import jax.numpy as jnp
    import numpy as np

    from jiaa.types import ImageStore

    rng = np.random.default_rng(0)
    shape = point.users, point.rated
    scores = rng.uniform(0.2, 1, shape).astype(np.float32)
    tasks = jax.tree.map(jnp.asarray, _benchmark.tasks_of(scores))
    images = point.users * point.rated
    if not point.width:
        features = rng.normal(size=(images, point.size)).astype(np.float32)
        return tasks, ImageStore(features=jnp.asarray(features))
    content = rng.integers(0, 256, (images, point.size, point.size, 3), np.uint8)
    return tasks, ImageStore(images=jnp.asarray(content))


def measure(point: Point, *, repeats: int) -> _benchmark.Row:
    """Time and memory of a point, in this process."""
    import jax
    import jax.numpy as jnp

    from jiaa.train.mesh import replicate, user_mesh

    several = point.devices > 1
    mesh = user_mesh(jax.devices()[: point.devices]) if several else None
    step, prior = make_step(point, mesh)
    state = step.init_state(prior, key=jax.random.key(0))
    arguments = (state, jnp.arange(point.users), *make_data(point))
    arguments = replicate(arguments, mesh)
    # Heard at its first trace, which is also this program's if its strategy is "auto".
    with Overheard() as heard:
        jax.jit(dataclasses.replace(step, strategy="auto")).trace(*arguments)
    compiled = jax.jit(step).lower(*arguments).compile()
    held = reset_peak()

    def run():
        return jax.block_until_ready(compiled(*arguments))

    run()
    times = _benchmark.interleaved({"jiaa": run}, repeats=repeats)["jiaa"]
    peak = resident("VmHWM")
    analysis: Any = compiled.memory_analysis()
    size = analysis.temp_size_in_bytes + analysis.output_size_in_bytes
    return {
        **point._asdict(),
        **heard.choice,
        "wall_s": times.median("wall"),
        "cpu_s": times.median("cpu"),
        "compiled_mb": size / 1e6,
        "resident_mb": (peak - held) / 1e6 if peak and held else None,
    }


class Overheard:
    """What `auto` logs while a program is traced: its choice and its estimate."""

    def __init__(self):
        """Nothing heard yet."""
        self.choice: _benchmark.Row = {}

    def __enter__(self):
        """Listens."""
        self.logger = logging.getLogger("jiaa.meta.task_axis")
        self.level = self.logger.level
        self.logger.setLevel(logging.INFO)
        self.handler = logging.Handler()
        self.handler.emit = self.hear
        self.logger.addHandler(self.handler)
        return self

    def __exit__(self, *_):
        """Listens no more."""
        self.logger.removeHandler(self.handler)
        self.logger.setLevel(self.level)

    def hear(self, record: Any) -> None:
        """One line: backend, strategy, users at once, users, MB of one, ..."""
        _, strategy, at_once, _, estimate, *_ = record.args
        self.choice = {"auto": f"{strategy} {at_once}", "estimate_mb": estimate}


def resident(name: str) -> int | None:
    """Bytes of VmRSS (now) or VmHWM (the peak), or None where there is no /proc."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return None
    found = next(line for line in lines if line.startswith(f"{name}:"))
    return int(found.split()[1]) * 1024


def reset_peak() -> int | None:
    """Sets the peak of resident memory back to what is held now, and returns that."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return None
    return resident("VmRSS")


def in_own_process(point: Point, flags: argparse.Namespace) -> _benchmark.Row:
    """The row of a point, measured by a fresh process."""
    count = f"--xla_force_host_platform_device_count={point.devices}"
    given = os.environ.get("XLA_FLAGS", "")
    command = [sys.executable, __file__, "--point", json.dumps(point._asdict())]
    command += ["--repeats", str(flags.repeats), "--threads", str(flags.threads)]
    command += ["--device", flags.device]
    paths = (str(ROOT), os.environ.get("PYTHONPATH"))
    done = subprocess.run(
        command,
        env={
            **os.environ,
            "XLA_FLAGS": f"{given} {count}".strip(),
            "PYTHONPATH": os.pathsep.join(path for path in paths if path),
        },
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return json.loads(done.stdout.splitlines()[-1])


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    choices = (*AXES, "strategy")
    parser.add_argument("--axis", nargs="+", choices=choices, default=list(choices))
    parser.add_argument(
        "--repeats", type=_benchmark.count, default=5, help="runs, after warming"
    )
    parser.add_argument(
        "--threads", type=_benchmark.count, help="cores of this run; default: all"
    )
    parser.add_argument("--device", choices=("cpu", "gpu"), default="cpu")
    parser.add_argument(
        "--most", type=_benchmark.count, help="rows an axis: the first so many"
    )
    parser.add_argument("--point", type=json.loads, help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> None:
    """Prints the conditions, one table and a line of JSON a row."""
    flags = parse()
    flags.threads = _benchmark.use_threads(flags.threads)
    if flags.device == "cpu":
        os.environ["JAX_PLATFORMS"] = "cpu"
    if flags.point:
        row = measure(Point(**flags.point), repeats=flags.repeats)
        print(json.dumps(row))
        return
    said = _benchmark.conditions(threads=flags.threads, device=flags.device)
    print(said, flush=True)
    measured: dict[Point, _benchmark.Row] = {}
    rows = []
    for axis in flags.axis:
        for point in points_of(axis)[: flags.most]:
            key = point._replace(row="")
            if key not in measured:
                measured[key] = in_own_process(point, flags)
                print(f"measured {point.row} {point.strategy}", file=sys.stderr)
            rows.append({**measured[key], "row": point.row})
    _benchmark.report(rows)


if __name__ == "__main__":
    main()
