"""How many images a second reach the step, and how long training waits for them.

    python scripts/bench_input.py --images FOLDER
    python scripts/bench_input.py --images FOLDER --workers 8 --part speed

Every contestant makes the same batches of the same photographs: decoded, squashed to
256 px, cropped at random to 224 px and flipped, as uint8. jiaa crops and flips on the
device: of a store that lies there ("resident"), of one in memory that does not
("array"), and of files that grain decodes in this process' threads or in worker
processes ("files"). PyTorch is a DataLoader whose dataset does all four in Pillow.

The second table is of short real trainings of a small network by `train.loop.fit`:
which part of the time between the first batch and the last went by in `next(batches)`.
Nothing else makes the device wait for input, so it waited no longer than that.
"""

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

# `scripts` is imported from the repository's root, by worker processes as well.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from scripts import _benchmark

STORED, SHOWN = 256, 224
SUFFIXES = (".jpg", ".jpeg", ".png")
UNTIMED = 12  # batches at a round's start: read while the others had their turn
PAUSE = 1.0  # seconds after a turn, in which readers fill their buffers


class Feed(NamedTuple):
    """A contestant: endless batches, and what makes one ready for a step."""

    next: Callable[[], Any]
    ready: Callable[[Any], Any]
    close: Callable[[], Any]


def jiaa_feed(batches: Any, store: Any = None) -> Feed:
    """Batches of jiaa's, cropped and flipped on the device."""
    import functools
    import itertools

    import jax
    import numpy as np

    from jiaa.data import images

    crop = jax.jit(functools.partial(images.training_view, size=SHOWN))
    take = jax.jit(
        lambda store, rows, key: images.training_view(
            store.take(rows), size=SHOWN, key=key
        )
    )
    keys = (jax.random.key(number) for number in itertools.count())

    def ready(batch):
        if store is None:
            batch = crop(batch["images"], key=next(keys))
        else:
            batch = take(store, np.asarray(batch), next(keys))
        return jax.block_until_ready(batch)

    return Feed(lambda: next(batches), ready, batches.close)


class PillowDataset:
    """The same four operations as a PyTorch dataset is commonly written."""

    def __init__(self, paths: list[str]):
        """`paths`: of the photographs."""
        self.paths = paths

    def __len__(self) -> int:
        """How many photographs there are."""
        return len(self.paths)

    def __getitem__(self, row: int) -> Any:
        """A random crop of a photograph, perhaps mirrored: uint8 [3, height, width]."""
        import numpy as np
        import torch
        from PIL import Image

        with Image.open(self.paths[row]) as image:
            pixels = image.convert("RGB").resize(
                (STORED, STORED), Image.Resampling.BILINEAR
            )
        top, left = torch.randint(STORED - SHOWN + 1, (2,)).tolist()
        crop = pixels.crop((left, top, left + SHOWN, top + SHOWN))
        if torch.rand(()) < 0.5:
            crop = crop.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        return torch.from_numpy(np.array(crop)).permute(2, 0, 1)


def torch_feed(paths: list[str], *, batch_size: int, workers: int) -> Feed:
    """PyTorch's batches, epoch after epoch."""
    import torch

    loader = torch.utils.data.DataLoader(
        PillowDataset(paths),  # pyright: ignore[reportArgumentType]
        batch_size=batch_size,
        shuffle=True,
        drop_last=True,
        num_workers=workers,
        persistent_workers=workers > 0,
        multiprocessing_context="spawn" if workers else None,
    )

    def endless() -> Iterator[Any]:
        while True:
            yield from loader

    batches = endless()
    return Feed(lambda: next(batches), lambda batch: batch, batches.close)


