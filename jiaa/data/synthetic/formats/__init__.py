"""The synthetic world in the raw on-disk formats of the real datasets, a file each.

So that every builder is tested from raw files to batches with nothing downloaded. Names
and header quirks are those of the real files; people and photographs are generated.
"""

from collections.abc import Callable
from pathlib import Path

from jiaa.data.synthetic.formats import flickr_aes

FORMATS: dict[str, Callable[..., Path]] = {
    "flickr_aes": flickr_aes.write,
}
