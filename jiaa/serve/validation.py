"""What a person's ratings are worth: SROCC on ratings of theirs that were held back."""

import dataclasses
import math

import jax
import numpy as np
from jaxtyping import Float, Int, Key, Shaped

from jiaa.data.tasks import user_id
from jiaa.evaluate import personalization
from jiaa.serve.model import Model
from jiaa.serve.programs import capacity, padded
from jiaa.types import UserTasks

FEWEST = 10  # ratings; with fewer there are too few to learn from and to hold back
HELD_BACK = 0.2
LEAST_HELD_BACK = 5  # the coefficient of two is one of -1 and 1


@dataclasses.dataclass(frozen=True)
class Validation:
    """The prior and the person's model on ratings that the latter did not learn from.

    Attributes:
      ratings: how many there are.
      shots: how many each model learned from.
      splits: in how many random splits the coefficient exists.
      before: SROCC of the prior, mean over splits.
      after: SROCC of the adapted model, mean over the same splits.
      error: standard error of `after - before`, corrected for splits that overlap
        (Nadeau and Bengio, Machine Learning 52, 2003).
    """

    ratings: int
    shots: int
    splits: int
    before: float
    after: float
    error: float

    @property
    def helps(self) -> bool:
        """Whether the person's model ranked the held-back ratings better."""
        return self.after > self.before

    @property
    def verdict(self) -> str:
        """In words, for the person."""
        if not self.helps:
            return (
                f"these {self.ratings} ratings do not help yet: without them the "
                "ranking is no worse. Rate more photographs, as different as you can"
            )
        if self.after - self.before < self.error:
            return (
                f"these {self.ratings} ratings seem to help, but are too few to be "
                "sure; rate more photographs"
            )
        return "your ratings help"

    def __str__(self) -> str:
        """Two lines."""
        held = self.ratings - self.shots
        return (
            f"SROCC on {held} ratings held back, {self.splits} splits: "
            f"before {self.before:.3f}, after {self.after:.3f} "
            f"({self.after - self.before:+.3f} ± {self.error:.3f})\n{self.verdict}"
        )


def cross_validate(
    model: Model,
    content: Shaped[np.ndarray, "image ..."],
    stars: Float[np.ndarray, " image"],
    *,
    shots: int | None = None,
    splits: int = 20,
    key: Key[jax.Array, ""] | None = None,
) -> Validation | None:
    """Learns from part of the ratings and predicts the others, on random splits.

    The protocol of `evaluate.personalization`, for one user.

    Args:
      model: its own taste plays no part.
      content: of the rated photographs, from `model.encode`.
      stars: in `model.scale`.
      shots: ratings to learn from; all but a fifth, and but five at least, by default.
      splits: how many.
      key: of the splits.

    Returns:
      None where nothing can be said: fewer than `FEWEST` ratings, or all equal.

    Raises:
      ValueError: stars off the scale.
    """
    unit = model.to_unit(np.asarray(stars, np.float32), count=len(content))
    count = len(unit)
    if count < FEWEST or np.ptp(unit) == 0:
        return None
    shots = shots or count - max(LEAST_HELD_BACK, round(HELD_BACK * count))
    room = capacity(count)
    results = personalization(
        model.personalizer,
        model.prior,
        _alone(unit, room),
        model.store(padded(content, room)),
        shots=(shots,),
        repeats=splits,
        progress=False,
        key=jax.random.key(0) if key is None else key,
    )
    before, after = (results.values[x][0, 0] for x in ("generic_srocc", "srocc"))
    both = np.isfinite(before) & np.isfinite(after)
    if both.sum() < 2:
        return None
    gain = (after - before)[both]
    overlap = 1 / both.sum() + (count - shots) / shots
    return Validation(
        ratings=count,
        shots=shots,
        splits=int(both.sum()),
        before=float(before[both].mean()),
        after=float(after[both].mean()),
        error=math.sqrt(float(gain.var(ddof=1)) * overlap),
    )


def _alone(unit: Float[np.ndarray, " rating"], room: int) -> UserTasks:
    """One user, whose image number i is rated `unit[i]`, padded to `room`."""
    ids: Int[np.ndarray, " rating"] = np.arange(room, dtype=np.int32)
    mask = ids < len(unit)
    return UserTasks(
        user_id=np.asarray([user_id("me")], np.int32),
        image_ids=np.where(mask, ids, 0)[None],
        scores=padded(unit, room)[None],
        mask=mask[None],
    )
