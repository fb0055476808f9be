"""Levels of real critiques against their critics' scores (PCCD), beside plain VADER.

python scripts/review_check.py --root FOLDER
python scripts/review_check.py --root FOLDER --speed 1400000 --workers 4

The lexicon's words, strengths and steps were chosen on one half of the critics; the
other half is the test. AUC is that of a score above 8, SROCC with the score. With
--speed, the critiques' comments on one aspect each, repeated up to so many, are rated.
"""

import argparse
import time
from pathlib import Path

import numpy as np
from scipy.stats import spearmanr

from jiaa.data import reviews
from jiaa.data.reviews import lexicon, pccd
from jiaa.evaluate.collaborative import auc
from jiaa.report.tables import markdown

GOOD_ABOVE = 8.0


def main() -> None:
    """Prints the table, or the time."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--root", type=Path, required=True, help="of critiques.jsonl")
    parser.add_argument("--speed", type=int, help="how many comments to time")
    parser.add_argument("--workers", type=int, help="processes of --speed")
    flags = parser.parse_args()
    found = pccd.read_critiques(flags.root)
    if flags.speed:
        time_comments(found, flags.speed, workers=flags.workers)
    else:
        compare(found)


def time_comments(found: pccd.Critiques, count: int, *, workers: int | None) -> None:
    """Prints the minutes that `count` comments take."""
    comments = [line for text in found.text for line in text.split("\n")]
    words = sum(len(comment.split()) for comment in comments) / len(comments)
    texts = (comments * (1 + count // len(comments)))[:count]
    started = time.perf_counter()
    reviews.rate_reviews(texts, workers=workers)
    minutes = (time.perf_counter() - started) / 60
    print(f"{count} comments of {words:.1f} words: {minutes:.2f} minutes")


def compare(found: pccd.Critiques) -> None:
    """Prints the table of levels and of VADER's scores."""
    ours = reviews.rate_reviews(found.text, workers=1)
    plain = reviews.rate_reviews(found.text, workers=1, lexicon="plain")
    analyser = lexicon.analyser()
    compound = [analyser.polarity_scores(text)["compound"] for text in found.text]
    contestants = {
        "VADER's compound score of the text": np.asarray(compound),
        "five levels, VADER's words": plain.level.astype(float),
        "balance of words, VADER's words": plain.balance,
        "**five levels, photographic lexicon**": ours.level.astype(float),
        "balance of words, photographic lexicon": ours.balance,
    }
    parts = {
        "chosen on": found.chosen_on,
        "test": ~found.chosen_on,
        "all": np.ones(len(found.text), bool),
    }
    rows = []
    for name, scores in contestants.items():
        cells = []
        for chosen in parts.values():
            good, overall = found.overall[chosen] > GOOD_ABOVE, found.overall[chosen]
            rho = spearmanr(scores[chosen], overall)[0]
            cells.append(f"{auc(scores[chosen], good):.3f} / {rho:.3f}")
        rows.append([name, *cells])
    counts = (f"{name} ({int(chosen.sum())})" for name, chosen in parts.items())
    print(markdown(["AUC / SROCC", *counts], rows))


if __name__ == "__main__":
    main()
