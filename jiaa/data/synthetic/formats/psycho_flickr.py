"""PsychoFlickr's raw files: favourites of users whose Big-Five traits are known."""

from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from jiaa.data.synthetic import photographs, raters, world
from jiaa.data.synthetic.formats import files


def write(
    root: Path,
    *,
    seed: int = 0,
    users: int = 30,
    images: int = 1_000,
    image_size: int = 64,
) -> Path:
    """users.csv and images/USER/NAME.jpg.

    Each user sees an equal share of the photographs and likes the better half; of the
    next user's, the single best. Traits are whole numbers from -4 to 4, as the BFI-10
    questionnaire gives them.
    """
    if images < 2 * users:
        raise ValueError(f"images={images} for users={users}; expected two each.")
    facts = photographs.draw_facts(images, seed=seed, group="liker")
    people = raters.draw_raters(users, seed=seed, group="liker")
    names = raters.rater_names(people)
    files.write_csv(
        root / "users.csv",
        ["user", *world.TRAITS],
        (
            [name, *np.rint(4 * traits).astype(int)]
            for name, traits in zip(names, people.traits, strict=True)
        ),
    )
    photos = raters.image_names(facts, ".jpg")
    liking = raters.taste(people, facts)
    pixels = photographs.photograph(facts, seed=seed, size=image_size)
    for user, name in enumerate(names):
        own = _best(liking[user], user, users)
        next_user = (user + 1) % users
        others = _best(liking[user], next_user, users)[:1]
        favourites = np.concatenate([own, others])
        chosen = [photos[row] for row in favourites]
        files.write_images(root / "images" / name, chosen, pixels[favourites])
    return root


def _best(
    liking: Float[np.ndarray, " image"], pool: int, pools: int
) -> Int[np.ndarray, " favourite"]:
    """The better half of one of equal pools of images, best first."""
    rows = np.arange(pool, len(liking), pools)
    return rows[np.argsort(-liking[rows], kind="stable")][: max(1, len(rows) // 2)]
