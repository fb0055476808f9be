"""The folder of one run: its lock, and the record of what was run where.

A workdir holds `config.json`, `checkpoints/`, `metrics.jsonl`, TensorBoard events and
the file `lock`.
"""

import errno
import fcntl
import importlib.metadata
import json
import logging
import os
import platform
import socket
import subprocess
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import jax

import jiaa

CONFIG = "config.json"
LOCK = "lock"
PACKAGES = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "grain", "numpy")

logger = logging.getLogger(__name__)


class WorkdirError(ValueError):
    """The workdir is another run's; the message names folder, difference and remedy."""


class WorkdirBusyError(RuntimeError):
    """Another process works in the workdir; the message names it."""


class Workdir:
    """A context that owns a folder while it is open.

    Opening creates the folder, locks it against a second process (the lock goes with
    the process, however it ends), and writes `config.json`; or, where there is one,
    checks that it holds the same config. Of several hosts only the first locks and
    writes.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        config: Mapping[str, Any] | None = None,
        may_differ: Collection[str] = (),
    ):
        """Nothing is touched before the context opens.

        Args:
            path: the folder.
            config: what defines the run; nested mappings of JSON values.
            may_differ: dotted names ("data.root") that a resumed run may change.
        """
        self.path = Path(path)
        self.config = _plain(config or {})
        self.may_differ = frozenset(may_differ)
        self._lock: int | None = None
        self.is_open = False

    def __fspath__(self) -> str:
        """The path, so that `open` and `Path` take a workdir."""
        return str(self.path)

    def __str__(self) -> str:
        """The path, for messages."""
        return str(self.path)

    @property
    def is_primary(self) -> bool:
        """Whether this process is the one that writes files other than checkpoints."""
        return jax.process_index() == 0

    def __enter__(self) -> "Workdir":
        """Takes the folder.

        Raises:
            WorkdirBusyError: another process holds the lock.
            WorkdirError: the folder is that of another config.
        """
        if self.is_primary:
            self.path.mkdir(parents=True, exist_ok=True)
            self._lock = _acquire(self.path / LOCK)
            try:
                self._record()
            except BaseException:
                self.__exit__()
                raise
        self.is_open = True
        return self

    def __exit__(self, *exception: object) -> None:
        """Gives the folder back."""
        self.is_open = False
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _record(self) -> None:
        file = self.path / CONFIG
        if not file.exists():
            _write(file, {"config": self.config, **environment()})
            return
        record = _read(file)
        differences = _differences(record.get("config", {}), self.config)
        forbidden = {k: v for k, v in differences.items() if k not in self.may_differ}
        if forbidden:
            said = "; ".join(
                f"{k} was {a} and is {b}" for k, (a, b) in forbidden.items()
            )
            raise WorkdirError(
                f"{self.path} was started with another config: {said}. Give the values "
                f"of {file} to resume it, or another workdir to start anew."
            )
        _note_resumption(file, record)


def environment() -> dict[str, Any]:
    """Versions, git revision and device of this process, for the record."""
    versions = {name: _version(name) for name in PACKAGES}
    devices = jax.devices()
    return {
        "versions": {
            "jiaa": jiaa.__version__,
            "python": platform.python_version(),
            **versions,
        },
        "git": git_revision(),
        "device": {
            "kind": devices[0].device_kind,
            "count": len(devices),
            "processes": jax.process_count(),
        },
    }


def git_revision() -> str | None:
    """The commit of jiaa's own checkout, with "+" if files were changed; else None."""
    root = Path(jiaa.__file__).parent.parent
    # An installed jiaa may lie inside somebody else's repository.
    if not (root / ".git").exists():
        return None
    commit = _git(root, "rev-parse", "HEAD")
    if commit is None:
        return None
    return commit + ("+" if _git(root, "status", "--porcelain") else "")


def _git(root: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(root), *arguments],
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _acquire(file: Path) -> int:
    """A descriptor that holds the lock until it is closed."""
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        holder = os.read(descriptor, 1000).decode(errors="replace").strip()
        os.close(descriptor)
        if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):
            raise OSError(
                error.errno,
                f"cannot lock {file}: {error.strerror}. Put the workdir on a file "
                "system that supports flock.",
            ) from error
        raise WorkdirBusyError(
            f"{file.parent} is in use by {holder or 'another process'}. Wait for it, "
            "end it, or use another workdir; the lock goes when that process does."
        ) from error
    os.ftruncate(descriptor, 0)
    os.write(descriptor, f"process {os.getpid()} on {socket.gethostname()}\n".encode())
    return descriptor


def _plain(config: Mapping[str, Any]) -> dict[str, Any]:
    """The config as JSON gives it back: tuples are lists, keys are strings."""
    try:
        return json.loads(json.dumps(config, default=_plain_value))
    except TypeError as error:
        raise WorkdirError(
            f"the config can't be written as JSON: {error}. Expected nested mappings "
            "of numbers, strings, booleans, None and sequences of them."
        ) from error


def _plain_value(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if hasattr(value, "item"):
        return value.item()
    raise TypeError(f"{value!r} is a {type(value).__name__}")


def _differences(old: Any, new: Any, *, name: str = "") -> dict[str, tuple[str, str]]:
    """Dotted name -> the two values, for the leaves that differ."""
    if isinstance(old, dict) and isinstance(new, dict):
        found = {}
        for key in sorted(old.keys() | new.keys()):
            dotted = f"{name}.{key}" if name else key
            found |= _differences(
                old.get(key, "(missing)"), new.get(key, "(missing)"), name=dotted
            )
        return found
    return {} if old == new else {name: (repr(old), repr(new))}


def _note_resumption(file: Path, record: dict[str, Any]) -> None:
    """Adds the environment to the record where it isn't the one before."""
    now = environment()
    before = (record.get("resumed") or [record])[-1]
    changed = _differences({key: before.get(key) for key in now}, now)
    if changed:
        said = "; ".join(f"{k} was {a} and is {b}" for k, (a, b) in changed.items())
        logger.warning("resuming, but not to the same bits: %s", said)
        _write(file, {**record, "resumed": [*record.get("resumed", []), now]})


def _read(file: Path) -> dict[str, Any]:
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise WorkdirError(
            f"{file} is not JSON: {error}. Expected the record of a run. Restore it, "
            "or use another workdir."
        ) from error


def _write(file: Path, record: dict[str, Any]) -> None:
    """In one atomic replacement: a kill leaves the old file or the new one."""
    replacement = file.with_suffix(".tmp")
    replacement.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    replacement.replace(file)
