"""Who likes which photograph, and everybody's Big-Five traits: what PsychoFlickr holds.

PDMTL (ICME 2019) and PA_IAA (Li et al., IEEE TIP 2020) learn from it what kind of
people like a photograph: `Likes.mean_traits`.
"""

import dataclasses

import numpy as np
from jaxtyping import Float, Int

from jiaa.data.dataset import Dataset
from jiaa.types import ImageStore


@dataclasses.dataclass(frozen=True, eq=False)
class Likes:
    """A row of `user` and `image` is one like; they are rows of `traits` and `store`.

    Traits lie in [-1, 1].
    """

    user: Int[np.ndarray, " like"]
    image: Int[np.ndarray, " like"]
    traits: Float[np.ndarray, "user trait"]
    store: ImageStore

    def mean_traits(
        self, rows: Int[np.ndarray, " row"]
    ) -> tuple[Int[np.ndarray, " liked"], Float[np.ndarray, "liked trait"]]:
        """(images that some likes are of, mean traits of who likes each of them).

        What a squared error learns from a photograph is the mean of those who like it;
        learning from one liker at a time adds noise and nothing else. A photograph
        counts once here, in PA_IAA's eq. 5 once for each of those who like it.
        """
        images, place = np.unique(self.image[rows], return_inverse=True)
        total = np.zeros((len(images), self.traits.shape[1]))
        np.add.at(total, place, self.traits[self.user[rows]])
        mean = total / np.bincount(place)[:, None]
        return images, mean.astype(np.float32)


def dataset_likes(
    dataset: Dataset,
) -> tuple[Likes, Int[np.ndarray, " learned"], Int[np.ndarray, " held_out"]]:
    """(likes, rows of training users, rows of test users) of `load("psycho_flickr")`.

    Its fold decides who is a test user; no user and no photograph is on both sides.

    Raises:
      ValueError: there are no users or no traits, or traits beyond [-1, 1].
    """
    missing = {"train", "test"} - set(dataset.tasks)
    if missing:
        raise ValueError(
            f"{dataset.name!r} has no {' and '.join(sorted(missing))} users; expected "
            "both splits of a dataset such as psycho_flickr"
        )
    parts = {name: dataset.tasks[name] for name in ("train", "test")}
    for tasks in parts.values():
        if not isinstance(tasks.side, dict) or "traits" not in tasks.side:
            raise ValueError(
                f"the users of {dataset.name!r} have no traits; expected a dataset "
                "with side['traits'], such as psycho_flickr"
            )
    masks = {name: np.asarray(tasks.mask) for name, tasks in parts.items()}
    flat = [
        (
            np.broadcast_to(np.asarray(tasks.user_id)[:, None], mask.shape)[mask],
            np.asarray(tasks.image_ids)[mask],
            np.asarray(tasks.side["traits"])[mask],
        )
        for tasks, mask in zip(parts.values(), masks.values(), strict=True)
    ]
    user, image, traits = (np.concatenate(x) for x in zip(*flat, strict=True))
    _, first, row = np.unique(user, return_index=True, return_inverse=True)
    learned = int(masks["train"].sum())
    rows = np.arange(len(user))
    for person in first[~(np.abs(traits[first]) <= 1).all(axis=1)]:  # NaN too
        who = dataset.workers.get(int(user[person]), int(user[person]))
        raise ValueError(
            f"{dataset.name!r}: the traits of user {who!r} are "
            f"{traits[person].tolist()}; expected numbers from -1 to 1. Correct the "
            "user's row, or leave the user out"
        )
    likes = Likes(row, image, traits[first], dataset.store)
    return likes, rows[:learned], rows[learned:]
