"""Raw files to values: `Ratings`, `ImageStore`, `UserTasks` and batches."""

from jiaa.data.dataset import Dataset, assemble
from jiaa.data.images import ImageError
from jiaa.data.sources import (
    DATASETS,
    default_scale,
    load,
    load_folder,
    loader_options,
)
from jiaa.data.table import DataError

__all__ = [
    "DATASETS",
    "DataError",
    "Dataset",
    "ImageError",
    "assemble",
    "default_scale",
    "load",
    "load_folder",
    "loader_options",
]
