"""PsychoFlickr (Cristani et al., ACM MM 2013; Segalin et al., 2016): who likes what.

    users.csv               user,openness,conscientiousness,extraversion,
                            agreeableness,neuroticism
    images/USER/NAME.jpg    the 200 photographs that USER marked as favourites

300 users and their Big-Five traits by the BFI-10 questionnaire, from -4 to 4, stored
divided by 4. Records lie in ten splits, fold0 to fold9, by user: PA_IAA's ten-fold
protocol. The same NAME.jpg in several users' folders is one photograph: it lies in the
fold of the first of them by name, and is a test image whenever any of them is tested.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import ClassVar

import numpy as np
from jaxtyping import Float

from jiaa.data.builders import base, labels
from jiaa.data.builders.labels import Labels, Raw
from jiaa.data.folder import list_files
from jiaa.data.table import DataError, Gathered, parse_number, read_table, some
from jiaa.data.tasks import rank

USERS = "users.csv"
IMAGE_FOLDERS = ("images",)
TRAITS = (
    "openness",
    "conscientiousness",
    "extraversion",
    "agreeableness",
    "neuroticism",
)
TRAIT_SCALE = (-4.0, 4.0)
FOLDS = 10


class PsychoFlickr(base.PhotographBuilder):
    """Favourite photographs of 300 Flickr users whose Big-Five traits are known."""

    MANUAL_DOWNLOAD_INSTRUCTIONS = """
    From the authors' page (see homepage): one folder of favourites a user,
    images/USER/NAME.jpg, and the self-assessed traits as users.csv with the columns
    user,openness,conscientiousness,extraversion,agreeableness,neuroticism, each from
    -4 to 4.
    """
    ABOUT = (
        "PsychoFlickr: photographs that Flickr users marked as favourites, with the "
        "users' Big-Five traits (openness, conscientiousness, extraversion, "
        "agreeableness, neuroticism) in [-1, 1]."
    )
    HOMEPAGE = "http://www.cristinasegalin.com/project_personality.html"
    LICENSE = (
        "Photographs by Flickr users under their own licences; research use. The "
        "traits are personal data of living people."
    )
    CITATION = """@inproceedings{cristani2013unveiling,
  title={Unveiling the multimedia unconscious: Implicit cognitive processes and
    multimedia content analysis},
  author={Cristani, Marco and Vinciarelli, Alessandro and Segalin, Cristina
    and Perina, Alessandro},
  booktitle={Proceedings of the 21st ACM International Conference on Multimedia},
  pages={213--222},
  year={2013}
}"""
    FEATURES: ClassVar = {
        "worker": base.sequence(base.text()),
        "traits": base.sequence(base.vector(shape=(len(TRAITS),))),
        "fold": base.sequence(base.scalar(dtype=np.int32)),
    }

    @classmethod
    def read_raw(
        cls,
        root: Path,
        *,
        max_missing: int = 0,
        image_folder: str | None = None,
        seed: int = 0,
    ) -> Raw:
        """The likers of each photograph, their "traits" (`TRAITS`) and "fold".

        `seed` deals the users to ten folds of equal size, give or take one. A user
        without photographs counts as a missing image.

        Raises:
          DataError: wrong rows, folders of unknown users, more than `max_missing` users
            without photographs.
        """
        gathered = Gathered()
        traits = gathered.read(read_traits, root / USERS)
        folder = gathered.read(labels.image_folder, root, image_folder, IMAGE_FOLDERS)
        gathered.raise_if_any()
        likes = _likes(folder, traits, max_missing=max_missing)
        files: dict[str, Path] = {}
        for (_, name), path in likes.items():
            files.setdefault(name, path)
        known = _label(sorted(files), likes, traits, fold_of_users(traits, seed=seed))
        return Raw(known, tuple(files[name] for name in known.image_ids))


def read_traits(path: Path) -> dict[str, Float[np.ndarray, " trait"]]:
    """User -> traits in [-1, 1], in the order of `TRAITS`.

    Raises:
      DataError: lists every row with a trait off the scale, or a doubled user.
    """
    table = read_table(path, required=("user", *TRAITS))
    low, high = TRAIT_SCALE
    found: dict[str, np.ndarray] = {}
    for row in table.rows:
        user = row.values["user"]
        values = [parse_number(row.values[trait]) for trait in TRAITS]
        problem = None
        if not user or "/" in user:
            problem = f"user {user!r}; expected the name of a folder"
        elif user in found:
            problem = f"user {user!r} stands there already; keep one row"
        for trait, value in zip(TRAITS, values, strict=True):
            if value is None or not low <= value <= high:
                text = row.values[trait]
                problem = problem or f"{trait} {text!r}; expected {low:g} to {high:g}"
        if problem is None:
            found[user] = np.asarray(values, np.float64) / high
        else:
            table.findings.add(row.line, problem)
    table.findings.raise_if_any()
    return found


def fold_of_users(users: Mapping[str, object], *, seed: int) -> dict[str, int]:
    """User -> fold, from 0 to 9; folds have equal size, give or take one."""
    ranked = sorted(users, key=lambda user: rank(user, seed))
    return {user: position % FOLDS for position, user in enumerate(ranked)}


def _label(
    names: list[str],
    likes: Iterable[tuple[str, str]],
    traits: Mapping[str, Float[np.ndarray, " trait"]],
    folds: Mapping[str, int],
) -> Labels:
    """`likes` are pairs of user and image, each image one of `names`."""
    rows = {name: row for row, name in enumerate(names)}
    pairs = sorted((rows[name], user) for user, name in likes)
    image = np.asarray([row for row, _ in pairs])
    users = [user for _, user in pairs]
    fold = np.asarray([folds[user] for user in users], np.int32)
    first = np.searchsorted(image, np.arange(len(names)))
    return Labels(
        image_ids=tuple(names),
        image_split=np.asarray([f"fold{number}" for number in fold[first]]),
        columns={},
        responses={
            "image": image,
            "worker": np.asarray(users),
            "traits": np.asarray([traits[user] for user in users], np.float32),
            "fold": fold,
        },
        notes=_shared(image, fold),
    )


def _likes(
    folder: Path, users: Mapping[str, object], *, max_missing: int
) -> dict[tuple[str, str], Path]:
    """(user, image name) -> file, sorted."""
    likes = {}
    strangers, stray = set(), []
    for name, path in sorted(list_files(folder).items()):
        user, _, image = name.partition("/")
        if path.name.startswith("."):
            continue  # what file managers leave behind
        if not image:
            stray.append(name)
        elif user not in users:
            strangers.add(user)
        else:
            likes[user, image] = path
    idle = sorted(set(users) - {user for user, _ in likes})
    problems = []
    if stray:
        problems.append(f"{len(stray)} files in no user's folder: {some(stray)}")
    if strangers:
        problems.append(f"folders of users not in {USERS}: {some(sorted(strangers))}")
    if len(idle) > max_missing:
        problems.append(f"{len(idle)} users without photographs: {some(idle)}")
    if problems or not likes:
        raise DataError(
            f"{folder}: {'; '.join(problems or ['no photographs'])}. Expected "
            "USER/NAME.jpg for every user",
            [f"{folder}: {problem}" for problem in problems],
        )
    return likes


def _shared(image: np.ndarray, fold: np.ndarray) -> tuple[str, ...]:
    """What is said about photographs that users of several folds like."""
    pairs = np.unique(np.stack([image, fold], axis=1), axis=0)
    count = int((np.bincount(pairs[:, 0]) > 1).sum())
    return (f"{count} photographs are liked in several folds",) if count else ()
