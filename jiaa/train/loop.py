"""The training loop: any step, any batches; resumes by itself, stops on NaN.

After a kill, the same call goes on from the last checkpoint to the same result, bit for
bit on the same device, versions and number of cores.
"""

import contextlib
import itertools
import math
import signal
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import jax
from jax.experimental import multihost_utils

from jiaa.train import state as states
from jiaa.train.checkpoint import CheckpointError, Checkpoints
from jiaa.train.metrics_writer import MetricsWriter
from jiaa.train.progress import Progress
from jiaa.train.workdir import Workdir, WorkdirError
from jiaa.types import TrainState

Evaluator = Callable[[TrainState], Iterable[tuple[str, float]]]
SIGTERM_EXIT_CODE = 128 + signal.SIGTERM
# Of the preemption service, which needs numbers that follow each other: stages of a run
# count their steps anew, and calls may do several.
_ASKED = itertools.count()


def fit(
    state: TrainState,
    train_step: Callable[[TrainState, Any], tuple[TrainState, Mapping[str, Any]]],
    batches: Iterator[Any] | None,
    *,
    num_steps: int,
    steps_per_call: int = 1,
    workdir: Workdir,
    save_every: int,
    eval_every: int | None = None,
    evaluators: Mapping[str, Evaluator] | None = None,
    log_every: int = 1,
    name: str = "train",
    progress: bool = True,
) -> TrainState:
    """The state after `num_steps` steps; the last one's, never the best one's.

    Args:
        state: where a new run starts; stays valid. A run that `workdir` holds goes on
            from its last checkpoint instead, and a finished one returns at once.
        train_step: (state, batch) -> (state, scalar metrics); adds one to `state.step`,
            and may donate the state.
        batches: a grain iterator, whose position is saved with the state; or None, and
            every batch is None.
        num_steps: counted from the beginning of the run.
        steps_per_call: how many steps one call of `train_step` does, from one batch;
            divides all the numbers of steps here.
        workdir: open, so that nobody else writes there.
        save_every: steps between checkpoints; the last step is always saved.
        eval_every: steps between evaluations; None evaluates after the last step only.
        evaluators: each yields (name, value) pairs of a state, which are recorded as
            "evaluator/name".
        log_every: steps between rows of metrics; every step's losses are checked.
        name: what the progress bar is called.
        progress: whether to show it.

    Raises:
        ValueError: `steps_per_call` does not divide another number of steps.
        WorkdirError: the workdir is not open.
        FloatingPointError: a metric named "loss..." or the state is not finite. Such a
            state is never saved.
        CheckpointError: the workdir's checkpoint is not of this model or optimizer.
        SystemExit: with code 143, on SIGTERM, after the state was saved.
    """
    _check_divides(steps_per_call, num_steps, save_every, log_every, eval_every)
    with _Run(workdir, name=name, log_every=log_every) as run:
        state, first_step = run.start(state, batches)
        if first_step >= num_steps:
            return state
        run.open_record(first_step, num_steps, progress=progress)
        return _go_on(
            run,
            state,
            train_step,
            batches,
            steps=range(first_step + steps_per_call, num_steps + 1, steps_per_call),
            save_every=save_every,
            eval_every=eval_every,
            evaluators=evaluators or {},
        )


def _go_on(
    run: "_Run",
    state: TrainState,
    train_step: Callable[[TrainState, Any], tuple[TrainState, Mapping[str, Any]]],
    batches: Iterator[Any] | None,
    *,
    steps: range,
    save_every: int,
    eval_every: int | None,
    evaluators: Mapping[str, Evaluator],
) -> TrainState:
    """The loop itself; `steps` are the numbers of steps done after each call."""
    pending = None
    with _on_sigterm() as stop:
        for step in steps:
            batch = _next(batches, step, steps[-1])
            state, metrics = train_step(state, batch)
            if pending:
                run.log(*pending)  # step - 1's, while the device runs this one
            pending = step, metrics
            if _all_stop():
                stop.set()
            last = step == steps[-1]
            evaluate = evaluators and (last or _due(step, eval_every))
            save = last or _due(step, save_every) or stop.is_set()
            if evaluate or save:
                run.log(*pending)  # a NaN stops before it is saved
                pending = None
            if evaluate:
                run.evaluate(step, state, evaluators)
            if save:
                run.save(step, state, batches)
            if stop.is_set():
                raise SystemExit(SIGTERM_EXIT_CODE)
    return state


