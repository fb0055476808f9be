"""The second databases of PA_IAA and MT_IAA: PsychoFlickr's likes and AVA's votes.

Both in memory, from the same kinds of photographs and raters as `views`, but with
photographs and people of their own (groups "liker" and "crowd"). The same in the
originals' files: `formats`.
"""

import numpy as np
from jaxtyping import Int

from jiaa.data.likes import Likes
from jiaa.data.synthetic import photographs, raters, world
from jiaa.data.synthetic.formats import ava
from jiaa.types import ImageStore


def liked_view(
    *,
    seed: int,
    users: int = 300,
    images: int = 6_000,
    shown: int = 200,
    likes: int = 20,
    image_size: int = 64,
) -> Likes:
    """Each user is shown so many of the photographs at random and likes the best.

    The traits are what raters' tastes depend on (`raters`), and the noise of a liking
    is that of a rating.

    Raises:
      ValueError: a user would like more than is shown, or see more than there is.
    """
    if not 1 <= likes <= shown <= images:
        raise ValueError(
            f"likes={likes} of shown={shown} of images={images}; expected at least one "
            "like, and each number no larger than the next"
        )
    facts = photographs.draw_facts(images, seed=seed, group="liker")
    people = raters.draw_raters(users, seed=seed, group="liker")
    taste = raters.taste(people, facts)
    liked = np.empty((users, likes), int)
    for user in range(users):
        rng = world.stream(seed, "rating", "liker", user)
        pool = rng.choice(images, shown, replace=False)
        liking = taste[user, pool] + raters.NOISE_SD * rng.standard_normal(shown)
        liked[user] = pool[np.argsort(-liking, kind="stable")[:likes]]
    pixels = photographs.photograph(facts, seed=seed, size=image_size)
    return Likes(
        user=np.repeat(np.arange(users), likes),
        image=liked.ravel(),
        traits=people.traits,
        store=ImageStore(images=pixels),
    )


def voted_view(
    *, seed: int, images: int = 6_000, voters: int = 200, image_size: int = 64
) -> tuple[Int[np.ndarray, "image 10"], ImageStore]:
    """(How many people gave each photograph each of 1 to 10, the photographs)."""
    facts = photographs.draw_facts(images, seed=seed, group="crowd")
    counts = ava.draw_votes(facts, voters=voters, seed=seed)
    pixels = photographs.photograph(facts, seed=seed, size=image_size)
    return counts, ImageStore(images=pixels)
