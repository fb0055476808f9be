"""Measures `jiaa score`, `jiaa personalize` and `jiaa rate` on OASIS' test raters.

python scripts/bench_serve.py score       --prior runs/one_view --root FOLDER
python scripts/bench_serve.py personalize --prior runs/blg      --root FOLDER
python scripts/bench_serve.py rate        --prior runs/blg      --root FOLDER

score: images/s of the whole, of decoding alone and of the trunk alone, nothing cached.
personalize: SROCC before and after 30 ratings of each of 20 test raters, on the rest.
rate: one test rater answers 30 questions through the real page in headless Chromium
(pip install playwright), and skips 33 of their photographs, on which both are measured
that were learned: from the 30, and from 30 random others. Prints the time of each
update. Then the same for `--raters` of them without the page, which asks the same.
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
from scipy.stats import spearmanr

from jiaa.cli.models import open_model
from jiaa.data.folder import read_folder
from jiaa.personalize.active import Design
from jiaa.serve.album import open_album
from jiaa.serve.asking import learned_from
from jiaa.serve.cache import default_folder
from jiaa.serve.photos import decode_batches
from jiaa.serve.server import Server
from jiaa.serve.session import Session

RATINGS = 30
SET_ASIDE = 33  # photographs of each rater that are never asked


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


def raters(root, names) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Test raters -> rows of `names` that they rated, and their stars; by name."""
    folder = read_folder(root, scale=(1, 7))
    row = {name: number for number, name in enumerate(names)}
    found: dict[str, list[tuple[int, float]]] = {}
    ratings = folder.ratings
    for worker, image, stars in zip(
        ratings.worker.tolist(), ratings.image.tolist(), ratings.stars, strict=True
    ):
        if folder.image_split[image] == "test":
            found.setdefault(worker, []).append((row[image], float(stars)))
    tables = {w: np.asarray(found[w]).T for w in sorted(found)}
    return {w: (x[0].astype(int), x[1]) for w, x in tables.items() if np.ptp(x[1])}


def srocc(model, content, rows, stars, kept) -> float:
    """Of a model's scores with a rater's stars, on their ratings number `kept`."""
    scores = model.score(content[rows[kept]])
    return float(spearmanr(scores, stars[kept]).statistic)  # pyright: ignore


def mean_error(values) -> str:
    """Mean and standard error over raters."""
    values = np.asarray(values)
    return f"{values.mean():.3f} ± {values.std(ddof=1) / np.sqrt(len(values)):.3f}"


def prepared(flags):
    """Model, album, content of all photographs, and the test raters."""
    model = open_model(flags.prior, scale=(1, 7), settings=flags.set)
    album = open_album(Path(flags.root, "images"))
    content = model.encode(
        list(album.paths), cache=model.open_cache(flags.cache), progress=True
    )
    return model, album, content, raters(flags.root, album.names)


def personalize(flags) -> None:
    """Prints SROCC before and after, for each rater and over all."""
    model, _, content, people = prepared(flags)
    rng = np.random.default_rng(0)
    gains = []
    for worker in rng.permutation(sorted(people))[: flags.raters]:
        rows, stars = people[worker]
        order = rng.permutation(len(rows))
        shown, rest = order[:RATINGS], order[RATINGS:]
        mine = model.adapt_encoded(content[rows[shown]], stars[shown])
        pair = [srocc(x, content, rows, stars, rest) for x in (model, mine)]
        gains.append(pair)
        print(f"{worker}: before {pair[0]:.3f}, after {pair[1]:.3f}")
    before, after = np.asarray(gains).T
    better = np.mean(after > before)
    print(
        f"{len(before)} raters: before {mean_error(before)}, after "
        f"{mean_error(after)}, change {mean_error(after - before)}, better for "
        f"{better:.0%}"
    )


def asked(model, content, rows, aside) -> np.ndarray:
    """The 30 of a rater's ratings that the page would ask, if `aside` are skipped."""
    design = Design.of(learned_from(model, content[rows]))
    return design.next_images(design.begin(), RATINGS, without=aside.tolist())


def rate(flags) -> None:
    """A rater in the real page; then all raters without it."""
    model, album, content, people = prepared(flags)
    rng = np.random.default_rng(0)
    table = []
    for number, worker in enumerate(rng.permutation(sorted(people))[: flags.raters]):
        rows, stars = people[worker]
        order = rng.permutation(len(rows))
        aside, pool = order[:SET_ASIDE], order[SET_ASIDE:]
        if not number and flags.browser:
            _in_browser(model, album, content, rows, stars, set(rows[aside].tolist()))
        randoms = [rng.permutation(pool)[:RATINGS] for _ in range(5)]
        chosen = [asked(model, content, rows, aside), *randoms]
        found = [
            srocc(
                model.adapt_encoded(content[rows[x]], stars[x]),
                content,
                rows,
                stars,
                aside,
            )
            for x in chosen
        ]
        before = srocc(model, content, rows, stars, aside)
        table.append((before, found[0], np.mean(found[1:])))
        if not number:
            print(f"{worker}: before, asked, random: {np.round(table[-1], 3)}")
    before, active, random = np.asarray(table).T
    print(
        f"{len(table)} raters, {RATINGS} ratings, {SET_ASIDE} photographs set aside: "
        f"before {mean_error(before)}, asked {mean_error(active)}, random "
        f"{mean_error(random)}, asked - random {mean_error(active - random)}"
    )


def _in_browser(model, album, content, rows, stars, aside) -> None:
    """Answers the page's questions with a rater's stars; prints the times."""
    from playwright.sync_api import sync_playwright

    given = {album.names[row]: stars[i] for i, row in enumerate(rows)}
    skipped = {album.names[row] for row in aside}
    own = sorted(rows.tolist())
    path = os.environ.get("JIAA_BROWSER") or shutil.which("chromium-headless-shell")
    learned, seen = [], []
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
            while len(learned) < RATINGS:
                name, said = (page.inner_text(x) for x in ("#name", "#progress"))
                key = "s" if name in skipped else f"{given[name]:.0f}"
                started = time.perf_counter()
                page.keyboard.press(key)
                page.wait_for_function(
                    "old => document.getElementById('progress').textContent !== old",
                    arg=said,
                )
                if key == "s":
                    continue
                seen.append(1000 * (time.perf_counter() - started))
                said = re.search(r"learned in (\d+)", page.inner_text("#moved"))
                assert said is not None
                learned.append(int(said.group(1)))
        browser.close()
    for what, each in (("update", learned), ("key to page", seen)):
        middle, worst = statistics.median(each), max(each)
        print(f"{what}: median {middle:.0f} ms, worst {worst:.0f} ms")


def main() -> None:
    """Runs one measurement."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=("score", "personalize", "rate"))
    parser.add_argument("--prior", required=True)
    parser.add_argument("--root", required=True, help="of OASIS")
    parser.add_argument("--cache", default=default_folder())
    parser.add_argument("--raters", type=int, default=20)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--set", action="append", default=[])
    parser.add_argument("--no-browser", dest="browser", action="store_false")
    flags = parser.parse_args()
    {"score": score, "personalize": personalize, "rate": rate}[flags.what](flags)


if __name__ == "__main__":
    sys.exit(main())