def feeds(paths: list[str], *, batch_size: int, workers: int) -> dict[str, Feed]:
    """All contestants."""
    import jax

    from jiaa.data import loader, photographs, store, stream

    options = {"batch_size": batch_size, "seed": 0}
    kept = store.load_images(paths, size=STORED, progress=False)
    files = photographs.Photographs(paths, size=STORED)
    device = jax.local_devices()[0]
    ahead = {**options, "sharding": device}
    cores = store.usable_cores()
    return {
        "jiaa resident": jiaa_feed(
            loader.index_batches(len(paths), **options), jax.device_put(kept, device)
        ),
        f"jiaa array, {cores} threads": jiaa_feed(
            stream.image_batches(kept.images, threads=cores, **ahead)
        ),
        "jiaa files, in the step's thread": jiaa_feed(
            stream.image_batches(files, threads=0, **options)
        ),
        f"jiaa files, {cores} threads": jiaa_feed(
            stream.image_batches(files, threads=cores, **ahead)
        ),
        f"jiaa files, {workers} processes": jiaa_feed(
            stream.image_batches(files, threads=1, workers=workers, **ahead)
        ),
        "torch 0 workers": torch_feed(paths, batch_size=batch_size, workers=0),
        f"torch {workers} workers": torch_feed(
            paths, batch_size=batch_size, workers=workers
        ),
    }


def speed(paths: list[str], flags: argparse.Namespace) -> list[_benchmark.Row]:
    """A row a contestant: images a second, in turns."""
    contestants = feeds(paths, batch_size=flags.batch_size, workers=flags.workers)
    rates: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(1 + flags.repeats):
        for name, feed in contestants.items():
            for _ in range(UNTIMED):
                feed.ready(feed.next())
            start = time.perf_counter()
            for _ in range(flags.batches):
                feed.ready(feed.next())
            seconds = time.perf_counter() - start
            rates[name].append(flags.batches * flags.batch_size / seconds)
            time.sleep(PAUSE)
    for feed in contestants.values():
        feed.close()
    # The first round warmed.
    medians = {name: statistics.median(found[1:]) for name, found in rates.items()}
    fastest = max(rate for name, rate in medians.items() if name.startswith("torch"))
    return [
        {
            "contestant": name,
            "images_s": rate,
            "lowest": min(rates[name][1:]),
            "highest": max(rates[name][1:]),
            "ratio": rate / fastest,
        }
        for name, rate in medians.items()
    ]


def clocked(batches: Any) -> Any:
    """The batches, and in `waits` the (start, end) of each wait for one."""
    import grain

    class Clocked(grain.DatasetIterator):
        def __init__(self):
            super().__init__()
            self.waits: list[tuple[float, float]] = []

        def __next__(self):
            start = time.perf_counter()
            batch = next(batches)
            self.waits.append((start, time.perf_counter()))
            return batch

        def get_state(self):
            return batches.get_state()

        def set_state(self, state):
            batches.set_state(state)

    return Clocked()


def make_step(images: int, *, width: int) -> tuple[Callable[..., Any], Callable]:
    """(the step of generic training, fresh states) of a narrow ResNet18."""
    import functools

    import jax
    import numpy as np
    import optax

    from jiaa import losses
    from jiaa.models.generic import create_model, initialise
    from jiaa.models.pretrained import SPECS
    from jiaa.models.views import ImageView
    from jiaa.train.state import create_train_state
    from jiaa.train.steps import CrowdScores, train_step

    options = {"width": width}
    network = create_model(backbone="resnet18", head="pooled", backbone_options=options)
    key, optimizer = jax.random.key(0), optax.adam(1e-4)
    start = initialise(network, np.zeros((2, 64, 64, 3), np.float32), key=key)
    rows = np.arange(images, dtype=np.int32)
    scores = np.random.default_rng(0).uniform(0.2, 1, images).astype(np.float32)
    step = functools.partial(
        train_step,
        crowd=CrowdScores(rows, scores),
        apply=network.apply,
        prepare=ImageView.of(SPECS["resnet18"], size=SHOWN).learning,
        loss=losses.squared_error,
        optimizer=optimizer,
    )
    return step, lambda: create_train_state(start, optimizer=optimizer, key=key)


def make_training(paths: list[str], flags: argparse.Namespace) -> Callable[..., Any]:
    """`train(batches, store, folder, steps)`: short generic trainings."""
    import functools

    from jiaa.train.loop import fit
    from jiaa.train.workdir import Workdir

    step, fresh_state = make_step(len(paths), width=flags.width)

    def train(batches: Any, store: Any, folder: Path, steps: int) -> None:
        with Workdir(folder, config={"steps": steps}) as workdir:
            fit(
                fresh_state(),
                functools.partial(step, store=store),
                batches,
                num_steps=steps,
                workdir=workdir,
                save_every=steps,
                progress=False,
            )

    return train


