"""What Kong's networks go down: regression, and rank, attributes and content besides.

Kong et al., Photo aesthetics ranking network with attributes and content adaptation,
ECCV 2016: eq. 1 (Reg), eq. 2 (+Rank), the attributes' Euclidean loss (+Att) and the
softmax loss of the content (+Cont).
"""

from collections.abc import Sequence

from jaxtyping import Array, Float

from jiaa import losses
from jiaa.models.kong import ATTRIBUTES, CONTENT
from jiaa.models.personality import AESTHETICS
from jiaa.train.multitask import Term


def _halved(
    predicted: Float[Array, "image output"], target: Float[Array, "image output"]
) -> Float[Array, " image"]:
    """Half the squared error (eq. 1)."""
    return losses.euclidean(predicted, target) / 2


def _ranked(
    predicted: Float[Array, "image 1"], target: Float[Array, "image 1"]
) -> Float[Array, " image"]:
    """Eq. 2 of scores that stand in a column."""
    return losses.margin_rank(predicted[:, 0], target[:, 0])


# The weights of the last two, 0.1, are of this library.
TERMS = {
    "reg": Term(AESTHETICS, "score", _halved),
    "rank": Term(AESTHETICS, "score", _ranked),
    ATTRIBUTES: Term(ATTRIBUTES, ATTRIBUTES, _halved, 0.1),
    CONTENT: Term(CONTENT, CONTENT, losses.cross_entropy, 0.1),
}


def terms(parts: Sequence[str]) -> tuple[Term, ...]:
    """The losses of some of the parts; "reg" is always there, and first."""
    return tuple(TERMS[part] for part in dict.fromkeys(("reg", *parts)))
