"""A TFDS builder for photographs and what people said of them, without TensorFlow.

A dataset's own file says how its raw files are read (`read_raw`), which features its
records have, and where the files come from. The rest is here: photographs made small
on all cores, resumable after a kill; splits; ArrayRecord files.
"""

import abc
import contextlib
import dataclasses
import errno
import fcntl
import functools
import inspect
import io
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import tensorflow_datasets as tfds
from absl import logging
from google.protobuf.json_format import ParseError
from tqdm import tqdm

from jiaa.data.builders.labels import Labels, Raw
from jiaa.data.builders.shrink import Packs, shrink_all
from jiaa.data.images import AnyPath
from jiaa.data.table import DataError

SHORT_SIDE = 256
WORK = "work"  # where packs lie until the records are written
INFO = "dataset_info.json"  # TFDS writes it last
METADATA = "metadata.json"  # what is missing, and what was chosen
NO_JSON = json.JSONDecodeError, UnicodeDecodeError, ParseError

text = tfds.features.Text
scalar = functools.partial(tfds.features.Scalar, dtype=np.float32)
vector = functools.partial(tfds.features.Tensor, dtype=np.float32)
sequence = tfds.features.Sequence


@dataclasses.dataclass(eq=False)
class Size(tfds.core.BuilderConfig):
    """`shortN`: photographs are stored with a short side of at most N px."""

    short_side: int = SHORT_SIDE


def size(short_side: int = SHORT_SIDE) -> Size:
    """The config of photographs with that short side, in px."""
    return Size(
        name=f"short{short_side}",
        description=f"Photographs with a short side of at most {short_side} px.",
        short_side=short_side,
    )


