"""What a dataset of reviews is like: CFAN's Table 1 and Fig. 2, and eq. 7."""

import os
from pathlib import Path

import numpy as np

from jiaa.cli.collaborative.problem import write_world
from jiaa.cli.options import Config, ConfigError
from jiaa.data import reviews
from jiaa.data.builders.ava import mean_stars
from jiaa.data.builders.labels import Labels
from jiaa.data.builders.source import open_source
from jiaa.data.reviews import statistics
from jiaa.data.sources import default_root
from jiaa.data.store import replacing
from jiaa.report import collaborative as report
from jiaa.report import figures
from jiaa.report.tables import markdown

NAME = "ava_reviews"


def describe(
    config: Config, workdir: str | os.PathLike[str], *, progress: bool = True
) -> Path:
    """Writes `workdir`/reviews.md and its figures; returns its path.

    Raises:
      ConfigError: the config's dataset has no reviews.
    """
    if config.data.name != NAME:
        raise ConfigError(
            f"config.data.name={config.data.name!r} has no reviews; expected {NAME!r}"
        )
    root = write_world(config, NAME) if len(config.world) else config.data.root
    labels = open_source(NAME, root or default_root(NAME), progress=progress).labels
    said = labels.responses
    texts = said["review"].tolist()
    rated = reviews.rate_reviews(
        texts, lexicon=config.reviews.lexicon, progress=progress
    )
    out = Path(workdir)
    parts = ["# Reviews", "## Statistics (Table 1)", _statistics(labels)]
    parts += ["## From words to ratings", _types(rated), _agreement(labels, rated)]
    words = reviews.aesthetic_words(texts, lexicon=reviews.photographic(), size=40)
    parts.append(f"Words on photographic quality: {', '.join(words)}.")
    parts += ["## Votes and levels (Fig. 2)", *_levels(labels, rated, out)]
    target = out / "reviews.md"
    with replacing(target) as path:
        path.write_text("\n\n".join(parts) + "\n", encoding="utf-8")
    return target


def _statistics(labels: Labels) -> str:
    said = labels.responses
    _, user = np.unique(said["worker"], return_inverse=True)
    found = statistics.statistics_by_tag(user, said["image"], labels.columns["tags"])
    names = {f"tag {tag}" if tag else "overall": x for tag, x in found.items()}
    return report.statistics_table(names)


def _types(rated: reviews.Rated) -> str:
    counts = np.bincount(rated.kind, minlength=5)[1:]
    levels = np.bincount(rated.level, minlength=6)[1:]
    rows = [
        [f"type {kind.name.lower()}", str(count)]
        for kind, count in zip(reviews.Kind, counts, strict=True)
    ]
    rows += [[f"level {n}", str(count)] for n, count in enumerate(levels, 1)]
    return markdown(["reviews", "number"], rows)


def _agreement(labels: Labels, rated: reviews.Rated) -> str:
    """Eq. 7, and where writers gave stars themselves, the agreement with these."""
    kept = rated.level > 0
    crowd = mean_stars(labels.columns["votes"]) > 5
    image, good = labels.responses["image"][kept], rated.good[kept]
    share = reviews.consistency(image, good, crowd)
    lines = [
        f"Consistency with the votes (eq. 7): {share:.3f} (the paper, on AVA: 0.811). "
        f"Good: {int(good.sum())}, bad: {int((~good).sum())}."
    ]
    stars = labels.responses["stars"][kept]
    known = ~np.isnan(stars)
    if known.any():
        same = np.mean((stars[known] >= 3) == good[known])
        lines.append(
            f"Agreement with the writers' own stars (good: 3 to 5): {same:.3f}."
        )
    return " ".join(lines)


def _levels(labels: Labels, rated: reviews.Rated, out: Path) -> list[str]:
    """The two images with most reviews that rate them; fewer where there are none."""
    image = labels.responses["image"]
    counts = np.bincount(image[rated.level > 0], minlength=len(labels.image_ids))
    shown = []
    ranked = np.argsort(-counts, kind="stable")[:2]
    for row in ranked[counts[ranked] > 0]:
        shares = statistics.level_shares(image, rated.level, of=int(row))
        drawn = report.levels_figure(labels.columns["votes"][row].astype(float), shares)
        name = f"levels_{labels.image_ids[row].removesuffix('.jpg')}.png"
        figures.save(drawn, out / name)
        shown.append(f"![votes and levels of {labels.image_ids[row]}]({name})")
    return shown
