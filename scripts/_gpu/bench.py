"""What parts measure with: warm-up, medians, memory, ratios, and a line for each."""

import dataclasses
import gc
import importlib
import statistics
import sys
import time
import traceback
from collections.abc import Callable
from typing import Any

from scripts._gpu.lines import Line, Lines, read
from scripts._gpu.sizes import SIZES
from scripts._gpu.worker import brief

SIDES = ("jiaa", "torch")
REPEATS = 5
SPENT = 10.0  # seconds of repeats after which a median of fewer has to do
RESERVE = 3.0  # seconds before a part's limit in which nothing is begun


@dataclasses.dataclass(frozen=True)
class Figure:
    """What one contestant took.

    Attributes:
      side: "jiaa" or "torch".
      group: contestants of one group do the same work.
      contestant: its name.
      seconds: median of its runs.
      work: how much a run did, in the group's unit.
    """

    side: str
    group: str
    contestant: str
    seconds: float
    work: float


class Bench:
    """One part's measurements.

    Attributes:
      size: this part's row of `SIZES`.
      device: "cuda" or "cpu", PyTorch's word for where both sides run.
      sides: those that are asked for and there.
    """

    def __init__(self, lines: Lines, job: Line, ends: float):
        """A line for each side that is asked for and not there."""
        part = lines.common["part"]
        self.lines, self.ends = lines, ends
        self.size: Any = SIZES[part][job["size"]]
        self.device = "cuda" if job["device"] == "gpu" else "cpu"
        self.ceilings = ceilings(read(lines.path, run=lines.common["run"]))
        self.found: list[Figure] = []
        # JAX first: it then takes the device's libraries that are its own.
        lacking = {"jiaa": lacking_jax, "torch": lacking_torch}
        self.sides: list[str] = []
        for side in job["sides"]:
            if why := lacking[side](self.device):
                lines.write(side=side, status="absent", note=why)
            else:
                self.sides.append(side)
        lines.common = {**lines.common, "device": self.name()}

    def name(self) -> str:
        """The device, as JAX or PyTorch calls it."""
        if self.device == "cuda" and "torch" in self.sides:
            return sys.modules["torch"].cuda.get_device_name(0)
        if "jiaa" in self.sides:
            return sys.modules["jax"].devices()[0].device_kind
        return self.device

    def measure(
        self,
        side: str,
        contestant: str,
        make: Callable[[], Callable[[], Any]],
        *,
        group: str,
        work: float,
        unit: str,
        calls: int = 1,
        floor: tuple[float, float, str] | None = None,
        check: Callable[[Any], Line] | None = None,
        **facts: Any,
    ) -> Figure | None:
        """A line for what `make()` made, then one for each ratio that it completes.

        What fails gives a line that says why, and None.

        Args:
          side: "jiaa" or "torch"; None at once if it is not among `sides`.
          contestant: its name.
          make: gives the function to time, which need not wait for its result.
          group: contestants of one group do the same work; ratios are within it.
          work: what one call does, in `unit`.
          unit: of the figure: `work` a second.
          calls: how many are started before their results are waited for.
          floor: (operations, bytes, precision) that one call cannot do without.
          check: of the first result, more fields for the line.
          facts: more fields for the line.
        """
        if side not in self.sides:
            return None
        said = {"side": side, "contestant": contestant, "group": group, **facts}
        if self.ends - time.monotonic() < RESERVE:
            self.lines.write(**said, status="skipped", note="the part's time is spent")
            return None
        try:
            result, line = self._timed(side, make, calls)
            figure = Figure(side, group, contestant, line["median_s"], work)
            line |= self._share(figure, floor) | (check(result) if check else {})
            line |= {"value": work / figure.seconds, "unit": unit}
            self.lines.write(**said, status="measured", extrapolated=False, **line)
        except Exception as error:
            traceback.print_exc()
            self.lines.write(**said, status="error", note=brief(error))
            return None
        finally:
            self._release(side)
        self._ratios(figure)
        self.found.append(figure)
        return figure

    def _timed(self, side, make, calls):
        """(the first run's result, the fields of its line that were measured)."""
        wait = waiting(side, self.device)
        if side == "torch" and self.device == "cuda":
            sys.modules["torch"].cuda.reset_peak_memory_stats()
        began = time.perf_counter()
        run = make()
        made = time.perf_counter()
        result = wait(run())
        ready = time.perf_counter()
        wait(run())
        times: list[float] = []
        spent = time.perf_counter()
        while len(times) < REPEATS and time.perf_counter() - spent < SPENT:
            started = time.perf_counter()
            last = None
            for _ in range(calls):
                last = run()
            wait(last)
            times.append((time.perf_counter() - started) / calls)
            if self.ends - time.monotonic() < RESERVE:
                break
        line = {
            "median_s": statistics.median(times),
            "runs_s": times,
            "make_s": made - began,
            "first_s": ready - made,
        }
        return result, line | self._memory(side)

    def _memory(self, side: str) -> Line:
        """The device's peak of memory, where it tells."""
        if side == "torch":
            if self.device == "cpu":
                return {}
            return {"peak_bytes": sys.modules["torch"].cuda.max_memory_allocated()}
        stats = sys.modules["jax"].local_devices()[0].memory_stats() or {}
        peak = stats.get("peak_bytes_in_use")
        return {"peak_bytes_so_far": peak} if peak else {}

    def _share(self, figure: Figure, floor: tuple[float, float, str] | None) -> Line:
        """Which share of the roofline it reached, by this device's own ceilings."""
        if floor is None or not self.ceilings:
            return {}
        operations, moved, precision = floor
        rates = self.ceilings
        if precision not in rates or "bytes" not in rates:
            return {}
        least = max(operations / rates[precision], moved / rates["bytes"])
        return {"roofline_s": least, "roofline_share": least / figure.seconds}

    def _release(self, side: str) -> None:
        gc.collect()
        if side == "torch" and self.device == "cuda":
            sys.modules["torch"].cuda.empty_cache()

    def _ratios(self, new: Figure) -> None:
        """A line for jiaa's speed over PyTorch's, for each pair now complete."""
        for old in self.found:
            if old.group != new.group or old.side == new.side:
                continue
            ours, theirs = (new, old) if new.side == "jiaa" else (old, new)
            speeds = [one.work / one.seconds for one in (ours, theirs)]
            self.lines.write(
                side="ratio",
                contestant=f"jiaa {ours.contestant} / torch {theirs.contestant}",
                group=new.group,
                status="measured",
                extrapolated=False,
                value=speeds[0] / speeds[1],
                unit="times as fast",
            )

    def extrapolate(
        self, figure: Figure | None, work: float, *, measured: str, stands_for: str
    ) -> None:
        """A line for how long `work` would take at a measured speed, and says so."""
        if figure is None:
            return
        self.lines.write(
            side=figure.side,
            contestant=figure.contestant,
            group=figure.group,
            status="measured",
            extrapolated=True,
            measured=measured,
            stands_for=stands_for,
            value=work / figure.work * figure.seconds,
            unit="s",
        )