class _Run:
    """What the loop writes, and what it refuses to write."""

    def __init__(self, workdir: Workdir, *, name: str, log_every: int):
        self._workdir, self._name, self._log_every = workdir, name, log_every
        if not workdir.is_open:
            raise WorkdirError(
                f"the workdir {workdir} is not open, so that two processes could write "
                "to it. Call fit inside `with Workdir(...) as workdir:`."
            )
        self._open = contextlib.ExitStack()
        self._checkpoints = Checkpoints(workdir)
        self._open.callback(self._checkpoints.close)
        self._writer: MetricsWriter | None = None
        self._bar: Progress | None = None

    def __enter__(self) -> "_Run":
        return self

    def __exit__(self, *exception: object) -> None:
        self._open.close()

    def start(self, state: TrainState, batches: Any) -> tuple[TrainState, int]:
        """The state to go on from, in buffers of its own, and its step."""
        restored = self._checkpoints.restore(state, batches)
        return restored or (states.copy(state), int(state.step))

    def open_record(self, step: int, num_steps: int, *, progress: bool) -> None:
        """Opens the record, without the rows behind `step`, and shows a bar."""
        if self._workdir.is_primary:
            self._writer = MetricsWriter(self._workdir, resume_at=step)
            self._open.callback(self._writer.close)
        self._bar = Progress(num_steps, name=self._name, initial=step, enabled=progress)
        self._open.enter_context(self._bar)

    def log(self, step: int, metrics: Mapping[str, Any]) -> None:
        """Shows the metrics, and records them if due; waits for the device."""
        values = {k: float(v) for k, v in jax.device_get(dict(metrics)).items()}
        for metric, value in values.items():
            if metric.startswith("loss") and not math.isfinite(value):
                raise self._not_finite(step, f"{metric} = {value}")
        if step % self._log_every == 0:
            self._write(step, values)
        if self._bar is not None:
            self._bar.update(step, values)

    def evaluate(
        self, step: int, state: TrainState, evaluators: Mapping[str, Evaluator]
    ) -> None:
        """Records what the evaluators say of the state."""
        for evaluator, evaluate in evaluators.items():
            values = {f"{evaluator}/{k}": float(v) for k, v in evaluate(state)}
            self._write(step, values)

    def save(self, step: int, state: TrainState, batches: Any) -> None:
        """A checkpoint of a state that is finite and has counted its steps."""
        if int(state.step) != step:
            raise CheckpointError(
                f"state.step is {int(state.step)} after {step} steps of {self._name}; "
                "expected equal numbers. Let train_step return step=state.step + 1."
            )
        bad = states.first_bad_leaf(state)
        if bad is not None:
            raise self._not_finite(step, f"{bad} has values that are not finite")
        self._checkpoints.save(step, state, batches)

    def _write(self, step: int, values: Mapping[str, float]) -> None:
        if self._writer is not None:
            self._writer.write(step, values)

    def _not_finite(self, step: int, finding: str) -> FloatingPointError:
        latest = self._checkpoints.latest
        good = (
            "there is no checkpoint yet" if latest is None else f"step {latest} is kept"
        )
        return FloatingPointError(
            f"{self._name}: {finding} at step {step} in {self._workdir}; expected "
            f"finite numbers; {good}. Lower the learning rate (with a new workdir), "
            "check the scores, or find the operation by JAX_DEBUG_NANS=1."
        )


def _next(batches: Iterator[Any] | None, step: int, num_steps: int) -> Any:
    try:
        return None if batches is None else next(batches)
    except StopIteration:
        raise ValueError(
            f"batches ended before step {step}; expected enough for num_steps="
            f"{num_steps}. Let them repeat (epochs=None), or lower num_steps."
        ) from None


def _check_divides(steps_per_call: int, *numbers: int | None) -> None:
    odd = [number for number in numbers if number and number % steps_per_call]
    if odd:
        raise ValueError(
            f"steps_per_call={steps_per_call} does not divide {odd}; expected "
            "multiples for num_steps, save_every, log_every and eval_every. Round them."
        )


def _all_stop() -> bool:
    """Whether to stop after this step, as all processes are told after the same one.

    Each of them may get SIGTERM at another moment, or never on another host; but a
    checkpoint is written by all. JAX's preemption service listens for the signal.
    """
    if jax.process_count() == 1:
        return False
    return multihost_utils.reached_preemption_sync_point(next(_ASKED))


def _due(step: int, every: int | None) -> bool:
    return every is not None and step % every == 0


@contextlib.contextmanager
def _on_sigterm() -> Iterator[threading.Event]:
    """An event that SIGTERM sets, in place of ending the process in mid-step."""
    asked = threading.Event()
    if jax.process_count() > 1:
        yield asked  # a handler of ours would take the signal from JAX's service
        return
    # Python delivers signals to the main thread, and only it may choose their handlers.
    if threading.current_thread() is not threading.main_thread():
        yield asked
        return
    previous = signal.signal(signal.SIGTERM, lambda *_: asked.set())
    try:
        yield asked
    finally:
        signal.signal(signal.SIGTERM, previous)
