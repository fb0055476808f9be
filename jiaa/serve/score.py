"""Many photographs scored and ranked, and the ranking as a file."""

import csv
import dataclasses
import io
import json
import shutil
from collections.abc import Sequence
from pathlib import Path

from jiaa.data.images import AnyPath
from jiaa.data.store import replacing
from jiaa.serve.cache import FeatureCache
from jiaa.serve.model import Model

COLUMNS = ("rank", "image", "score")
FORMATS = (".csv", ".jsonl")


@dataclasses.dataclass(frozen=True)
class Ranked:
    """One photograph's place: `rank` 1 is the best; `score` is in the model's stars."""

    rank: int
    image: Path
    score: float


@dataclasses.dataclass(frozen=True)
class Ranking:
    """Photographs from best to worst, and why the others could not be read."""

    photos: tuple[Ranked, ...]
    failures: tuple[str, ...]


def rank_photos(
    model: Model,
    photos: Sequence[Path],
    *,
    cache: FeatureCache | None = None,
    workers: int | None = None,
    progress: bool = True,
) -> Ranking:
    """Scores files and sorts them, best first; equal scores in the order given.

    Photographs whose features are in `cache` are not decoded again, so that a killed
    call goes on where it stopped, and another person's ranking takes no time.

    Args:
      model: a prior, or one adapted to a person.
      photos: files.
      cache: of `model.open_cache`.
      workers: threads that decode; the usable cores by default.
      progress: whether to show a bar.
    """
    scores: dict[int, float] = {}
    failures: dict[int, str] = {}
    for batch in model.stream(photos, cache=cache, workers=workers, progress=progress):
        stars = model.score(batch.content).tolist()
        scores.update(zip(batch.rows.tolist(), stars, strict=True))
        failures.update(batch.failures)
    order = sorted(scores, key=lambda row: (-scores[row], row))
    ranked = (Ranked(n, photos[row], scores[row]) for n, row in enumerate(order, 1))
    return Ranking(tuple(ranked), tuple(failures[row] for row in sorted(failures)))


def check_format(path: AnyPath) -> None:
    """Refuses a table's name before the work is done.

    Raises:
      ValueError: it ends neither in .csv nor in .jsonl.
    """
    if Path(path).suffix not in FORMATS:
        raise ValueError(f"{path}: expected a name ending in {' or '.join(FORMATS)}")


def write_ranking(ranking: Sequence[Ranked], path: AnyPath) -> None:
    """Writes CSV or JSON lines (by the name's end), in one go.

    Raises:
      ValueError: an unknown ending.
    """
    check_format(path)
    path = Path(path)
    rows = [(one.rank, str(one.image), round(one.score, 4)) for one in ranking]
    text = io.StringIO()
    if path.suffix == ".jsonl":
        for row in rows:
            print(json.dumps(dict(zip(COLUMNS, row, strict=True))), file=text)
    else:
        csv.writer(text, lineterminator="\n").writerows([COLUMNS, *rows])
    with replacing(path) as partial:
        # A file's name may hold bytes that are no UTF-8: they come back unchanged.
        partial.write_text(text.getvalue(), encoding="utf-8", errors="surrogateescape")


def copy_photos(ranking: Sequence[Ranked], folder: AnyPath) -> None:
    """Copies photographs into a folder, their rank before their names."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    digits = len(str(max((one.rank for one in ranking), default=1)))
    for one in ranking:
        shutil.copy2(one.image, folder / f"{one.rank:0{digits}}_{one.image.name}")
