"""Measures `jiaa score`, `jiaa personalize` and `jiaa rate` on OASIS' test raters.

python scripts/bench_serve.py score       --prior runs/one_view --root FOLDER
python scripts/bench_serve.py personalize --prior runs/blg      --root FOLDER
python scripts/bench_serve.py rate        --prior runs/blg      --root FOLDER

score: images/s of the whole, of decoding alone and of the trunk alone, nothing cached.
personalize: SROCC before and after 30 ratings of each of 20 test raters, on the rest.
rate: one test rater answers 30 questions through the real page in headless Chromium
(pip install playwright), and skips 33 of their photographs, on which both are measured
that were learned: from the 30, and from 30 random others. Prints the time of each
update. bench_asking.py has the same for many raters and strategies, without the page.
"""

import argparse
import os
import re
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from jiaa.cli.models import open_model
from jiaa.serve.photos import decode_batches
from jiaa.serve.server import Server
from jiaa.serve.session import Session

# `scripts` is imported from the repository's root.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from scripts._oasis_raters import (
    SET_ASIDE,
    add_flags,
    mean_error,
    open_oasis,
    raters,
    srocc,
)

RATINGS = 30


def score(flags) -> None:
    """Prints images/s of decoding, of the trunk, and of both."""
    model = open_model(flags.prior)
    paths = sorted(Path(flags.root, "images").iterdir())
    size = model.encoder.size
    pixels = next(decode_batches(paths, size=size)).images
    model.encoder(pixels)  # compiles
    for _ in range(flags.repeats):
        started = time.perf_counter()
        decoded = sum(len(x.rows) for x in decode_batches(paths, size=size))
        decoding = time.perf_counter() - started
        started = time.perf_counter()
        model.encoder(pixels)
        trunk = time.perf_counter() - started
        started = time.perf_counter()
        done = [model.score(x.content) for x in model.stream(paths, progress=False)]
        whole = time.perf_counter() - started
        print(
            f"{sum(map(len, done))} photographs: score {decoded / whole:.1f}/s, "
            f"decoding alone {decoded / decoding:.1f}/s, "
            f"trunk alone {len(pixels) / trunk:.1f}/s"
        )


def personalize(flags) -> None:
    """Prints SROCC before and after, for each rater and over all."""
    model, album, content = open_oasis(flags)
    people = raters(flags.root, album.names, "test")
    rng = np.random.default_rng(0)
    pairs = []
    for worker in rng.permutation(sorted(people))[: flags.raters].tolist():
        order = rng.permutation(sorted(people[worker])).tolist()
        mine = learned(model, content, people[worker], order[:RATINGS])
        rest = order[RATINGS:]
        pairs.append([srocc(x, content, people[worker], rest) for x in (model, mine)])
        print(f"{worker}: before {pairs[-1][0]:.3f}, after {pairs[-1][1]:.3f}")
    before, after = np.asarray(pairs).T
    print(
        f"{len(before)} raters: before {mean_error(before)}, after "
        f"{mean_error(after)}, change {mean_error(after - before)}, better for "
        f"{np.mean(after > before):.0%}"
    )


def learned(model, content, ratings, rows):
    """The model of a rater's stars of these rows."""
    return model.adapt_encoded(content[rows], [ratings[row] for row in rows])


def rate(flags) -> None:
    """A test rater in the real page, beside the same rater's random ratings."""
    model, album, content = open_oasis(flags)
    people = raters(flags.root, album.names, "test")
    rng = np.random.default_rng(0)
    ratings = people[rng.permutation(sorted(people))[0]]
    order = rng.permutation(sorted(ratings)).tolist()
    aside, pool = order[:SET_ASIDE], order[SET_ASIDE:]
    asked = _in_browser(model, album, content, ratings, set(aside))
    ways = [asked, *(rng.permutation(pool)[:RATINGS].tolist() for _ in range(20))]
    after = [
        srocc(learned(model, content, ratings, rows), content, ratings, aside)
        for rows in ways
    ]
    print(
        f"SROCC on {SET_ASIDE} photographs: before "
        f"{srocc(model, content, ratings, aside):.3f}, {RATINGS} asked {after[0]:.3f}, "
        f"{RATINGS} at random {np.mean(after[1:]):.3f} (of 20 draws, standard "
        f"deviation {np.std(after[1:], ddof=1):.3f})"
    )


def _in_browser(model, album, content, ratings, aside) -> list[int]:
    """Answers the page's questions with a rater's stars; prints the times.

    Returns the rows that were asked and rated; those of `aside` are skipped.
    """
    from playwright.sync_api import sync_playwright

    own = sorted(ratings)
    row = {album.names[one]: one for one in own}
    path = os.environ.get("JIAA_BROWSER") or shutil.which("chromium-headless-shell")
    updates, seen, asked = [], [], []
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as run:
        session = Session(
            model, album.select(own), content[own], ratings=Path(folder, "ratings.csv")
        )
        options = ["--no-sandbox"] if os.geteuid() == 0 else []
        browser = run.chromium.launch(executable_path=path, args=options)
        with Server(session).in_background() as server:
            page = browser.new_page()
            page.goto(server.url)
            page.wait_for_selector("#ranking li")
            while len(asked) < RATINGS:
                one, before = (
                    row[page.inner_text("#name")],
                    page.inner_text("#progress"),
                )
                started = time.perf_counter()
                page.keyboard.press("s" if one in aside else f"{ratings[one]:.0f}")
                page.wait_for_function(
                    "old => document.getElementById('progress').textContent !== old",
                    arg=before,
                )
                if one not in aside:
                    seen.append(1000 * (time.perf_counter() - started))
                    said = re.search(r"learned in (\d+)", page.inner_text("#moved"))
                    assert said is not None
                    updates.append(int(said.group(1)))
                    asked.append(one)
        browser.close()
    for what, each in (("update", updates), ("key to page", seen)):
        middle, worst = statistics.median(each), max(each)
        print(f"{what}: median {middle:.0f} ms, worst {worst:.0f} ms")
    return asked


def main() -> None:
    """Runs one measurement."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=("score", "personalize", "rate"))
    add_flags(parser)
    parser.add_argument("--raters", type=int, default=20, help="of personalize")
    parser.add_argument("--repeats", type=int, default=3, help="of score")
    flags = parser.parse_args()
    {"score": score, "personalize": personalize, "rate": rate}[flags.what](flags)


if __name__ == "__main__":
    sys.exit(main())
