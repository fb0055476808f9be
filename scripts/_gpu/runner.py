"""Parts, each in a process that is killed at its limit, until the time is spent."""

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from scripts._gpu.lines import Line, Lines, read

ROOT = Path(__file__).resolve().parents[2]
LEAST = 10.0  # seconds: with less left no part is begun
GRACE = 10.0  # seconds that a killed process has to go


class Part(NamedTuple):
    """A part of the benchmark.

    Attributes:
      name: in the lines, and for `--parts`.
      function: "module:function", called with (lines, job, time when it has to end).
      limit_s: seconds, start of its process included.
      title: for the summary.
    """

    name: str
    function: str
    limit_s: float
    title: str


class Worker:
    """A process for parts, its output in the file `log`; started when it is needed."""

    def __init__(self, *, env: Mapping[str, str], log: Path):
        """No process yet."""
        self.env, self.log = dict(env), log
        self.process: subprocess.Popen[bytes] | None = None

    def run(self, job: Line, *, limit_s: float) -> tuple[str, str]:
        """(status, note) of a part: "finished", "killed", or "error" if it died."""
        process = self.process or self._start()
        assert process.stdin
        assert process.stdout
        answered: list[Any] = []
        with contextlib.suppress(BrokenPipeError):
            process.stdin.write(f"{json.dumps(job)}\n".encode())
            process.stdin.flush()
            answered, _, _ = select.select([process.stdout], [], [], limit_s)
            if not answered:
                self.close()
                return "killed", f"still running after its limit of {limit_s:.0f} s"
        if answered and (answer := process.stdout.readline()):
            status, note = json.loads(answer)
            return status, note
        code = process.wait()
        self.close()
        return "error", f"its process ended with code {code}; see {self.log.name}"

    def _start(self) -> subprocess.Popen[bytes]:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "scripts._gpu.worker"],
                cwd=ROOT,
                env=self.env,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,
            )
        return self.process

    def close(self) -> None:
        """Kills the process, and whatever it started."""
        process, self.process = self.process, None
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        # A process that waits for a driver may not even be killed.
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(GRACE)
        for pipe in (process.stdin, process.stdout):
            with contextlib.suppress(BrokenPipeError):
                pipe and pipe.close()


def environment(device: str) -> dict[str, str]:
    """What a worker's environment is, on "gpu" or "cpu"."""
    paths = (str(ROOT), os.environ.get("PYTHONPATH"))
    # JAX would take three quarters of a GPU's memory before PyTorch gets any.
    shared = {"XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
    if device == "cpu":
        shared = {"JAX_PLATFORMS": "cpu", "CUDA_VISIBLE_DEVICES": ""}
    path = os.pathsep.join(path for path in paths if path)
    return {**os.environ, **shared, "PYTHONPATH": path, "PYTHONUNBUFFERED": "1"}


def run_parts(
    parts: Sequence[Part],
    *,
    path: Path,
    common: Line,
    job: Line,
    budget_s: float,
    env: Mapping[str, str],
    together: bool = False,
) -> Iterator[tuple[Part, Line]]:
    """Runs parts one after another; yields each with the line that closes it.

    Args:
      parts: most important first.
      path: of the file of lines.
      common: fields of every line; "run" among them.
      job: what every part is told.
      budget_s: seconds for all parts; what does not fit is skipped, with a line.
      env: of the processes.
      together: whether one process serves all parts, as long as none is killed: it
        starts once, and its peak of memory is that of all parts so far.
    """
    ends = time.monotonic() + budget_s
    worker = Worker(env=env, log=path.with_name("log.txt"))
    with _closing(worker):
        for part in parts:
            lines = Lines(path, common={**common, "part": part.name})
            started = time.monotonic()
            left = ends - started
            if left < LEAST:
                note = f"{max(0.0, left):.0f} s of {budget_s:.0f} s left"
                yield part, lines.write(status="skipped", note=note)
                continue
            limit_s = min(part.limit_s, left)
            told = {
                **job,
                "function": part.function,
                "path": str(path.resolve()),
                "common": lines.common,
                "limit_s": limit_s,
            }
            before = figures(path, common["run"], part.name)
            status, note = worker.run(told, limit_s=limit_s)
            count = figures(path, common["run"], part.name) - before
            seconds = time.monotonic() - started
            closing = {"figures": count, "part_s": round(seconds, 1)}
            yield part, lines.write(status=status, note=note, **closing)
            if not together:
                worker.close()


def figures(path: Path, run: str, part: str) -> int:
    """How many figures a part of this run has given so far."""
    found = (line for line in read(path, run=run) if line["part"] == part)
    return sum(
        line["status"] == "measured" and line["side"] != "ratio" for line in found
    )


@contextlib.contextmanager
def _closing(worker: Worker) -> Iterator[None]:
    """Leaves no process behind, also where this one is asked to end (SIGTERM)."""

    def leave(number, frame):
        raise SystemExit(128 + number)

    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
        worker.close()
