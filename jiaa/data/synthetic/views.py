"""The synthetic world in the schema of FLICKR-AES (PAM, ICCV 2017, Sec. 3)."""

import dataclasses

import numpy as np
from jaxtyping import Float, Int, Shaped, UInt8
from scipy.special import ndtri

from jiaa.data.synthetic import photographs, raters, world
from jiaa.data.synthetic.photographs import Facts
from jiaa.data.synthetic.raters import Raters
from jiaa.types import Ratings

SCALE = (1.0, 5.0)

# Spread of the logarithm of a training user's number of ratings.
_ACTIVITY_SD = 0.85


@dataclasses.dataclass(frozen=True, eq=False)
class Truth:
    """What only the generator knows; rows follow `workers` and the view's images.

    `unit_scores` are what a user would give without noise, rounding and the ends of
    the scale (so they may leave (0, 1]), for every image, rated or not; `common` is the
    part of taste that all raters share. `content` indexes `world.CONTENTS`.
    """

    workers: list[str]
    unit_scores: Float[np.ndarray, "user image"]
    common: Float[np.ndarray, " image"]
    attributes: Float[np.ndarray, "image 10"]
    content: Int[np.ndarray, " image"]
    traits: Float[np.ndarray, "user 5"]
    reliability: Float[np.ndarray, " user"]


@dataclasses.dataclass(frozen=True, eq=False)
class Gold:
    """Images whose stars are known (`true_stars`, 1 or 5), rated by every worker.

    They check the workers (eq. 1 of PAM) and are in no split.
    """

    ratings: Ratings
    images: UInt8[np.ndarray, "image height width 3"]
    image_names: list[str]
    true_stars: Float[np.ndarray, " image"]


@dataclasses.dataclass(frozen=True, eq=False)
class SyntheticView:
    """A data set with its truth; `images` follow `image_names`, splits go by name."""

    ratings: Ratings
    images: UInt8[np.ndarray, "image height width 3"]
    image_names: list[str]
    image_split: dict[str, str]
    worker_split: dict[str, str]
    truth: Truth
    gold: Gold


@dataclasses.dataclass(frozen=True, eq=False)
class _Part:
    """One split before rendering."""

    facts: Facts
    users: Raters
    user: Int[np.ndarray, " rating"]
    image: Int[np.ndarray, " rating"]
    stars: Float[np.ndarray, " rating"]


def flickr_aes_view(
    *,
    seed: int,
    image_size: int = 64,
    train_users: int = 173,
    test_users: int = 37,
    train_images: int = 7_000,
    raters_per_image: int = 5,
    test_ratings: tuple[int, int] = (105, 171),
    gold_images: int = 20,
    render: bool = True,
    workers: int | None = None,
    progress: bool = False,
) -> SyntheticView:
    """Disjoint training and test users and images, about five raters an image.

    Every training image has `raters_per_image` raters; users' numbers of ratings have a
    heavy tail. Test users rate `test_ratings` (least, most) images each, out of as many
    as give each image about `raters_per_image` raters, about 1,000 at the defaults.
    FLICKR-AES itself has 35,263 training images. `workers` are rendering threads.
    Without `render` images have size 0. Impossible sizes raise ValueError.
    """
    _check_sizes(train_users, test_users, train_images, raters_per_image, test_ratings)
    ratings = train_images * raters_per_image
    rng = world.stream(seed, "deal", "train")
    counts = heavy_tailed_counts(train_users, total=ratings, most=train_images, rng=rng)
    train = _rate(counts, train_images, seed=seed, group="train")
    rng = world.stream(seed, "deal", "test")
    counts = rng.integers(test_ratings[0], test_ratings[1] + 1, test_users)
    test_images = max(int(counts.max()), round(counts.sum() / raters_per_image))
    test = _rate(counts, test_images, seed=seed, group="test")
    gold = raters.obvious_facts(gold_images, seed=seed)
    options = {"seed": seed, "workers": workers, "progress": progress}
    pixels = [
        photographs.photograph(facts, size=image_size, **options)
        if render
        else np.zeros((len(facts), 0, 0, 3), np.uint8)
        for facts in (train.facts, test.facts, gold)
    ]
    known = _gold(train, test, gold, pixels.pop(), seed=seed)
    return _assemble(train, test, np.concatenate(pixels), known)


def _check_sizes(train_users, test_users, train_images, raters_per_image, test_ratings):
    sizes = (train_users, test_users, train_images, raters_per_image, *test_ratings)
    if min(sizes) < 1 or test_ratings[0] > test_ratings[1]:
        raise ValueError(
            "users, images and ratings must be positive, test_ratings ascending; got "
            f"{train_users=}, {test_users=}, {train_images=}, {raters_per_image=}, "
            f"{test_ratings=}."
        )
    if train_users < raters_per_image:
        raise ValueError(
            f"train_users={train_users} cannot give each image raters_per_image="
            f"{raters_per_image} different raters. Raise one or lower the other."
        )
    if train_images * raters_per_image < train_users:
        raise ValueError(
            f"train_images={train_images} with {raters_per_image} raters each are too "
            f"few for train_users={train_users} to rate one. Raise train_images."
        )


