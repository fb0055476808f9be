"""The folder of one run: its lock, and the record of what was run where.

A workdir holds `config.json`, `checkpoints/`, `metrics.jsonl`, TensorBoard events and
the file `lock`.
"""

import contextlib
import errno
import fcntl
import importlib.metadata
import json
import logging
import os
import platform
import socket
import subprocess
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import jax

import jiaa

CONFIG = "config.json"
LOCK = "lock"
# What a run leaves: with one of these the folder belongs to its recorded config.
PRODUCTS = (
    "checkpoints/[0-9]*",
    "*.safetensors",
    "results.csv",
    "summary.json",
    "protocols.json",
)
REFUSED = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOENT)
PACKAGES = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "grain", "numpy")

logger = logging.getLogger(__name__)


class WorkdirError(ValueError):
    """The workdir is another run's; the message names folder, difference and remedy."""


class WorkdirBusyError(RuntimeError):
    """Another process works in the workdir; the message names it."""


class Workdir:
    """A context that owns a folder while it is open.

    Opening creates the folder, locks it against a second process (the lock goes with
    the process, however it ends), and checks that what was trained there before had the
    same config; then `config.json` is written. A record beside which nothing was
    trained binds nobody: it is replaced. Of several hosts only the first locks and
    writes.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        config: Mapping[str, Any] | None = None,
        may_differ: Collection[str] = (),
        record_at_once: bool = True,
    ):
        """Nothing is touched before the context opens.

        Args:
            path: the folder.
            config: what defines the run; nested mappings of JSON values.
            may_differ: dotted names ("data.root"), or sections, that a resumed run may
                change.
            record_at_once: with False, the caller writes `config.json` by `record`,
                once it has checked what else could be wrong.
        """
        self.path = Path(path)
        self.config = _plain(config or {})
        self.may_differ = frozenset(may_differ)
        self.record_at_once = record_at_once
        self._stack = contextlib.ExitStack()
        self._before: dict[str, Any] | None = None
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
            WorkdirError: the folder is that of another config, or cannot be one.
        """
        with contextlib.ExitStack() as stack:
            if self.is_primary:
                stack.enter_context(locked(self.path))
                self._before = self._compared()
                if self.record_at_once:
                    self.record()
            self._stack = stack.pop_all()
        self.is_open = True
        return self

    def __exit__(self, *exception: object) -> None:
        """Gives the folder back."""
        self.is_open = False
        self._stack.close()

    def record(self) -> None:
        """Writes `config.json`, or notes there that this run goes on elsewhere."""
        if not self.is_primary:
            return
        if self._before is None:
            self._before = {"config": self.config, **environment()}
            _write(self.path / CONFIG, self._before)
        else:
            _note_resumption(self.path / CONFIG, self._before)

    def _compared(self) -> dict[str, Any] | None:
        """The record of the run that this one goes on with; None for a new run."""
        file = self.path / CONFIG
        if not file.exists():
            return None
        record = read_record(file)
        differences = {
            name: pair
            for name, pair in _differences(record["config"], self.config).items()
            if not self._may_change(name)
        }
        if not differences:
            return record
        if not any(found for glob in PRODUCTS for found in self.path.glob(glob)):
            logger.info("%s held the record of a run that trained nothing", self.path)
            return None
        said = "; ".join(f"{k} was {a} and is {b}" for k, (a, b) in differences.items())
        raise WorkdirError(
            f"{self.path} was started with another config: {said}. Give the values "
            f"of {file} to resume it, or another workdir to start anew."
        )

    def _may_change(self, name: str) -> bool:
        steps = name.split(".")
        return any(
            ".".join(steps[:end]) in self.may_differ for end in range(1, len(steps) + 1)
        )


@contextlib.contextmanager
def locked(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Holds the folder `path`, which is made if it isn't there, against all others.

    Raises:
        WorkdirBusyError: another process holds it.
        WorkdirError: it is a file, or cannot be made or written to; or its name is no
            text, as TensorStore, which writes the checkpoints, wants it.
    """
    path = Path(path)
    try:
        os.fspath(path).encode()
    except UnicodeEncodeError as error:
        raise WorkdirError(
            f"{os.fspath(path)!a} is not UTF-8; expected a name that is, because "
            "checkpoints could not be written there. Give another workdir, or rename "
            "its folder."
        ) from error
    try:
        path.mkdir(parents=True, exist_ok=True)
        descriptor = _acquire(path / LOCK)
    except (FileExistsError, NotADirectoryError) as error:
        found = next(x for x in (path, *path.parents) if x.exists())
        raise WorkdirError(
            f"{found} is a file; expected a folder, or a name that is free. Give "
            "another workdir, or move the file away."
        ) from error
    except OSError as error:
        if error.errno not in REFUSED:
            raise
        raise WorkdirError(
            f"{path} cannot be written to ({error.strerror}). Give a workdir in a "
            "folder of your own, or change its permissions."
        ) from error
    try:
        yield path
    finally:
        os.close(descriptor)


def read_record(file: Path) -> dict[str, Any]:
    """What `config.json` holds: {"config": {...}, "versions": ..., ...}.

    Raises:
        WorkdirError: it is no such record.
    """
    remedy = "Restore it, or use another workdir."
    try:
        record = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise WorkdirError(
            f"{file} is not JSON: {error}. Expected the record of a run. {remedy}"
        ) from error
    if not isinstance(record, dict) or not isinstance(record.get("config"), dict):
        raise WorkdirError(
            f"{file} is not the record of a run: expected an object with an object "
            f"'config' in it. {remedy}"
        )
    return record


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
    """Dotted name -> the two values, for the leaves that differ.

    A field that one side lacks and the other leaves at None, or empty, was chosen by
    neither. In a list of objects, a field's name is the same for all of them.
    """
    if isinstance(old, dict) and isinstance(new, dict):
        found = {}
        for key in sorted(old.keys() | new.keys()):
            dotted = f"{name}.{key}" if name else key
            found |= _differences(old.get(key), new.get(key), name=dotted)
        return found
    if _are_objects(old) and _are_objects(new) and len(old) == len(new):
        found = {}
        for pair in zip(old, new, strict=True):
            found |= _differences(*pair, name=name)
        return found
    if old == new or (old in (None, []) and new in (None, [])):
        return {}
    one, other = ("not set" if x is None else repr(x) for x in (old, new))
    return {name: (one, other)}


def _are_objects(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(x, dict) for x in value)


def _note_resumption(file: Path, record: dict[str, Any]) -> None:
    """Adds the environment to the record where it isn't the one before."""
    now = environment()
    before = (record.get("resumed") or [record])[-1]
    changed = _differences({key: before.get(key) for key in now}, now)
    if changed:
        said = "; ".join(f"{k} was {a} and is {b}" for k, (a, b) in changed.items())
        logger.warning("resuming, but not to the same bits: %s", said)
        _write(file, {**record, "resumed": [*record.get("resumed", []), now]})


def _write(file: Path, record: dict[str, Any]) -> None:
    """In one atomic replacement: a kill leaves the old file or the new one."""
    replacement = file.with_suffix(".tmp")
    try:
        replacement.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
        replacement.replace(file)
    finally:
        replacement.unlink(missing_ok=True)
