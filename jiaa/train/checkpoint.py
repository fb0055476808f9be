"""Checkpoints of a run: the state and the position in the data, by orbax.

A checkpoint is a folder named by its number of finished steps. orbax writes it under
another name and renames it at the end: a kill leaves a whole checkpoint or none. It
holds `variables` (params and batch_stats, readable without the optimizer), `training`
(opt_state, step, key) and `batches` (the loader's position).
"""

import contextlib
import gc
import logging
import os
import shutil
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree
from orbax.checkpoint import v1 as ocp

from jiaa.types import TrainState

FOLDER = "checkpoints"
DAMAGED = ".damaged"  # what a checkpoint that cannot be read is renamed to

logger = logging.getLogger(__name__)


class CheckpointError(ValueError):
    """A checkpoint that doesn't fit or can't be read; names folder and remedy."""


class Checkpoints:
    """The last checkpoints under a workdir, which has to be locked by the caller.

    Every process of a multi-host run calls each method, as orbax asks.
    """

    def __init__(self, workdir: str | os.PathLike[str], *, keep: int = 2):
        """Cleans up what a kill left behind; `keep` checkpoints stay on the disk."""
        self.workdir = Path(workdir)
        self._keep = keep
        if jax.process_index() == 0:
            # A process that was killed may have half-deleted what it no longer kept.
            for step in _steps(self._folder())[:-keep]:
                shutil.rmtree(self._folder(step))
        self._checkpointer = self._open()

    def _open(self) -> ocp.training.Checkpointer:
        # The workdir is locked: what is half-written belongs to a process that died.
        return ocp.training.Checkpointer(
            str(self._folder()),
            preservation_policy=ocp.training.preservation_policies.LatestN(self._keep),  # pyright: ignore
            cleanup_tmp_directories=True,
        )

    def close(self) -> None:
        """Frees orbax's threads."""
        self._checkpointer.close()

    @property
    def latest(self) -> int | None:
        """Finished steps of the newest whole checkpoint; None where there is none."""
        newest = self._checkpointer.latest
        return None if newest is None else newest.step

    def save(self, step: int, state: TrainState, batches: Any) -> None:
        """Writes the state after `step` steps and the position of `batches`.

        Returns when it is on disk: the next step may donate the state's buffers.
        """
        # Without `force`, orbax' own save policy may decide that this one isn't due.
        self._checkpointer.save_checkpointables(
            step, {**_parts(state), **_position(batches)}, force=True
        )

    def restore(
        self, template: TrainState, batches: Any
    ) -> tuple[TrainState, int] | None:
        """(state, step) of the newest checkpoint, or None; `batches` is put in place.

        `template` is a state of the same run, such as a fresh one: it gives structure,
        shapes and devices. A damaged checkpoint is set aside under another name, with a
        warning, and the one before it counts; on several hosts it is an error, because
        all have to take the same.

        Raises:
            CheckpointError: the checkpoint belongs to another model or optimizer, or
                none can be read.
        """
        template = jax.tree.map(jnp.asarray, template)
        damaged: list[int] = []
        found: list[str] = []
        for step in reversed(_steps(self._folder())):
            loaded, problem = self._load(step, template, batches)
            if loaded is not None:
                self._set_aside(damaged, "; ".join(found), good=step)
                state = TrainState(**loaded["variables"], **loaded["training"])
                return jax.tree.map(_placed, state, template), step
            damaged.append(step)
            found.append(f"step {step} is damaged ({problem})")
            if jax.process_count() > 1:
                break
        if damaged:
            rest = len(_steps(self._folder())) > len(damaged)
            remedy = (
                f"{self._folder(damaged[0])} to resume from the checkpoint before it"
                if rest
                else f"{self._folder()} to start anew"
            )
            raise CheckpointError(
                f"{self._folder()} cannot be read: {'; '.join(found)}. Expected a "
                "checkpoint of this run, written with the same kind of batches. "
                f"Restore it from a copy, or delete {remedy}."
            )
        return None

    def _load(
        self, step: int, template: TrainState, batches: Any
    ) -> tuple[dict[str, Any] | None, str]:
        """What the checkpoint holds, or None and why it cannot be read."""
        parts = _parts(template)
        wanted = {**jax.tree.map(_abstract, parts), **_position(batches)}
        with _quietly():
            try:
                self._check(parts, step)
                return self._checkpointer.load_checkpointables(step, wanted), ""
            except (CheckpointError, MemoryError, jax.errors.JaxRuntimeError):
                raise
            except Exception as error:  # orbax raises anything on a damaged file
                return None, _in_short(error)

    def _set_aside(self, steps: list[int], found: str, *, good: int) -> None:
        """Renames damaged checkpoints: orbax refuses to write where one is."""
        if not steps:
            return
        for step in steps:
            aside = self._folder().joinpath(f"{step}{DAMAGED}")
            shutil.rmtree(aside, ignore_errors=True)
            self._folder(step).replace(aside)
        self._checkpointer.close()
        self._checkpointer = self._open()
        logger.warning(
            "%s: %s and now named *%s; going on from step %d",
            self._folder(),
            found,
            DAMAGED,
            good,
        )

    def _folder(self, step: int | None = None) -> Path:
        # orbax refuses relative paths.
        folder = self.workdir.absolute() / FOLDER
        return folder if step is None else folder / str(step)

    def _check(self, parts: dict[str, PyTree], step: int) -> None:
        differences = []
        for part, tree in parts.items():
            saved = _shapes(_metadata(self._folder(step), part))
            ours = _shapes(jax.tree.map(_raw, tree))
            if ours and not saved:
                # A damaged index reads as an empty one: no run saves nothing.
                raise ValueError(f"nothing of {part!r} can be found")
            differences += _differences(saved, ours, part=part)
        if differences:
            more = len(differences) - 8
            shown = differences[:8] + ([f"and {more} more"] if more > 0 else [])
            raise CheckpointError(
                f"{self.workdir} holds a checkpoint of another run, at step {step}: "
                f"{'; '.join(shown)}. Use the model and optimizer it was started with, "
                "or another workdir."
            )


