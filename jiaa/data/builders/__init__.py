"""TFDS builders of the papers' datasets, a file each: raw files to ArrayRecord.

They import TFDS (not TensorFlow), so `jiaa.data` loads them when they are asked for.
"""

import importlib
from typing import Any

from jiaa.data.table import DataError

# Dataset -> its builder's class, in the module of the dataset's name.
BUILDERS = {
    "ava": "Ava",
    "aadb": "Aadb",
    "flickr_aes": "FlickrAes",
    "real_cur": "RealCur",
    "psycho_flickr": "PsychoFlickr",
    "ava_reviews": "AvaReviews",
}


def builder_class(name: str) -> Any:
    """The builder of a dataset.

    Raises:
      DataError: there is none of that name; says which there are.
    """
    if name not in BUILDERS:
        raise DataError(
            f"no builder for {name!r}; expected one of {', '.join(BUILDERS)}"
        )
    return getattr(
        importlib.import_module(f"jiaa.data.builders.{name}"), BUILDERS[name]
    )
