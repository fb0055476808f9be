"""Records of prepared datasets as examples: photographs, and what is learned of them.

train = open_stream("ava", DATA_DIR, split="train", batch_size=64, crop=224)
batches = stream_batches(train, seed=0)
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
from jaxtyping import Float

from jiaa.data.images import AnyPath, Size, decode_resized, sides
from jiaa.data.stream import Example, Stream
from jiaa.data.table import DataError

Record = dict[str, Any]
Targets = Callable[[Record], Example]


def open_stream(
    name: str,
    data_dir: AnyPath,
    *,
    split: str,
    batch_size: int,
    image_size: Size = 256,
    crop: int | None = None,
    targets: Targets | None = None,
) -> Stream:
    """The stream of a dataset that `scripts/prepare_data.py` built in `data_dir`.

    Splits can be added: "fold1+fold2". Photographs are squashed to `image_size`, as in
    the released programs; `crop` is that of `Stream`. `targets` takes from a record
    what is learned from it (default: the dataset's own of `TARGETS`).

    Raises:
      DataError: it is not there, or has no such split.
      ValueError: the crop does not fit into the image.
    """
    from jiaa.data.builders import prepared  # TFDS: only when asked for

    if crop is not None and crop > min(sides(image_size)):
        raise ValueError(
            f"crop={crop} does not fit into image_size={image_size}; "
            "expected at most its shorter side"
        )
    builder = prepared.find(data_dir, name, short_side=min(sides(image_size)))
    if builder is None:
        raise DataError(
            f"{data_dir}: no prepared {name}; expected what scripts/prepare_data.py "
            f"--dataset {name} --manual_dir RAW --data_dir {data_dir} writes"
        )
    source = prepared.records(builder, split)
    examples = Records(source, targets or TARGETS[name], image_size)
    return Stream(examples, batch_size, crop)


@dataclasses.dataclass(frozen=True, eq=False)
class Records:
    """The records of a split as examples, read and decoded when they are asked for."""

    source: Any
    targets: Targets
    image_size: Size

    def __len__(self) -> int:
        """How many there are."""
        return len(self.source)

    def __getitem__(self, number: int) -> Example:
        """The photograph of one record, and its targets."""
        record = self.source[number]
        image = decode_resized(record.pop("image"), size=self.image_size)
        return {"images": image, **self.targets(record)}


def votes_targets(record: Record) -> dict[str, np.ndarray]:
    """The share of each vote from 1 to 10, and the mean unit score (mean / 10)."""
    shares_of_votes: Float[np.ndarray, " bin"] = record["votes"] / record["votes"].sum()
    mean = shares_of_votes @ np.arange(1, 11) / 10
    return {
        "distribution": shares_of_votes.astype(np.float32),
        "score": np.asarray(mean, np.float32),
    }


def stars_targets(record: Record) -> dict[str, np.ndarray]:
    """The mean unit score (stars / 5) of the photograph's raters."""
    return {"score": np.asarray(np.mean(record["stars"]) / 5, np.float32)}


def attribute_targets(record: Record) -> dict[str, np.ndarray]:
    """AADB's eleven attributes in [-1, 1], and the mean unit score (stars / 5)."""
    unit = (1 + 4 * record["score"]) / 5
    return {
        "attributes": np.asarray(record["attributes"], np.float32),
        "score": np.asarray(unit, np.float32),
    }


def trait_targets(record: Record) -> dict[str, np.ndarray]:
    """The Big-Five traits in [-1, 1] of who likes the photograph: their mean.

    Only likers of the record's own fold count, which is the first one's: of a
    photograph that is also liked elsewhere, a test user's traits are never learned.
    """
    fold, traits = np.asarray(record["fold"]), np.asarray(record["traits"])
    return {"traits": traits[fold == fold[0]].mean(axis=0, dtype=np.float32)}


TARGETS: dict[str, Targets] = {
    "ava": votes_targets,
    "aadb": attribute_targets,
    "flickr_aes": stars_targets,
    "real_cur": stars_targets,
    "psycho_flickr": trait_targets,
    "ava_reviews": votes_targets,
}
