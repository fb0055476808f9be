"""The second databases of PA_IAA and MT_IAA: PsychoFlickr's likes and AVA's votes.

Both in memory, from the same kinds of photographs and raters as `views`, but with
photographs and people of their own (groups "liker" and "crowd").
"""

import dataclasses

import numpy as np
from jaxtyping import Float, Int, UInt8

from jiaa.data.synthetic import photographs, raters, world

# A crowd's liking on AVA's scale of 1 to 10: as in the real rows, a mean of 5.4.
CENTRE_VOTES, VOTES_PER_LIKING = 5.4, 1.4


@dataclasses.dataclass(frozen=True, eq=False)
class Likes:
    """PsychoFlickr's shape: who likes which image, and everybody's Big-Five traits.

    A row of `user` and `image` is one like; traits lie in [-1, 1].
    """

    user: Int[np.ndarray, " like"]
    image: Int[np.ndarray, " like"]
    traits: Float[np.ndarray, "user 5"]
    images: UInt8[np.ndarray, "image height width 3"]


@dataclasses.dataclass(frozen=True, eq=False)
class Votes:
    """AVA's shape: how many people gave an image each of 1 to 10."""

    counts: Int[np.ndarray, "image 10"]
    images: UInt8[np.ndarray, "image height width 3"]


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
    return Likes(
        user=np.repeat(np.arange(users), likes),
        image=liked.ravel(),
        traits=people.traits,
        images=photographs.photograph(facts, seed=seed, size=image_size),
    )


def voted_view(
    *, seed: int, images: int = 6_000, voters: int = 200, image_size: int = 64
) -> Votes:
    """Every voter votes on every photograph."""
    facts = photographs.draw_facts(images, seed=seed, group="crowd")
    crowd = raters.draw_raters(voters, seed=seed, group="crowd")
    rng = world.stream(seed, "rating", "crowd")
    liking = raters.taste(crowd, facts).T
    liking = liking + raters.NOISE_SD * rng.standard_normal(liking.shape)
    votes = np.rint(CENTRE_VOTES + VOTES_PER_LIKING * liking).clip(1, 10).astype(int)
    counts = (votes[:, :, None] == np.arange(1, 11)).sum(axis=1)
    pixels = photographs.photograph(facts, seed=seed, size=image_size)
    return Votes(counts, pixels)
