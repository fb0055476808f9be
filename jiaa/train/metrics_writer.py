"""The record of a run: metrics.jsonl, and the same for TensorBoard."""

import json
import math
import os
from collections.abc import Mapping
from pathlib import Path

Row = dict[str, int | float | None]

FILE = "metrics.jsonl"
EVENTS = "tensorboard"


class MetricsWriter:
    """Appends one JSON object a line, {"step": 7, "loss": 0.02, ...}, and flushes it.

    The file of a killed and resumed run ends up as that of an undisturbed one (no times
    in it, for that reason). What isn't finite is null.
    """

    def __init__(self, workdir: str | os.PathLike[str], *, resume_at: int = 0):
        """Drops the rows behind the step `resume_at`, which will be written again."""
        # Imported late: it imports torch where that is installed, which takes seconds.
        from tensorboardX import SummaryWriter

        workdir = Path(workdir)
        path = workdir / FILE
        if path.exists():
            _truncate(path, last_step=resume_at)
        self._rows = path.open("a", encoding="utf-8")
        self._events = SummaryWriter(
            str(workdir / EVENTS), purge_step=resume_at + 1 if resume_at else None
        )

    def write(self, step: int, metrics: Mapping[str, float]) -> None:
        """Adds a row; `step` counts finished steps."""
        row = {
            name: float(value) if math.isfinite(value) else None
            for name, value in metrics.items()
        }
        self._rows.write(json.dumps({"step": step, **row}) + "\n")
        self._rows.flush()
        for name, value in row.items():
            if value is not None:
                self._events.add_scalar(name, value, step)

    def close(self) -> None:
        """Flushes and closes both files."""
        self._rows.close()
        self._events.close()


def read_metrics(workdir: str | os.PathLike[str]) -> list[Row]:
    """The rows of metrics.jsonl in order; a line torn by a kill is left out."""
    path = Path(workdir) / FILE
    with path.open(encoding="utf-8") as lines:
        return [row for line in lines if (row := _row(line)) is not None]


def _row(line: str) -> Row | None:
    if not line.endswith("\n"):
        return None
    try:
        return json.loads(line)
    except json.JSONDecodeError:
        return None


def _step(line: str) -> int | None:
    """The line's step; None for what a kill left of a line."""
    row = _row(line)
    return None if row is None else int(row["step"] or 0)


def _truncate(path: Path, *, last_step: int) -> None:
    """Keeps the rows up to `last_step`, in one atomic replacement."""
    with path.open(encoding="utf-8") as lines:
        kept = [
            line
            for line in lines
            if (step := _step(line)) is not None and step <= last_step
        ]
    replacement = path.with_suffix(".tmp")
    replacement.write_text("".join(kept), encoding="utf-8")
    replacement.replace(path)
