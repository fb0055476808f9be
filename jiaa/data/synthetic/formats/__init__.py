"""The synthetic world in the raw on-disk formats of the real datasets, a file each.

So that every builder is tested from raw files to batches with nothing downloaded. Names
and header quirks are those of the real files; people and photographs are generated.
Every `write(root, *, seed, image_size, images, ...)` returns `root`.
"""

from collections.abc import Callable
from pathlib import Path

from jiaa.data.synthetic.formats import (
    aadb,
    ava,
    ava_reviews,
    flickr_aes,
    psycho_flickr,
    real_cur,
)

FORMATS: dict[str, Callable[..., Path]] = {
    "ava": ava.write,
    "aadb": aadb.write,
    "flickr_aes": flickr_aes.write,
    "real_cur": real_cur.write,
    "psycho_flickr": psycho_flickr.write,
    "ava_reviews": ava_reviews.write,
}
