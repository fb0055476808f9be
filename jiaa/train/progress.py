"""How far long work is: a bar on a terminal, a plain line now and then elsewhere."""

import contextlib
import sys
import time
from collections.abc import Mapping
from datetime import timedelta

from tqdm import tqdm


class Progress(contextlib.AbstractContextManager):
    """Shows done, total, rate and time left on stderr; a context."""

    def __init__(
        self,
        total: int,
        *,
        name: str,
        initial: int = 0,
        unit: str = "step",
        enabled: bool = True,
        seconds: float = 30.0,
    ):
        """What is shown, and how often.

        Args:
            total: how many units there are.
            name: what the line begins with.
            initial: units done before this process started; not counted in the rate.
            unit: what a unit is called.
            enabled: False shows nothing.
            seconds: pause between two lines where stderr is no terminal.
        """
        self._total, self._name, self._unit = total, name, unit
        self._initial = self._done = initial
        self._enabled, self._seconds = enabled, seconds
        self._started = self._printed = time.monotonic()
        self._bar = None
        if enabled and sys.stderr.isatty():
            self._bar = tqdm(total=total, desc=name, initial=initial, unit=unit)

    def __exit__(self, *exception: object) -> None:
        """Ends the bar, or prints a last line."""
        if self._bar is not None:
            self._bar.close()
        elif self._enabled and self._done > self._initial:
            self._print({})

    def update(self, done: int, metrics: Mapping[str, float] | None = None) -> None:
        """Shows that `done` units are finished, and perhaps some numbers beside."""
        advance, self._done = done - self._done, done
        shown = {name: f"{value:.4g}" for name, value in (metrics or {}).items()}
        if self._bar is not None:
            self._bar.set_postfix(shown, refresh=False)
            self._bar.update(advance)
        elif self._enabled and time.monotonic() - self._printed >= self._seconds:
            self._print(shown)

    def _print(self, shown: Mapping[str, str]) -> None:
        self._printed = time.monotonic()
        rate = (self._done - self._initial) / max(self._printed - self._started, 1e-9)
        left = round((self._total - self._done) / rate) if rate > 0 else None
        rest = "?" if left is None else str(timedelta(seconds=left))
        numbers = "".join(f", {name} {value}" for name, value in shown.items())
        print(
            f"{self._name} {self._done}/{self._total}, {rate:.3g} {self._unit}s/s, "
            f"{rest} left{numbers}",
            file=sys.stderr,
            flush=True,
        )