def heavy_tailed_counts(
    users: int, *, total: int, most: int, rng: np.random.Generator
) -> Int[np.ndarray, " user"]:
    """Log-normal numbers of ratings, from 1 to `most` each, that sum to `total`.

    They are quantiles, not draws, so that every seed has its very active users.
    """
    quantiles = ndtri((np.arange(users) + 0.5) / users)
    weights = np.exp(_ACTIVITY_SD * rng.permutation(quantiles))
    low, high = 0.0, float(most) / weights.min()
    for _ in range(100):
        middle = (low + high) / 2
        over = np.clip(middle * weights, 1, most).sum() > total
        low, high = (low, middle) if over else (middle, high)
    # Differences of rounded running sums: whole numbers with the exact total. Clipped
    # shares are whole already; summed first, they stay as they are.
    shares = np.clip(high * weights, 1, most)
    order = np.argsort((shares > 1) & (shares < most), kind="stable")
    edges = np.rint(np.cumsum(shares[order])).astype(int)
    counts = np.empty(users, int)
    counts[order] = np.diff(edges, prepend=0)
    return counts


def deal(
    counts: Int[np.ndarray, " user"], images: int, *, rng: np.random.Generator
) -> tuple[Int[np.ndarray, " rating"], Int[np.ndarray, " rating"]]:
    """Who rates what: (user, image) of each rating, sorted by user, then image.

    Each user gets their count of different images and each image the same number of
    raters, give or take one. Starts from blocks of consecutive images and swaps pairs
    of ratings at random (a walk over bipartite graphs of fixed degrees).
    """
    total = int(counts.sum())
    user = np.repeat(np.arange(len(counts)), counts)
    image = rng.permutation(images)[np.arange(total) % images]
    half = total // 2
    for _ in range(30):
        order = rng.permutation(total)
        a, b = order[:half], order[half : 2 * half]
        proposed = np.stack([user[a] * images + image[b], user[b] * images + image[a]])
        taken = np.isin(proposed, user * images + image)
        _, inverse, uses = np.unique(proposed, return_inverse=True, return_counts=True)
        clash = taken | (uses[inverse].reshape(proposed.shape) > 1)
        a, b = a[~clash.any(0)], b[~clash.any(0)]
        image[a], image[b] = image[b], image[a]
    order = np.lexsort((image, user))
    return user[order], image[order]


def _rate(
    counts: Int[np.ndarray, " user"], images: int, *, seed: int, group: world.Group
) -> _Part:
    """Draws a split's images and users and lets the users rate what they are dealt."""
    facts = photographs.draw_facts(images, seed=seed, group=group)
    users = raters.draw_raters(len(counts), seed=seed, group=group)
    rng = world.stream(seed, "deal", group, 1)
    user, image = deal(counts, images, rng=rng)
    truth = raters.true_stars(users, facts)[user, image]
    stars = [
        raters.give_stars(
            truth[user == u],
            spread=users.spread[u],
            reliability=users.reliability[u],
            rng=world.stream(seed, "rating", group, u),
        )
        for u in range(len(users))
    ]
    return _Part(facts, users, user, image, np.concatenate(stars))


def _gold(
    train: _Part,
    test: _Part,
    facts: Facts,
    pixels: UInt8[np.ndarray, "image height width 3"],
    *,
    seed: int,
) -> Gold:
    """Obviously good and bad images, alternating, rated by all users of both splits."""
    names = raters.image_names(facts)
    workers, stars = [], []
    for part in (train, test):
        truth = raters.true_stars(part.users, facts)
        for u, worker in enumerate(raters.rater_names(part.users)):
            rng = world.stream(seed, "gold_rating", part.users.group, u)
            workers += [worker] * len(facts)
            stars.append(
                raters.give_stars(
                    truth[u],
                    spread=part.users.spread[u],
                    reliability=part.users.reliability[u],
                    rng=rng,
                )
            )
    everyone = len(train.users) + len(test.users)
    ratings = Ratings(
        worker=np.array(workers),
        image=np.array(names * everyone),
        stars=np.concatenate(stars),
        scale=SCALE,
    )
    known = np.where(np.arange(len(facts)) % 2, 1.0, 5.0)
    return Gold(ratings, pixels, names, known)


def _truth(train: _Part, test: _Part, workers: list[str]) -> Truth:
    """The truth of all users about all images, training ones first."""
    parts = (train, test)
    unit_scores = np.block(
        [[raters.true_stars(of.users, on.facts) for on in parts] for of in parts]
    )
    return Truth(
        workers=workers,
        unit_scores=(unit_scores / SCALE[1]).astype(np.float32),
        common=np.concatenate([raters.common_taste(part.facts) for part in parts]),
        attributes=np.concatenate([part.facts.attributes for part in parts]),
        content=np.concatenate([part.facts.content for part in parts]),
        traits=np.concatenate([part.users.traits for part in parts]),
        reliability=np.concatenate([part.users.reliability for part in parts]),
    )


def _assemble(
    train: _Part, test: _Part, images: UInt8[np.ndarray, "image h w 3"], gold: Gold
) -> SyntheticView:
    parts = {"train": train, "test": test}
    image_names = {s: raters.image_names(part.facts) for s, part in parts.items()}
    workers = {s: raters.rater_names(part.users) for s, part in parts.items()}

    def named(names: dict[str, list[str]], rows: str) -> Shaped[np.ndarray, " rating"]:
        return np.concatenate(
            [np.array(names[s])[getattr(part, rows)] for s, part in parts.items()]
        )

    return SyntheticView(
        ratings=Ratings(
            worker=named(workers, "user"),
            image=named(image_names, "image"),
            stars=np.concatenate([part.stars for part in parts.values()]),
            scale=SCALE,
        ),
        images=images,
        image_names=image_names["train"] + image_names["test"],
        image_split={name: s for s, names in image_names.items() for name in names},
        worker_split={name: s for s, names in workers.items() for name in names},
        truth=_truth(train, test, workers["train"] + workers["test"]),
        gold=gold,
    )
