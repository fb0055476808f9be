"""Photographs made small once: short side 256 as JPEG, by all cores, resumable.

The JPEGs of a run go to *packs*, files of at most `PACK` photographs that appear whole
or not at all and are named for what they hold. A run that was killed finds its packs
and goes on behind them; a photograph that was replaced changes its pack's name.
"""

import concurrent.futures
import dataclasses
import hashlib
import io
import json
import multiprocessing
import os
import threading
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from jiaa.data.images import AnyPath, ImageError, decode
from jiaa.data.store import replacing, usable_cores

PACK = 128  # photographs in one file, and in one errand of a worker process
QUALITY = 92
VERSION = 1  # raise it when `shrink` changes what it returns


@dataclasses.dataclass(frozen=True)
class Packs:
    """What became of some photographs: JPEGs in files, and why others have none.

    `faults` maps the position of an unreadable photograph to what is wrong with it.
    """

    files: tuple[Path, ...]
    faults: dict[int, str]

    def __iter__(self) -> Iterator[tuple[int, bytes]]:
        """(position, JPEG) of each readable photograph, in order."""
        for number, file in enumerate(self.files):
            for offset, jpeg in enumerate(_read(file)):
                if jpeg:
                    yield number * PACK + offset, jpeg


def shrink(path: AnyPath, *, short_side: int) -> bytes:
    """The photograph as JPEG whose short side is at most `short_side` px.

    Proportions stay; a smaller photograph keeps its size, and one that is already such
    a JPEG its bytes.

    Raises:
      ImageError: it cannot be read.
    """
    if whole := _small_jpeg(path, short_side):
        return whole
    pixels = decode(path, at_least=2 * short_side)
    image = Image.fromarray(pixels)
    scale = short_side / min(image.size)
    if scale < 1:
        size = tuple(max(1, round(side * scale)) for side in image.size)
        image = image.resize(size, Image.Resampling.BILINEAR)  # pyright: ignore
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=QUALITY, subsampling=0)
    return buffer.getvalue()


def shrink_all(
    paths: Sequence[Path],
    *,
    short_side: int,
    folder: Path,
    workers: int | None = None,
    progress: bool = True,
) -> Packs:
    """`shrink` for each of `paths`, into packs in `folder`; what is there is kept.

    Packs with unreadable photographs are tried again: a disk may have failed for once.
    `workers` processes (default: the usable cores) share the work; with 1 it is done in
    this process. A script that asks for more guards its entry with
    `if __name__ == "__main__"`. Unreadable photographs become `faults`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    groups = [paths[start : start + PACK] for start in range(0, len(paths), PACK)]
    files = tuple(_pack_file(folder, group, short_side) for group in groups)
    waiting = [x for x in zip(files, groups, strict=True) if not _is_whole(x[0])]
    left = sum(len(group) for _, group in waiting)
    with tqdm(
        desc="shrink photographs",
        total=len(paths),
        initial=len(paths) - left,
        unit="image",
        disable=not progress,
    ) as bar:
        for done in _pack_each(waiting, short_side, workers or usable_cores()):
            bar.update(done)
    faults = {
        number * PACK + offset: fault
        for number, file in enumerate(files)
        for offset, fault in enumerate(_read_faults(file))
        if fault
    }
    return Packs(files, faults)


def _small_jpeg(path: AnyPath, short_side: int) -> bytes | None:
    """The file's bytes if they can be stored as they are."""
    try:
        with Image.open(path) as image:
            if (
                image.format == "JPEG"
                and image.mode == "RGB"
                and min(image.size) <= short_side
                and image.getexif().get(0x0112, 1) == 1  # upright
            ):
                image.load()
                return Path(path).read_bytes()
    except Exception:  # Pillow's parsers raise anything; `decode` says what is wrong
        return None
    return None


def _is_whole(pack: Path) -> bool:
    """Whether it has been written, with all its photographs."""
    try:
        return not any(_read_faults(pack))
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile):
        return False


def _pack_each(
    waiting: Sequence[tuple[Path, Sequence[Path]]], short_side: int, workers: int
) -> Iterator[int]:
    """Writes the packs and yields how many photographs went into each."""
    if workers == 1 or len(waiting) < 2:
        for file, group in waiting:
            yield _write(file, group, short_side)
        return
    context = multiprocessing.get_context("spawn")  # JAX's threads forbid forking
    with concurrent.futures.ProcessPoolExecutor(
        min(workers, len(waiting)), mp_context=context, initializer=_die_with_parent
    ) as pool:
        errands = [pool.submit(_write, *pack, short_side) for pack in waiting]
        for errand in concurrent.futures.as_completed(errands):
            yield errand.result()


def _die_with_parent() -> None:
    """Ends this worker when the parent is gone: a killed parent cannot tell it."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def wait() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


def _write(file: Path, paths: Sequence[Path], short_side: int) -> int:
    jpegs, faults = [], []
    for path in paths:
        try:
            jpegs.append(shrink(path, short_side=short_side))
            faults.append("")
        except ImageError as error:
            jpegs.append(b"")
            faults.append(str(error))
    with replacing(file) as partial, partial.open("wb") as out:
        np.savez(
            out,
            sizes=np.asarray([len(jpeg) for jpeg in jpegs]),
            bytes=np.frombuffer(b"".join(jpegs), np.uint8),
            faults=np.asarray(faults),
        )
    return len(paths)


def _read(file: Path) -> Iterator[bytes]:
    with np.load(file, allow_pickle=False) as pack:
        ends = np.cumsum(pack["sizes"])
        content = pack["bytes"].tobytes()
    for end, start in zip(ends, np.concatenate([[0], ends[:-1]]), strict=True):
        yield content[start:end]


def _read_faults(file: Path) -> list[str]:
    # Of a torn file that it opened itself, NumPy would leave the handle open.
    with file.open("rb") as content, np.load(content, allow_pickle=False) as pack:
        return pack["faults"].tolist()


def _pack_file(folder: Path, paths: Sequence[Path], short_side: int) -> Path:
    """A name that changes with any of the files or with what is done to them."""
    digest = hashlib.blake2b(f"{VERSION} {QUALITY} {short_side}".encode())
    for path in paths:
        stat = path.stat()
        facts = [str(path.resolve()), stat.st_size, stat.st_mtime_ns]
        digest.update(json.dumps(facts).encode())
    return folder / f"{digest.hexdigest()[:32]}.npz"
