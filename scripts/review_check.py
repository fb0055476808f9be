"""Levels of real critiques against their critics' scores (PCCD), beside plain VADER.

python scripts/review_check.py --root FOLDER

The lexicon's words, strengths and steps were chosen on one half of the critics; the
other half is the test. AUC is that of a score above 8, SROCC with the score.
"""

import argparse
from pathlib import Path

import numpy as np
from scipy.stats import spearmanr

from jiaa.data import reviews
from jiaa.data.reviews import lexicon, pccd
from jiaa.evaluate.collaborative import auc
from jiaa.report.tables import markdown

GOOD_ABOVE = 8.0


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--root", type=Path, required=True, help="of critiques.jsonl")
    flags = parser.parse_args()
    found = pccd.read_critiques(flags.root)
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