class PhotographBuilder(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """What the builders of all datasets share.

    A subclass sets the class variables and `read_raw`. A record holds `image` (JPEG),
    `image_id`, the labels' columns by name, and for each of the labels' responses a
    sequence.
    """

    VERSION = tfds.core.Version("1.0.0")
    BUILDER_CONFIGS: ClassVar = [size()]
    # TFDS would look for download checksums beside the code, and for that import a
    # package (importlib_resources) that it does not depend on.
    code_path: ClassVar = None
    MAX_MISSING: ClassVar[int] = 0
    ABOUT: ClassVar[str]
    HOMEPAGE: ClassVar[str]
    LICENSE: ClassVar[str]
    CITATION: ClassVar[str]
    FEATURES: ClassVar[Mapping[str, Any]]

    def __init__(
        self,
        *,
        data_dir: AnyPath | None = None,
        config: str | Size | None = None,
        version: str | None = None,
        workers: int | None = None,
        progress: bool = True,
        max_missing: int | None = None,
        **options: Any,
    ):
        """`data_dir` holds prepared datasets; `workers` processes decode.

        `max_missing` photographs may lack or be unreadable (default: `MAX_MISSING`);
        `options` go to `read_raw`.

        Raises:
          DataError: it is prepared already, and its description cannot be read.
        """
        self.max_missing = self.MAX_MISSING if max_missing is None else max_missing
        self.workers, self.progress, self.options = workers, progress, options
        if isinstance(config, Size) and config.name in self.builder_configs:
            config = config.name  # TFDS refuses a second config of a known name
        try:
            with _without_warnings():  # of a size that is not the default one
                super().__init__(
                    data_dir=data_dir,
                    config=config,
                    version=version,
                    file_format="array_record",
                )
        except NO_JSON as error:
            where = Path(data_dir or "") / self.name
            raise _damaged(f"{INFO} somewhere in {where}", where, error) from error

    @classmethod
    @abc.abstractmethod
    def read_raw(cls, root: Path, *, max_missing: int = 0, **options: Any) -> Raw:
        """The checked labels and image files under `root`.

        Raises:
          DataError: names every wrong row by file and line.
        """

    @classmethod
    def raw_folder(cls, root: AnyPath) -> Path:
        """`root`, where something has to lie.

        Raises:
          DataError: it is no folder, or an empty one; says what goes there.
        """
        root = Path(root)
        if not root.is_dir() or not any(root.iterdir()):
            what = "an empty folder" if root.is_dir() else "no such folder"
            wanted = " ".join((cls.MANUAL_DOWNLOAD_INSTRUCTIONS or "").split())
            raise DataError(
                f"{root}: {what}; expected the raw files of {cls.name}. {wanted}"
            )
        return root

    @property
    def choices(self) -> dict[str, str]:
        """What was chosen of `read_raw`'s options, or left at its default."""
        parameters = inspect.signature(self.read_raw).parameters.values()
        values = {x.name: x.default for x in parameters} | self.options
        return {
            name: str(value)
            for name, value in values.items()
            if name not in ("root", "max_missing")
        }

    @property
    def size(self) -> Size:
        """How large photographs are stored."""
        assert isinstance(self.builder_config, Size)
        return self.builder_config

    @property
    def work_dir(self) -> Path:
        """Where an unfinished run keeps what the next one takes up."""
        return Path(self.data_dir_root) / self.name / self.size.name / WORK

    def _info(self) -> tfds.core.DatasetInfo:
        image = tfds.features.Image(shape=(None, None, 3), encoding_format="jpeg")
        features = {"image": image, "image_id": text(), **self.FEATURES}
        return tfds.core.DatasetInfo(
            builder=self,
            description=self.ABOUT,
            features=tfds.features.FeaturesDict(features),
            homepage=self.HOMEPAGE,
            citation=self.CITATION,
            license=self.LICENSE,
            metadata=tfds.core.MetadataDict(),
        )

    def _split_generators(self, dl_manager: Any) -> dict[str, Iterator]:
        root = Path(dl_manager.manual_dir)
        raw = self.read_raw(root, max_missing=self.max_missing, **self.options)
        labels, packs = self._shrink(raw)
        facts = self.info.metadata
        assert facts is not None
        facts["missing"] = list(labels.missing)
        facts["corrupt"] = [labels.image_ids[row] for row in sorted(packs.faults)]
        facts["notes"] = list(labels.notes)
        facts["choices"] = self.choices
        unreadable = np.asarray(sorted(packs.faults), int)
        readable = np.delete(np.arange(len(labels.image_ids)), unreadable)
        labels = labels.take(readable)
        old_row = {int(old): new for new, old in enumerate(readable)}
        return {
            name: self._generate_examples(labels, packs, old_row, name)
            for name in labels.split_names
        }

    def _shrink(self, raw: Raw) -> tuple[Labels, Packs]:
        """All photographs made small; fails if too many are missing or unreadable."""
        packs = shrink_all(
            raw.paths,
            short_side=self.size.short_side,
            folder=self.work_dir,
            workers=self.workers,
            progress=self.progress,
        )
        lost = len(raw.labels.missing) + len(packs.faults)
        if packs.faults and lost > self.max_missing:
            faults = [packs.faults[row] for row in sorted(packs.faults)]
            raise DataError(
                f"{len(faults)} unreadable photographs and {len(raw.labels.missing)} "
                f"missing ones; max_missing={self.max_missing} are tolerated. Replace "
                f"them, or pass max_missing={lost}. The first: {faults[0]}",
                faults,
            )
        return raw.labels, packs

    def _generate_examples(
        self, labels: Labels, packs: Packs, rows: Mapping[int, int], split: str
    ) -> Iterator[tuple[str, dict[str, Any]]]:
        """(image id, record) of each image of a split."""
        image = labels.responses.get("image", np.empty(0, int))
        order = np.argsort(image, kind="stable")
        ends = np.searchsorted(image[order], np.arange(len(labels.image_ids) + 1))
        bar = tqdm(
            desc=f"write {split} records",
            total=int((labels.image_split == split).sum()),
            unit="image",
            disable=not self.progress,
        )
        for position, jpeg in packs:
            row = rows[position]
            if labels.image_split[row] != split:
                continue
            bar.update()
            own = order[ends[row] : ends[row + 1]]
            yield (
                labels.image_ids[row],
                {
                    "image": io.BytesIO(jpeg),
                    "image_id": labels.image_ids[row],
                    **{name: values[row] for name, values in labels.columns.items()},
                    **{
                        name: list(values[own])
                        for name, values in labels.responses.items()
                        if name != "image"
                    },
                },
            )


def build(builder: PhotographBuilder, manual_dir: AnyPath) -> None:
    """Builds the records from the raw files in `manual_dir`, unless they are there.

    A run that was killed is taken up where it stopped.

    Raises:
      DataError: wrong rows, or too many missing or unreadable photographs; records that
        are there, but torn or built with other options; a folder whose name is no text,
        as ArrayRecord wants it.
    """
    try:
        builder.data_dir.encode()
    except UnicodeEncodeError as error:
        raise DataError(
            f"{builder.data_dir!a} is not UTF-8; expected a name that is, because "
            "records could not be written there. Give another data_dir, or rename it"
        ) from error
    if Path(builder.data_dir).exists():
        check_whole(builder)
        _check_same(builder)
        return
    root = builder.raw_folder(manual_dir).resolve()
    with _alone(builder.work_dir):
        _build(builder, root)
    shutil.rmtree(builder.work_dir, ignore_errors=True)


def check_whole(builder: PhotographBuilder) -> None:
    """Refuses a built dataset of which some files are gone, or its description broken.

    Raises:
      DataError: names the first of them.
    """
    folder = Path(builder.data_dir)
    expected = [folder / INFO, folder / METADATA]
    for split in builder.info.splits.values():
        expected += [Path(path) for path in split.filepaths]
    for path in expected:
        if not path.is_file():
            raise DataError(
                f"{path}: no such file; the prepared dataset is not whole. "
                f"{again(folder)}"
            )
    try:
        _ = builder.info.metadata  # TFDS reads it here
    except NO_JSON as error:
        raise _damaged(str(folder / METADATA), folder, error) from error


def _damaged(what: str, folder: Path, error: Exception) -> DataError:
    return DataError(f"{what}: not what was written there ({error}). {again(folder)}")


def again(folder: AnyPath) -> str:
    """What to do about prepared files that are damaged."""
    return f"Remove {folder}, and run scripts/prepare_data.py again"


def _check_same(builder: PhotographBuilder) -> None:
    """Refuses records that were built with other options, or that too much lacks."""
    facts, folder = builder.info.metadata or {}, builder.data_dir
    for name, value in facts.get("choices", {}).items():
        if value != builder.choices[name]:
            raise DataError(
                f"{folder} was prepared with {name}={value}, not "
                f"{builder.choices[name]}; give that, or another data_dir, or remove "
                "the folder"
            )
    lost = len(facts.get("missing", ())) + len(facts.get("corrupt", ()))
    if lost > builder.max_missing:
        raise DataError(
            f"{folder} was prepared without {lost} missing or unreadable photographs; "
            f"max_missing={builder.max_missing} are tolerated. Complete the raw files "
            f"and remove the folder, or pass max_missing={lost}"
        )


def _build(builder: PhotographBuilder, root: Path) -> None:
    final = Path(builder.data_dir)
    for left_over in final.parent.glob(f"incomplete.*_{final.name}"):
        shutil.rmtree(left_over)
    config = tfds.download.DownloadConfig(manual_dir=root)
    tfds.disable_progress_bar()
    try:
        with contextlib.redirect_stdout(io.StringIO()):  # it speaks of downloads
            builder.download_and_prepare(
                download_dir=builder.work_dir / "downloads", download_config=config
            )
    except RuntimeError as error:  # ArrayRecord's way to say that the disk is full
        for code in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            if os.strerror(code) in str(error):
                raise OSError(code, os.strerror(code), str(final)) from error
        raise


@contextlib.contextmanager
def _without_warnings() -> Iterator[None]:
    """Leaves TFDS' warnings out of the log."""
    level = logging.get_verbosity()
    logging.set_verbosity(logging.ERROR)
    try:
        yield
    finally:
        logging.set_verbosity(level)


@contextlib.contextmanager
def _alone(work_dir: Path) -> Iterator[None]:
    """Refuses a second run beside this one, which would remove what this one writes."""
    work_dir.mkdir(parents=True, exist_ok=True)
    with (work_dir / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise DataError(
                f"{work_dir}: another run prepares this dataset; wait for it or end it"
            ) from error
        yield