def load_params(workdir: str | os.PathLike[str]) -> dict[str, PyTree]:
    """{"params": ..., "batch_stats": ...} of the newest checkpoint, for later stages.

    Needs no model, optimizer or lock, so that it also reads a run that is still going.

    Raises:
        FileNotFoundError: there is no whole checkpoint in `workdir`.
        CheckpointError: the checkpoint cannot be read.
    """
    root = Path(workdir).absolute() / FOLDER
    steps = _steps(root)
    if not steps:
        raise FileNotFoundError(
            f"{root} holds no checkpoint; expected one folder or more named by a step. "
            f"Train first (--workdir {workdir}), or give the workdir of a finished run."
        )
    folder = root / str(steps[-1])
    variables, problem = _load_variables(folder)
    if variables is None:
        raise CheckpointError(
            f"{folder} cannot be read: step {steps[-1]} is damaged ({problem}). "
            "Expected a checkpoint of jiaa. Start the training again: it resumes from "
            "the checkpoint before."
        )
    return jax.tree.map(_uncommitted, variables)


def _load_variables(folder: Path) -> tuple[PyTree | None, str]:
    """The part "variables", or None and why it cannot be read."""
    # Explicitly on this machine's device: the file remembers the one it came from.
    sharding = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
    with _quietly():
        try:
            abstract = jax.tree.map(
                lambda leaf: jax.ShapeDtypeStruct(
                    leaf.shape, leaf.dtype, sharding=sharding
                ),
                _metadata(folder, "variables"),
            )
            if not abstract:
                return None, "nothing of 'variables' can be found"
            loaded = ocp.load_checkpointables(str(folder), {"variables": abstract})
            return loaded["variables"], ""
        except Exception as error:  # orbax raises anything on a damaged file
            return None, _in_short(error)


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    """Keeps the stacks of orbax's abandoned reads, and its warnings, off the screen."""
    hook, sys.unraisablehook = sys.unraisablehook, lambda _: None
    absl = logging.getLogger("absl")
    level = absl.level
    absl.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # never awaited
            yield
            gc.collect()
    finally:
        sys.unraisablehook = hook
        absl.setLevel(level)


def _in_short(error: BaseException) -> str:
    """What went wrong, on one line; orbax's own messages go over pages."""
    while error.__cause__ is not None:
        error = error.__cause__
    line = (str(error).strip("'\" ").splitlines() or [""])[0]
    return f"{type(error).__name__}: {line[:100]}" if line else type(error).__name__


def _steps(root: Path) -> list[int]:
    """The steps under `root`, in order; an unfinished one isn't named by a number."""
    folders = root.iterdir() if root.is_dir() else ()
    return sorted(int(entry.name) for entry in folders if entry.name.isdigit())


def _metadata(folder: Path, part: str) -> PyTree:
    return ocp.metadata(str(folder), checkpointable_name=part).metadata


def _parts(state: TrainState) -> dict[str, PyTree]:
    return {
        "variables": {"params": state.params, "batch_stats": state.batch_stats},
        "training": {
            "opt_state": state.opt_state,
            "step": state.step,
            "key": state.key,
        },
    }


def _position(batches: Any) -> dict[str, Any]:
    if batches is None:
        return {}
    if not isinstance(batches, ocp.handlers.StatefulCheckpointable):
        raise CheckpointError(
            f"batches is a {type(batches).__name__}, whose position can't be saved, so "
            "that a resumed run would see other data. Use jiaa.data.loader or another "
            "grain iterator, or None."
        )
    return {"batches": batches}


def _abstract(leaf: jax.Array) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=leaf.sharding)


def _placed(leaf: jax.Array, template: jax.Array) -> jax.Array:
    """`leaf`, as free to move between devices as the template's leaf is.

    What orbax loads is committed to its device; `jit` would refuse it beside arguments
    that live on a mesh, where it moves a fresh state by itself.
    """
    return leaf if template.committed else _uncommitted(leaf)


def _uncommitted(leaf: jax.Array) -> jax.Array:
    if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        data = jnp.asarray(np.asarray(jax.random.key_data(leaf)))
        return jax.random.wrap_key_data(data, impl=jax.random.key_impl(leaf))
    return jnp.asarray(np.asarray(leaf))


def _raw(leaf: jax.Array) -> jax.Array:
    is_key = jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
    return jax.random.key_data(leaf) if is_key else leaf


def _shapes(tree: PyTree) -> dict[str, str]:
    return {
        jax.tree_util.keystr(path, simple=True, separator="/"): (
            f"{np.dtype(leaf.dtype).name}{list(leaf.shape)}"
        )
        for path, leaf in jax.tree_util.tree_leaves_with_path(tree)
    }


def _differences(
    saved: dict[str, str], ours: dict[str, str], *, part: str
) -> list[str]:
    """What differs, a phrase each; both map names to dtype and shape."""
    said = []
    for name in sorted(saved.keys() | ours.keys()):
        there, here = saved.get(name, "nothing"), ours.get(name, "nothing")
        if there != here:
            said.append(f"{part}/{name} is {there} there and {here} here")
    return said
