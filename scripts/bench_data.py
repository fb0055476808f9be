"""How fast raw files are read and prepared, and prepared ones read, at full size.

    python scripts/bench_data.py labels       255,000 rows of AVA.txt, few photographs
    python scripts/bench_data.py small        40,000 of 48 px, in FLICKR-AES' format
    python scripts/bench_data.py photographs  300 of 1024 px: shrinking, reading batches
    python scripts/bench_data.py cores        each of these ten times, by 1, 2, ...

The files are synthetic and lie in --folder, which is kept; drawing those of 1024 px
takes eight minutes, and "cores" needs them. Seconds are told twice, by the clock and as
what cores spent, with the files in the page cache. docs/datasets/speed.md has figures.
"""

import argparse
import functools
import io
import resource
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from jiaa.data import load, records, stream
from jiaa.data.builders import ava, prepare
from jiaa.data.builders.shrink import shrink, shrink_all
from jiaa.data.photographs import Photographs
from jiaa.data.store import usable_cores
from jiaa.data.synthetic.formats import FORMATS

BATCH = 32


def timed(what: str, work: Callable[[], Any], *, items: int = 0) -> Any:
    """Runs `work` and prints its seconds, and items a second if there are some.

    Once by the clock, and once by what cores spent on it: on a busy machine only the
    latter tells something.
    """
    start, cpu_start = time.perf_counter(), cpu_seconds()
    result = work()
    seconds, cpu = time.perf_counter() - start, cpu_seconds() - cpu_start
    rates = f"{items / seconds:10,.0f} / s {items / cpu:10,.0f} / core s" * bool(items)
    print(f"{what:42s}{seconds:9.2f} s{cpu:9.2f} core s{rates}", flush=True)
    return result


def cpu_seconds() -> float:
    """What this process and those that it waited for have spent on all cores."""
    usage = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(x.ru_utime + x.ru_stime for x in usage)


def labels(folder: Path, workers: int) -> None:
    """AVA with as many rows of votes as the real file, and few photographs."""
    rows, images = 255_000, 500
    raw = folder / "ava"
    if not raw.is_dir():
        options = {"rows": rows, "images": images, "image_size": 32}
        timed("write", lambda: FORMATS["ava"](raw, **options), items=rows)
    timed(
        "AVA.txt: read and check", lambda: ava.read_votes(raw / "AVA.txt"), items=rows
    )
    missing = {"max_missing": rows}
    timed("all raw files: --check", lambda: prepare.check("ava", raw, **missing))
    data_dir = folder / "ava_prepared"
    options: dict = {"workers": workers, "progress": False, **missing}
    counts = timed("prepare", lambda: prepare.prepare("ava", raw, data_dir, **options))
    print(prepare.table(counts))


def small(folder: Path, workers: int) -> None:
    """As many photographs and ratings as FLICKR-AES, at 48 px."""
    images = 40_000
    raw = folder / "flickr_aes"
    if not raw.is_dir():
        options = {"images": images - 1_014, "image_size": 48}
        timed("write", lambda: FORMATS["flickr_aes"](raw, **options), items=images)
    timed("--check", lambda: prepare.check("flickr_aes", raw), items=images)
    data_dir = folder / "flickr_aes_prepared"
    options: dict = {"workers": workers, "progress": False}
    counts = timed(
        "prepare",
        lambda: prepare.prepare("flickr_aes", raw, data_dir, **options),
        items=images,
    )
    print(prepare.table(counts))
    reading = {"image_size": 48, "progress": False, "decode_workers": workers}
    for what, root in (("raw", raw), ("prepared", data_dir)):
        timed(
            f"load('flickr_aes') from {what} files",
            lambda root=root: load("flickr_aes", root=root, **reading),
            items=images,
        )
    prepared = records.open_stream(
        "flickr_aes", data_dir, split="train", batch_size=BATCH, image_size=48
    )
    read(f"batches of {BATCH} from records", one_epoch(prepared), images)


