"""REAL-CUR's raw files: an album a person, rated by its owner."""

from pathlib import Path

import numpy as np

from jiaa.data.synthetic import photographs, raters, world
from jiaa.data.synthetic.formats import files
from jiaa.data.synthetic.photographs import Facts


def write(
    root: Path,
    *,
    seed: int = 0,
    owners: int = 14,
    images: int = 14 * 205,
    image_size: int = 64,
) -> Path:
    """albums/OWNER/NAME.jpg, `images` in all, and REAL-CUR_scores.csv.

    Albums differ in size by up to 8 %: 197 to 222 images at the default.
    """
    people = raters.draw_raters(owners, seed=seed, group="owner")
    names = raters.rater_names(people)
    rng = world.stream(seed, "deal", "owner")
    shares = rng.uniform(0.96, 1.08, owners)
    ends = np.rint(np.cumsum(shares) / shares.sum() * images).astype(int)
    facts = photographs.draw_facts(images, seed=seed, group="owner")
    pixels = photographs.photograph(facts, seed=seed, size=image_size)
    rows = []
    for owner, end in enumerate(ends):
        part = slice(ends[owner - 1] if owner else 0, end)
        album = Facts(
            "owner", facts.index[part], facts.attributes[part], facts.content[part]
        )
        stars = raters.give_stars(
            raters.true_stars(people, album)[owner],
            spread=people.spread[owner],
            reliability=people.reliability[owner],
            rng=world.stream(seed, "rating", "owner", owner),
        )
        photos = [f"IMG_{number:04d}.jpg" for number in range(1, len(album) + 1)]
        files.write_images(root / "albums" / names[owner], photos, pixels[part])
        rows += [
            [names[owner], photo, f"{star:g}"]
            for photo, star in zip(photos, stars, strict=True)
        ]
    files.write_csv(root / "REAL-CUR_scores.csv", ["owner", "image", "score"], rows)
    return root
