"""AVA's raw files: votes from 1 to 10, tags, ILGnet's lists."""

from pathlib import Path

import numpy as np
from jaxtyping import Int

from jiaa.data.synthetic import photographs, raters, world
from jiaa.data.synthetic.formats import files
from jiaa.data.synthetic.photographs import Facts

# A crowd's liking, about unit variance, on AVA's scale: mean 5.4, spread over raters
# 1.4 and over means 0.75, as in the real rows.
CENTRE, SPREAD = 5.4, 1.4


def write(
    root: Path,
    *,
    seed: int = 0,
    images: int = 500,
    rows: int | None = None,
    voters: int = 200,
    image_size: int = 64,
) -> Path:
    """AVA.txt of `rows` rows (default: one an image), the lists, and `images` files.

    Rows beyond the images have no photograph, as most of the real file's here.
    """
    rows = images if rows is None else rows
    facts = photographs.draw_facts(rows, seed=seed, group="crowd")
    votes = draw_votes(facts, voters=voters, seed=seed)
    write_table(root, facts, votes, seed=seed)
    write_photographs(root, facts, images, seed=seed, image_size=image_size)
    return root


def image_number(index: Int[np.ndarray, " image"]) -> Int[np.ndarray, " image"]:
    """AVA's ids are neither consecutive nor of one length."""
    return 7 * index + 901


def draw_votes(facts: Facts, *, voters: int, seed: int) -> Int[np.ndarray, "image 10"]:
    """Counts of votes: each image is seen by between half and all of the crowd."""
    crowd = raters.draw_raters(voters, seed=seed, group="crowd")
    rng = world.stream(seed, "rating", "crowd")
    counts = np.empty((len(facts), 10), np.int64)
    for start in range(0, len(facts), 10_000):  # a crowd's taste of all: gigabytes
        part = slice(start, start + 10_000)
        some = Facts(
            "crowd", facts.index[part], facts.attributes[part], facts.content[part]
        )
        liking = raters.taste(crowd, some).T
        noise = raters.NOISE_SD * rng.standard_normal(liking.shape)
        stars = np.clip(np.rint(CENTRE + SPREAD * (liking + noise)), 1, 10).astype(int)
        seen = np.arange(voters) < rng.integers(voters // 2, voters + 1, (len(some), 1))
        bins = (stars - 1) + 10 * np.arange(len(some))[:, None]
        counts[part] = np.bincount(bins[seen], minlength=10 * len(some)).reshape(-1, 10)
    return counts


def write_table(
    root: Path, facts: Facts, votes: Int[np.ndarray, "image 10"], *, seed: int
) -> None:
    """AVA.txt, and lists that hold out every thirteenth image."""
    root.mkdir(parents=True, exist_ok=True)
    rng = world.stream(seed, "deal", "crowd")
    second = rng.integers(0, 67, len(facts))
    number = image_number(facts.index)
    challenge = rng.integers(1, 1_400, len(facts))
    columns = (facts.index + 1, number, votes, facts.content + 1, second, challenge)
    np.savetxt(root / "AVA.txt", np.column_stack(columns), fmt="%d")
    good = votes @ np.arange(1, 11) > 5 * votes.sum(axis=1)
    lines = [f"{n}.jpg {g:d}" for n, g in zip(number, good, strict=True)]
    held_out = facts.index % 13 == 0
    for name, chosen in (("train", ~held_out), ("val", held_out)):
        kept = [lines[row] for row in np.flatnonzero(chosen)]
        (root / f"ilgnet_ava1_{name}.txt").write_text("\n".join(kept) + "\n")


def write_photographs(
    root: Path, facts: Facts, images: int, *, seed: int, image_size: int
) -> None:
    """images/ID.jpg of the first images."""
    first = Facts(
        facts.group,
        facts.index[:images],
        facts.attributes[:images],
        facts.content[:images],
    )
    pixels = photographs.photograph(first, seed=seed, size=image_size)
    names = [f"{number}.jpg" for number in image_number(first.index)]
    files.write_images(root / "images", names, pixels)
