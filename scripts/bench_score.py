"""How fast `jiaa score` sees photographs: against PyTorch, and with one or more views.

    python scripts/bench_score.py torch --root FOLDER --threads 1
    python scripts/bench_score.py views --root FOLDER --threads 1

All read the files of FOLDER/images by jiaa's decoder and keep nothing; each is run once
over all photographs beforehand, so that nothing is compiled meanwhile, and then in
turns. The time is of the whole: from the files to the scores.

torch: the built-in prior against the PyPI program of its network in PyTorch, which
stops at its last convolution (`extract_features`), in batches of eight, channels last.
"ratio" is the speed over PyTorch's: above 1, jiaa is faster.

views: the built-in prior, which looks once, against the same network with the three
sizes of configs/blend/oasis_efficientnet_lite2.py. "ratio" is the speed over that of
one view.
"""

import argparse
import statistics
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

# `scripts` is imported from the repository's root.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from scripts import _benchmark

TORCH_BATCH = 8
Way = Callable[[], int]  # how many photographs it saw


def jiaa_way(
    paths: Sequence[Path], *, settings: Sequence[str] = (), threads: int
) -> tuple[Any, Way]:
    """(the model, what scores `paths` with it): the built-in prior, nothing cached."""
    from jiaa.cli.models import load

    model = load(settings=settings)

    def run() -> int:
        stream = model.stream(paths, workers=threads, progress=False)
        return sum(len(model.score(batch.content)) for batch in stream)

    return model, run


def torch_way(paths: Sequence[Path], model: Any, *, threads: int) -> Way:
    """Sees `paths` by the PyPI program, decoded as `model` has them."""
    import torch

    from jiaa.serve.photos import decode_batches
    from scripts.bench_trunk import published

    backbone = model.record["config"]["model"]["backbone"]
    net = published(backbone).to(memory_format=torch.channels_last)
    options = {"size": model.encoder.size, "shapes": model.encoder.shapes}

    def run() -> int:
        seen = 0
        batches = decode_batches(
            paths, batch_size=TORCH_BATCH, workers=threads, **options
        )
        for batch in batches:
            with torch.inference_mode():
                # A view: the decoder's arrays have their channels last already.
                x = torch.from_numpy(batch.images).permute(0, 3, 1, 2).float()
                maps = net.extract_features((x - 127) / 128)
            seen += len(maps)
        return seen

    return run


def against_torch(
    paths: Sequence[Path], *, threads: int, repeats: int
) -> list[_benchmark.Row]:
    """A row for each side."""
    model, jiaa = jiaa_way(paths, threads=threads)
    ways = {"jiaa": jiaa, "torch": torch_way(paths, model, threads=threads)}
    return _rows(ways, "torch", len(paths), repeats=repeats)


def several_views(
    paths: Sequence[Path], *, threads: int, repeats: int
) -> list[_benchmark.Row]:
    """A row for one view, and for three sizes."""
    from configs.blend import oasis_efficientnet_lite2

    trunk: Any = oasis_efficientnet_lite2.get_config().trunk
    settings = (f"trunk.sizes={trunk.sizes!r}", f"trunk.shapes={tuple(trunk.shapes)}")
    _, one = jiaa_way(paths, threads=threads)
    _, many = jiaa_way(paths, settings=settings, threads=threads)
    ways = {"one view": one, f"{len(trunk.sizes)} sizes": many}
    return _rows(ways, "one view", len(paths), repeats=repeats)


def _rows(
    ways: dict[str, Way], yardstick: str, photographs: int, *, repeats: int
) -> list[_benchmark.Row]:
    """Medians, and the lowest and highest speed, of rounds after one that warms.

    Raises:
      AssertionError: a side did not see all photographs.
    """
    for name, run in ways.items():
        seen = run()
        assert seen == photographs, f"{name} saw {seen} of {photographs} photographs"
    times = _benchmark.interleaved(ways, repeats=repeats)
    unit = times[yardstick].median("wall")
    rows = []
    for name, found in times.items():
        seconds = statistics.median(found.wall)
        rows.append(
            {
                "who": name,
                "photographs": photographs,
                "seconds": round(seconds, 2),
                "a second": round(photographs / seconds, 2),
                "lowest": round(photographs / max(found.wall), 2),
                "highest": round(photographs / min(found.wall), 2),
                "cpu seconds": round(statistics.median(found.cpu), 2),
                "ratio": round(unit / seconds, 3),
            }
        )
    return rows


MEASURED = {"torch": against_torch, "views": several_views}


def main() -> None:
    """Prints the conditions, one table and a line of JSON a row."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=MEASURED)
    parser.add_argument("--root", type=Path, required=True, help="has images/")
    parser.add_argument("--photographs", type=_benchmark.count, help="so many (all)")
    parser.add_argument("--repeats", type=_benchmark.count, default=3, help="rounds")
    parser.add_argument("--threads", type=_benchmark.count, help="cores; default: all")
    flags = parser.parse_args()
    threads = _benchmark.begin(flags.threads)
    from jiaa.serve.photos import find_photos

    paths = find_photos([flags.root / "images"])[: flags.photographs]
    _benchmark.report(
        MEASURED[flags.what](paths, threads=threads, repeats=flags.repeats)
    )


if __name__ == "__main__":
    main()
