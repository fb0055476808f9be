"""How the benchmarks measure: both sides alike, in turns, and everything printed.

Import before jax and torch: `use_threads` decides how many cores each of them finds.
"""

import argparse
import importlib.metadata
import json
import os
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

Row = dict[str, Any]
# `task_axis.STRATEGIES`, which can't be imported before `use_threads`.
STRATEGIES = ("auto", "vmap", "map", "unroll")


def count(text: str) -> int:
    """A flag's whole number from 1, which a wrong one is told before anything runs."""
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r}; expected a whole number from 1")
    return int(text)


def flags_of(
    doc: str | None,
    *,
    cases: Sequence[str],
    modes: Sequence[str],
    default_modes: Sequence[str],
    own: Sequence[str],
) -> argparse.ArgumentParser:
    """The flags that comparisons with PyTorch share; the first case is the default.

    `own` names the fields of a case that flags of the same names change (`chosen`).
    """
    parser = argparse.ArgumentParser(description=(doc or "").splitlines()[0])
    add = parser.add_argument
    add("--case", nargs="+", choices=list(cases), default=[next(iter(cases))])
    add("--repeats", type=count, default=5, help="rounds, after warming")
    add("--threads", type=count, help="cores a side; default: all")
    add("--device", choices=("cpu", "gpu"), default="cpu")
    add("--clock", choices=("wall", "cpu"), default="wall")
    add("--strategy", nargs="+", choices=STRATEGIES, default=["auto"], help="jiaa's")
    add("--modes", nargs="+", choices=modes, default=default_modes, help="PyTorch's")
    for name in own:
        add(f"--{name}", type=count, help="instead of the case's own")
    return parser


def begin(threads: int | None, *, device: str = "cpu") -> int:
    """`use_threads`, of PyTorch too, on "cpu" or "gpu"; prints `conditions`.

    Raises:
      SystemExit: the device is not there for both sides.
    """
    used = use_threads(threads)
    if device == "cpu":
        os.environ["JAX_PLATFORMS"] = "cpu"
    import torch

    torch.set_num_threads(used)
    if device == "gpu":
        _check_gpu(torch.cuda.is_available())
    print(conditions(threads=used, device=device), flush=True)
    return used


def _check_gpu(torch_has_one: bool) -> None:
    import jax

    try:
        jax_has_one = jax.default_backend() == "gpu"
    except (AssertionError, RuntimeError):  # JAX_PLATFORMS names what is not there
        jax_has_one = False
    found = {"PyTorch": torch_has_one, "JAX": jax_has_one}
    if lacking := [name for name, there in found.items() if not there]:
        raise SystemExit(
            f"--device gpu: {' and '.join(lacking)} found no GPU; expected one that "
            "both see. Install their CUDA builds, unset JAX_PLATFORMS, or use --device "
            "cpu"
        )


def use_threads(count: int | None) -> int:
    """Confines this process to `count` of its cores (None: all) before any import.

    JAX sees as many CPU devices, to spread users over; one of them alone computes with
    all cores as well.

    Raises:
      SystemExit: there are not so many.
    """
    cores = sorted(os.sched_getaffinity(0))
    if count is not None and not 1 <= count <= len(cores):
        raise SystemExit(
            f"--threads {count}; expected 1 to {len(cores)}, the cores that this "
            "process may use"
        )
    cores = cores[:count]
    os.sched_setaffinity(0, cores)
    os.environ["OMP_NUM_THREADS"] = os.environ["NPROC"] = str(len(cores))
    os.environ["JAX_NUM_CPU_DEVICES"] = str(len(cores))
    if len(cores) == 1:
        flags = os.environ.get("XLA_FLAGS", "")
        os.environ["XLA_FLAGS"] = f"{flags} --xla_cpu_multi_thread_eigen=false".strip()
    from jiaa.models.convolution_mixed import prefer_eigen

    prefer_eigen()
    return len(cores)


def chosen(flags: argparse.Namespace, *names: str) -> dict[str, Any]:
    """The flags of these names that were given."""
    return {x: getattr(flags, x) for x in names if getattr(flags, x) is not None}


def tasks_of(scores: Any) -> Any:
    """`UserTasks` of `scores` [user, rating], in NumPy; every image has one rater."""
    import numpy as np

    from jiaa.types import UserTasks

    return UserTasks(
        user_id=np.arange(len(scores), dtype=np.int32),
        image_ids=np.arange(scores.size, dtype=np.int32).reshape(scores.shape),
        scores=scores,
        mask=np.ones(scores.shape, bool),
    )


class Times(NamedTuple):
    """Seconds of one contestant, a value a round."""

    wall: list[float]
    cpu: list[float]

    def median(self, clock: str) -> float:
        """Of "wall" or "cpu" seconds."""
        return statistics.median(getattr(self, clock))


def interleaved(
    contestants: dict[str, Callable[[], Any]], *, repeats: int
) -> dict[str, Times]:
    """Times each contestant once a round, so that all meet the same load.

    A contestant waits for its own result. Call each once beforehand: what is compiled
    or tuned at first use is no part of the times.
    """
    times = {name: Times([], []) for name in contestants}
    for _ in range(repeats):
        for name, run in contestants.items():
            wall, cpu = time.perf_counter(), time.process_time()
            run()
            times[name].wall.append(time.perf_counter() - wall)
            times[name].cpu.append(time.process_time() - cpu)
    return times


def compare(times: dict[str, Times], *, clock: str) -> list[Row]:
    """A row a contestant; "ratio" is speed over that of the fastest PyTorch."""
    fastest = min(
        (t.median(clock) for name, t in times.items() if name.startswith("torch")),
        default=None,
    )
    return [
        {
            "contestant": name,
            "wall_s": t.median("wall"),
            "cpu_s": t.median("cpu"),
            "ratio": fastest and fastest / t.median(clock),
        }
        for name, t in times.items()
    ]


def report(rows: Sequence[Row]) -> None:
    """One Markdown table, then a line of JSON a row."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    cells = [[_shown(row.get(name)) for name in names] for row in rows]
    widths = [max(map(len, column)) for column in zip(names, *cells, strict=True)]
    for line in (names, ["-" * width for width in widths], *cells):
        padded = (text.ljust(w) for text, w in zip(line, widths, strict=True))
        print(f"| {' | '.join(padded)} |")
    for row in rows:
        print(json.dumps(row), flush=True)


def conditions(*, threads: int, device: str) -> str:
    """One line: what the numbers below it were measured on, and how busy it was."""
    load = os.getloadavg()[0]
    versions = {name: _version(name) for name in ("jax", "torch")}
    found = [f"{name} {version}" for name, version in versions.items() if version]
    return (
        f"{device}, {threads} thread(s) a side, {os.cpu_count()} cores, load average "
        f"{load:.1f} at the start; {', '.join(found)}"
    )


def _version(package: str) -> str | None:
    """Of an installed package; PyTorch need not be one where nothing is compared."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _shown(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.3g}"
    return "" if value is None else str(value)
