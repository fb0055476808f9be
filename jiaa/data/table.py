"""CSV files written by people: tolerant of form, strict about content.

Reading never stops at the first wrong row: every finding is kept with its line number
and all are reported in one error, so that a file is corrected once.
"""

import csv
import dataclasses
import functools
import io
import math
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import ParamSpec, TypeVar

SHOWN = 10  # findings spelled out in one error; the rest are counted
P = ParamSpec("P")
T = TypeVar("T")


class DataError(ValueError):
    """Unusable input data; the message names file, line, value and remedy.

    `faults` lists every single fault, where the message spells out the first few.
    """

    def __init__(self, message: str, faults: Sequence[str] = ()):
        """The message, and all faults behind it if they are more than one."""
        super().__init__(message)
        self.faults = tuple(faults) or (message,)


@dataclasses.dataclass(frozen=True)
class Row:
    """One record: where it starts (line 1 is the header's) and its values by column."""

    line: int
    values: dict[str, str]


class Findings:
    """What is wrong with a file, gathered row by row and raised together."""

    def __init__(self, path: Path, *, unit: str = "line"):
        """No findings yet in the file at `path`, whose records are `unit`s."""
        self.path, self.unit = path, unit
        self.found: list[tuple[int, str]] = []

    def add(self, line: int, message: str) -> None:
        """Notes what is wrong in a line (or a row), and what to do about it."""
        self.found.append((line, message))

    def raise_if_any(self) -> None:
        """Raises `error()` if anything was found."""
        if self.found:
            raise self.error()

    def error(self) -> DataError:
        """The first findings in line order and their number; `faults` has them all."""
        unit, found = self.unit, sorted(self.found)
        lines = [f"  {unit} {line}: {message}" for line, message in found]
        if len(lines) > SHOWN:
            lines[SHOWN:] = [f"  ... and {len(lines) - SHOWN} more"]
        count = len(self.found)
        rows = "1 wrong row" if count == 1 else f"{count} wrong rows"
        faults = [f"{self.path}: {unit} {n}: {text}" for n, text in found]
        return DataError("\n".join([f"{self.path}: {rows}", *lines]), faults)


class Gathered:
    """The faults of several files, raised together once all have been read."""

    def __init__(self):
        """No faults yet."""
        self.errors: list[DataError] = []

    def read(self, reader: Callable[P, T], *args: P.args, **options: P.kwargs) -> T:
        """What `reader` returns; None if it fails, and then `raise_if_any` raises."""
        try:
            return reader(*args, **options)
        except DataError as error:
            self.errors.append(error)
            return None  # pyright: ignore[reportReturnType]

    def raise_if_any(self) -> None:
        """Raises one `DataError` with the messages and faults of all files."""
        if len(self.errors) == 1:
            raise self.errors[0]
        if self.errors:
            faults = [fault for error in self.errors for fault in error.faults]
            raise DataError("\n".join(map(str, self.errors)), faults)


@dataclasses.dataclass(frozen=True)
class Table:
    """A CSV file's header, its readable rows, and the findings so far."""

    columns: tuple[str, ...]
    rows: list[Row]
    findings: Findings


def read_table(path: Path, *, required: Sequence[str]) -> Table:
    """The rows of a comma-separated UTF-8 file with a header.

    Accepted without a word: a byte-order mark, any line ends, blank lines, spaces
    around names and values, quoted values, upper case and unknown columns in the
    header, empty trailing cells. Values come stripped and in Unicode's composed form
    (NFC).

    Raises:
      DataError: no such file, no header, a required column missing or doubled, not
        UTF-8, another delimiter, broken quotes, or no rows. Rows with too many or too
        few values go into `findings` instead.
    """
    records = _records(path, read_text(path))
    header_line, header = next(records, (0, []))
    if not header:
        raise DataError(
            f"{path}: the file is empty; expected a header "
            f"'{','.join(required)}' and one row a rating or image"
        )
    while not header[-1]:
        header.pop()
    columns = tuple(name.casefold() for name in header)
    _check_header(path, header_line, columns, required)
    findings = Findings(path)
    rows = []
    for line, values in records:
        while len(values) > len(columns) and not values[-1]:
            values.pop()
        if len(values) != len(columns):
            findings.add(
                line,
                f"{len(values)} values where the header has {len(columns)} "
                f"({','.join(columns)}); quote values that contain a comma, and write "
                "decimals with a point",
            )
            continue
        rows.append(Row(line, dict(zip(columns, values, strict=True))))
    if not rows and not findings.found:
        raise DataError(f"{path}: no rows after the header; add at least one")
    return Table(columns, rows, findings)