def waiting(paths: list[str], flags: argparse.Namespace) -> list[_benchmark.Row]:
    """A row a way of reading: how long a training run waited in `next(batches)`."""
    import jax

    from jiaa.data import loader, photographs, store, stream

    train = make_training(paths, flags)
    kept = jax.device_put(store.load_images(paths, size=STORED, progress=False))
    files = photographs.Photographs(paths, size=STORED)
    options = {"batch_size": flags.batch_size, "seed": 0}
    ahead = {**options, "sharding": jax.local_devices()[0]}
    cores = store.usable_cores()
    ways: dict[str, tuple[Callable[[], Any], Any]] = {
        "resident": (lambda: loader.index_batches(len(paths), **options), kept),
        f"files, {cores} threads": (
            lambda: stream.image_batches(files, threads=cores, **ahead),
            None,
        ),
        f"files, {flags.workers} processes": (
            lambda: stream.image_batches(
                files, threads=1, workers=flags.workers, **ahead
            ),
            None,
        ),
        "files, in the step's thread": (
            lambda: stream.image_batches(files, threads=0, **options),
            None,
        ),
    }
    found = []
    with tempfile.TemporaryDirectory() as root:
        for number, (name, (make, resident)) in enumerate(ways.items()):
            for run, steps in (("warm", 2), ("measured", flags.steps)):
                batches = make()
                clock = clocked(batches)
                train(clock, resident, Path(root) / f"{number}_{run}", steps)
                batches.close()
            found.append({"reading": name, **_waited(clock.waits, flags)})
    return found


def _waited(waits: list[tuple[float, float]], flags: argparse.Namespace) -> Any:
    """The waits for all batches but the first, over the time they were spread on."""
    (first, begin), *later = waits
    seconds = later[-1][1] - begin
    waited = sum(end - start for start, end in later)
    return {
        "steps": len(waits),
        "images_s": len(later) * flags.batch_size / seconds,
        "waited": waited / seconds,
        "first_batch_s": begin - first,
    }


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    count = _benchmark.count
    data = os.environ.get("JIAA_DATA")
    parser.add_argument(
        "--images",
        type=Path,
        default=Path(data) / "oasis" / "images" if data else None,
        required=data is None,
        help="a folder of photographs; default: $JIAA_DATA/oasis/images",
    )
    parser.add_argument("--part", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--workers", type=count, default=2, help="worker processes")
    parser.add_argument("--threads", type=count, help="cores for all; default: all")
    parser.add_argument("--device", choices=("cpu", "gpu"), default="cpu")
    parser.add_argument("--batch-size", type=count, default=32)
    parser.add_argument("--batches", type=count, default=24, help="timed, in a round")
    parser.add_argument("--repeats", type=count, default=5, help="rounds, after one")
    parser.add_argument("--steps", type=count, default=40, help="of a training run")
    parser.add_argument("--width", type=count, default=8, help="of its ResNet18")
    return parser.parse_args()


PARTS = {"speed": speed, "waiting": waiting}


def main() -> None:
    """Prints the conditions, a table a part and a line of JSON a row."""
    flags = parse()
    found = sorted(x for x in flags.images.rglob("*") if x.suffix.lower() in SUFFIXES)
    paths = [str(path) for path in found]
    if len(paths) < flags.batch_size:
        raise SystemExit(
            f"{flags.images}: {len(paths)} photographs ({', '.join(SUFFIXES)}); "
            f"expected a batch of {flags.batch_size} at least. Name another folder"
        )
    _benchmark.begin(flags.threads, device=flags.device)
    print(
        f"{len(paths)} photographs, {STORED} px stored, {SHOWN} px shown, batches of "
        f"{flags.batch_size}"
    )
    for part in flags.part:
        print()
        _benchmark.report([{"part": part, **x} for x in PARTS[part](paths, flags)])


if __name__ == "__main__":
    main()