def photographs(folder: Path, workers: int) -> None:
    """Photographs of the size that FLICKR-AES has: 1024 px."""
    images = 300
    raw = folder / "real_cur"
    if not raw.is_dir():
        options = {"images": images, "image_size": 1024}
        timed("write", lambda: FORMATS["real_cur"](raw, **options), items=images)
    paths = sorted(raw.rglob("*.jpg"))
    timed("(read the files once)", lambda: [path.read_bytes() for path in paths])
    timed("decode, nothing else (Pillow)", each(decode_whole, paths), items=images)
    timed("decode at 512 px, nothing else", each(decode_half, paths), items=images)
    timed("shrink", each(lambda x: shrink(x, short_side=256), paths), items=images)
    data_dir = folder / f"real_cur_prepared_{workers}"
    options: dict = {"workers": workers, "progress": False}
    timed(
        f"prepare, {workers} workers",
        lambda: prepare.prepare("real_cur", raw, data_dir, **options),
        items=images,
    )
    prepared = records.open_stream(
        "real_cur", data_dir, split="test", batch_size=BATCH, crop=224
    )
    read("raw folder, PyTorch DataLoader", torch_batches(paths), images)
    files = stream.image_batches(
        Photographs(paths, size=256),
        batch_size=BATCH,
        seed=0,
        epochs=1,
        drop_remainder=False,
        threads=0,
    )
    read("raw folder, jiaa.data.photographs", files, images)
    read("prepared, jiaa.data.records", one_epoch(prepared), images)


def cores(folder: Path, workers: int) -> None:
    """Shrinking the photographs of `photographs`, each ten times, by more cores."""
    paths = 10 * sorted((folder / "real_cur").rglob("*.jpg"))
    if not paths:
        raise SystemExit(f"{folder}: no photographs; run 'photographs' first")
    for count in sorted({1, 2, workers, usable_cores()}):
        options: dict = {"short_side": 256, "workers": count, "progress": False}
        with tempfile.TemporaryDirectory() as packs:
            work = functools.partial(shrink_all, paths, folder=Path(packs), **options)
            timed(f"shrink, {count} workers", work, items=len(paths))


def each(work: Callable[[Path], Any], paths: list[Path]) -> Callable[[], None]:
    """`work` on one path after another, on this core."""

    def run() -> None:
        for path in paths:
            work(path)

    return run


def decode_whole(path: Path) -> None:
    """What a decoder takes at least without tricks."""
    with Image.open(path) as image:
        image.load()


def decode_half(path: Path) -> None:
    """What a decoder takes at least when it may stop at half the side."""
    with Image.open(path) as image:
        image.draft("RGB", (512, 512))
        image.load()


def one_epoch(prepared: stream.Stream) -> Iterable:
    """Every record once, on this thread."""
    return stream.stream_batches(
        prepared, seed=0, epochs=1, drop_remainder=False, threads=0
    )


def torch_batches(paths: list[Path]) -> Iterable:
    """The raw folder as PyTorch programs read it: decode, 256 px, crop 224, flip."""
    from torch.utils.data import DataLoader, Dataset

    rng = np.random.default_rng(0)

    class Folder(Dataset):
        def __len__(self) -> int:
            return len(paths)

        def __getitem__(self, row: int) -> np.ndarray:
            content = io.BytesIO(paths[row].read_bytes())
            image = Image.open(content).convert("RGB").resize((256, 256))
            top, left = rng.integers(33, size=2)
            crop = np.asarray(image)[top : top + 224, left : left + 224]
            return np.ascontiguousarray(crop[:, ::-1] if rng.random() < 0.5 else crop)

    return DataLoader(Folder(), batch_size=BATCH, shuffle=True)


def read(what: str, batches: Iterable, items: int) -> None:
    """Goes through all batches."""
    timed(what, lambda: sum(1 for _ in batches), items=items)


def main() -> None:
    """Runs one of the four."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("what", choices=("labels", "small", "photographs", "cores"))
    parser.add_argument("--folder", type=Path, default=Path("runs/bench_data"))
    parser.add_argument("--workers", type=int, default=1)
    flags = parser.parse_args()
    globals()[flags.what](flags.folder, flags.workers)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"peak memory {peak:.2f} GiB")


if __name__ == "__main__":
    main()
