"""The smallest raw dataset of every format, for the tests beside it."""

from pathlib import Path

from jiaa.data.synthetic.formats import FORMATS

SIZES = {
    "ava": {"images": 40, "voters": 20},
    "aadb": {"images": 40, "workers": 8},
    "flickr_aes": {
        "images": 12,
        "train_users": 8,
        "test_users": 3,
        "test_ratings": (6, 9),
        "gold_images": 4,
    },
    "real_cur": {"images": 40, "owners": 4},
    "psycho_flickr": {"images": 60, "users": 20},
    "ava_reviews": {"images": 20, "users": 9, "reviews_per_image": 3},
}


def write(name: str, root: Path, **options) -> Path:
    """Writes the dataset in its raw format to `root`."""
    return FORMATS[name](
        root, **{"image_size": 16, "seed": 1, **SIZES[name], **options}
    )


def snapshot(folder: Path) -> dict[str, bytes]:
    """Every file under a folder, by relative name."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