def lacking_jax(device: str) -> str | None:
    """Why jiaa cannot run there, or None."""
    import jax

    try:
        backend = jax.default_backend()
    except (AssertionError, RuntimeError) as error:
        return f"JAX starts on no device: {brief(error)}"
    if device == "cuda" and backend != "gpu":
        return f"JAX found no GPU (it runs on the {backend}); install its CUDA build"
    return None


def lacking_torch(device: str) -> str | None:
    """Why PyTorch cannot run there, or None; where it can, it is told to be fast."""
    try:
        torch = importlib.import_module("torch")
    except Exception as error:
        return f"PyTorch cannot be imported: {brief(error)}"
    if device == "cuda" and not torch.cuda.is_available():
        return "PyTorch found no GPU; install its CUDA build"
    torch.backends.cudnn.benchmark = True
    # As XLA does by default: float32 products in TF32 where the device has it.
    torch.set_float32_matmul_precision("high")
    torch.manual_seed(0)
    return None


def waiting(side: str, device: str) -> Callable[[Any], Any]:
    """A function that gives its argument back once it is computed."""
    if side == "jiaa":
        return sys.modules["jax"].block_until_ready
    if device == "cpu":
        return lambda result: result
    synchronize = sys.modules["torch"].cuda.synchronize

    def wait(result):
        synchronize()
        return result

    return wait


def ceilings(lines: list[Line]) -> dict[str, float]:
    """Bytes and operations a second that the part "device" measured, by precision.

    The faster of both sides counts: the roofline is the device's, not a library's.
    """
    best: dict[str, float] = {}
    for line in lines:
        if line["part"] == "device" and "ceiling" in line:
            rate = line["value"] * line["scale"]
            best[line["ceiling"]] = max(best.get(line["ceiling"], 0.0), rate)
    return best