def parse_number(text: str) -> float | None:
    """A finite number, or None: 'nan', 'inf', '1_0' and words are none."""
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) and "_" not in text else None


def some(items: Sequence[str]) -> str:
    """The first items of a list, and how many more there are."""
    more = f", ... and {len(items) - SHOWN} more" if len(items) > SHOWN else ""
    return ", ".join(str(item) for item in items[:SHOWN]) + more


@functools.lru_cache(maxsize=65_536)  # images recur, a row a rater
def check_image_name(name: str) -> tuple[str, str | None]:
    """The name in normal form (a//./b.jpg is a/b.jpg) and what is wrong with it.

    A name must not lead out of the data's folder: no parent folders, absolute paths,
    drives or backslashes.
    """
    if not name:
        return name, "the image's name is empty; give a file name"
    plain = PurePosixPath(name)
    drive = len(name) > 1 and name[1] == ":"
    if plain.is_absolute() or ".." in plain.parts or drive or set(name) & set("\\\0"):
        return name, (
            f"image {name!r} leaves the image folder; expected a name relative to it, "
            "with '/' between folders"
        )
    return str(plain), None


def read_text(path: Path) -> str:
    """The whole file, in Unicode's composed form (NFC), without byte-order mark.

    Raises:
      DataError: no such file, or lines that are not UTF-8 or hold NUL characters.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise DataError(
            f"{path}: {error.strerror}; expected a readable text file there"
        ) from error
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = None
    if text is None or "\0" in text:
        raise _not_text(path, raw)
    return unicodedata.normalize("NFC", text)


def read_lines(path: Path) -> list[tuple[int, str]]:
    """(line number, stripped text) of each line that is not blank; any line ends.

    Raises:
      DataError: as `read_text`.
    """
    text = read_text(path).replace("\r\n", "\n").replace("\r", "\n")
    lines = enumerate(text.split("\n"), start=1)
    return [(number, line.strip()) for number, line in lines if line.strip()]


def _not_text(path: Path, raw: bytes) -> DataError:
    """Says which lines are not UTF-8 text."""
    findings = Findings(path)
    for number, line in enumerate(raw.split(b"\n"), start=1):
        try:
            if "\0" in line.decode():
                findings.add(number, "a NUL character; save the file as 'CSV UTF-8'")
        except UnicodeDecodeError as error:
            findings.add(
                number,
                f"byte 0x{line[error.start]:02X} is not UTF-8; save the file again as "
                "'CSV UTF-8' (in a spreadsheet: Save as)",
            )
    return findings.error()


def _records(path: Path, text: str) -> Iterator[tuple[int, list[str]]]:
    """(first line, stripped values) of each record that is not blank."""
    reader = csv.reader(
        io.StringIO(text, newline=""), skipinitialspace=True, strict=True
    )
    first_line = 1
    while True:
        try:
            values = [value.strip() for value in next(reader)]
        except StopIteration:
            return
        except csv.Error as error:
            raise DataError(
                f"{path}: line {first_line}: {error}; check the quotation marks"
            ) from None
        if any(values):
            yield first_line, values
        first_line = reader.line_num + 1


def _check_header(
    path: Path, line: int, columns: tuple[str, ...], required: Sequence[str]
) -> None:
    where = f"{path}: line {line}"
    if len(columns) == 1 and (found := set(columns[0]) & set(";\t|")):
        raise DataError(
            f"{where}: values are separated by {min(found)!r}; expected commas. Save "
            "the file with comma as separator"
        )
    doubled = {name for name in columns if name and columns.count(name) > 1}
    if doubled:
        raise DataError(
            f"{where}: column {min(doubled)!r} appears twice; rename or remove one"
        )
    missing = [name for name in required if name not in columns]
    if missing:
        raise DataError(
            f"{where}: no column {missing[0]!r}; the header is {','.join(columns)!r}, "
            f"expected at least {','.join(required)!r}"
        )
