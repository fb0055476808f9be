"""`jiaa score`, `jiaa personalize` and `jiaa rate`: a person's own photographs."""

import argparse
import contextlib
import io
import os
import sys
import time
import webbrowser
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jiaa.cli import built_in
from jiaa.cli.launch import EXPECTED, in_words
from jiaa.cli.models import METHODS, open_model
from jiaa.cli.told import source_of, tell_refitted, tell_worth
from jiaa.data.feature_file import FeatureFile, read_features
from jiaa.data.folder import check_scale
from jiaa.personalize.active import STRATEGIES
from jiaa.serve import score as scoring
from jiaa.serve.album import open_album
from jiaa.serve.asking import DESIGN, make_asker
from jiaa.serve.cache import default_folder
from jiaa.serve.model import Model
from jiaa.serve.photos import find_photos
from jiaa.serve.ratings import OwnRatings, read_rated
from jiaa.serve.session import Session
from jiaa.serve.taste import save as save_taste
from jiaa.serve.validation import cross_validate

OPTIONS = "The scale of your stars is set by --scale LOW HIGH."
UNREADABLE = 3  # exit code: all is done, but some photographs could not be read


def score(arguments: Sequence[str]) -> int:
    """`jiaa score`: ranks photographs; returns the exit code."""
    flags = _score_parser().parse_args(arguments)
    scoring.check_format(flags.out)
    photos = find_photos(flags.photos)
    model = _opened(flags, user=flags.user, scale=_scale(flags))
    model = _reading(model, _features(flags), [x for x in flags.photos if x.is_dir()])
    started = time.perf_counter()
    ranking = scoring.rank_photos(
        model,
        photos,
        cache=model.open_cache(flags.cache),
        workers=flags.workers,
        progress=not flags.quiet,
    )
    seconds = time.perf_counter() - started
    scoring.write_ranking(ranking.photos, flags.out)
    best = ranking.photos[: flags.top]
    if flags.copy_to:
        scoring.copy_photos(best, flags.copy_to)
    if flags.top is not None:
        for one in best:
            print(f"{one.rank:4d}  {one.score:5.2f}  {one.image}")
    done = len(ranking.photos)
    print(f"{flags.out}: {done} photographs in {seconds:.1f} s", file=sys.stderr)
    return _tell_failures(ranking.failures)


def personalize(arguments: Sequence[str]) -> int:
    """`jiaa personalize`: learns a taste file; returns the exit code."""
    flags = _personalize_parser().parse_args(arguments)
    low, high = flags.scale
    features = _features(flags)
    rated = read_rated(
        flags.ratings,
        flags.photos,
        scale=(low, high),
        worker=flags.worker,
        features=features,
    )
    model = _opened(flags, method=flags.method, scale=(low, high))
    model = _reading(model, features, [flags.photos])
    rows, content, failures = _encoded(model, rated.paths, flags)
    stars = np.asarray(rated.stars, np.float32)[rows]
    found = cross_validate(model, content, stars)
    mine = model.adapt_encoded(content, stars)
    helps = np.ptp(stars) > 0 and (found is None or found.helps)
    tell_worth(mine, stars, found)
    if not helps:
        mine = mine.like_the_prior()
    tell_refitted(flags.out, model)
    source = source_of(flags.ratings, flags.photos, flags.worker)
    path = save_taste(flags.out, mine, learned_from=source)
    whose = "the taste" if helps else "the prior's own ranking, in place of the taste"
    print(f"{path}: {whose} of {len(stars)} ratings, {path.stat().st_size:,} bytes")
    return _tell_failures(failures)


def rate(arguments: Sequence[str]) -> int:
    """`jiaa rate`: serves the rating page until it is interrupted."""
    flags = _rate_parser().parse_args(arguments)
    server_module = _server()
    low, high = flags.scale
    check_scale((low, high))
    if not (low == int(low) and high == int(high) <= 9):
        raise ValueError(
            f"--scale {low:g} {high:g}: expected whole numbers up to 9, one a key"
        )
    album = open_album(flags.photos, most=flags.most)
    model = _opened(flags, method=flags.method, scale=(low, high))
    model = _reading(model, _features(flags), [album.root])
    OwnRatings(flags.ratings, scale=model.scale)  # wrong rows are told before the work
    if flags.out is not None:
        tell_refitted(flags.out, model)
    rows, content, failures = _encoded(model, album.paths, flags)
    _tell_failures(failures)
    session = Session(
        model,
        album.select(rows),
        content,
        ratings=flags.ratings,
        taste=flags.out,
        source=source_of(flags.ratings, flags.photos),
        asker=make_asker(flags.ask, model, content),
    )
    server = server_module.Server(session, port=flags.port)
    print(f"Rate at {server.url}\nCtrl-C ends; {flags.ratings} has every rating.")
    sys.stdout.flush()
    if flags.browser:
        webbrowser.open(server.url)
    with contextlib.suppress(KeyboardInterrupt):
        server.run()
    return 0


def _server():
    try:
        from jiaa.serve import server
    except ImportError as error:
        raise ImportError(
            f"the rating page needs {error.name}: pip install 'jiaa[rate]'"
        ) from error
    return server


def _opened(flags: argparse.Namespace, **options: Any) -> Model:
    """The prior of the command, which says so where it is the built-in one."""
    if flags.prior is None:
        print(built_in.TOLD, file=sys.stderr)
    return open_model(flags.prior, settings=flags.set, **options)


def _features(flags: argparse.Namespace) -> FeatureFile | None:
    return None if flags.features is None else read_features(flags.features)


def _reading(
    model: Model, features: FeatureFile | None, folders: Sequence[Path]
) -> Model:
    """The model that takes photographs' features from a file, if one is given."""
    return model if features is None else model.reading(features, folders=folders)


def _encoded(
    model: Model, paths: Sequence[Path], flags: argparse.Namespace
) -> tuple[list[int], np.ndarray, list[str]]:
    """(which could be read, what the model knows of them, why the others could not)."""
    batches = list(
        model.stream(
            paths,
            cache=model.open_cache(flags.cache),
            workers=flags.workers,
            progress=not flags.quiet,
        )
    )
    failures = [why for batch in batches for why in batch.failures.values()]
    rows = np.concatenate([batch.rows for batch in batches])
    if not len(rows):
        said = "\n".join(failures)
        raise ValueError(f"none of {len(paths)} photographs could be read\n{said}")
    content = np.concatenate([batch.content for batch in batches if len(batch.rows)])
    order = np.argsort(rows)
    return rows[order].tolist(), content[order], failures


def _tell_failures(failures: Sequence[str]) -> int:
    """Lists photographs that could not be read; the exit code."""
    if not failures:
        return 0
    print(f"{len(failures)} photographs could not be read:", file=sys.stderr)
    for why in failures:
        print(f"  {why}", file=sys.stderr)
    return UNREADABLE


def _scale(flags: argparse.Namespace) -> tuple[float, float] | None:
    return None if flags.scale is None else (flags.scale[0], flags.scale[1])


def _score_parser() -> argparse.ArgumentParser:
    parser = _parser("score", "Scores and ranks photographs.")
    parser.add_argument(
        "photos", nargs="+", type=Path, help="files, or folders with all below them"
    )
    _add_model(parser)
    parser.add_argument("--user", type=Path, help="a taste file of jiaa personalize")
    parser.add_argument(
        "-o",
        "--out",
        type=_output,
        default=Path("scores.csv"),
        help="ranking to write, .csv or .jsonl (%(default)s)",
    )
    parser.add_argument("--top", type=_count, help="print the best N", metavar="N")
    parser.add_argument(
        "--copy-to", type=Path, help="copy the best N (or all) there", metavar="FOLDER"
    )
    _add_scale(parser, None, "the prior's, or the taste's")
    return parser


def _personalize_parser() -> argparse.ArgumentParser:
    parser = _parser("personalize", "Learns a person's taste from ratings.csv.")
    parser.add_argument(
        "--ratings", type=Path, required=True, help="CSV: image,score[,worker]"
    )
    parser.add_argument(
        "--photos",
        type=Path,
        required=True,
        help="folder that the images' names are in",
    )
    _add_model(parser)
    parser.add_argument(
        "-o",
        "--out",
        type=_output,
        default=Path("taste.safetensors"),
        help="taste file to write (%(default)s)",
    )
    parser.add_argument("--worker", help="whose ratings, if the file has several")
    _add_method(parser)
    _add_scale(parser, (1.0, 5.0), "1 5")
    return parser


def _rate_parser() -> argparse.ArgumentParser:
    parser = _parser("rate", "A local page that asks for your stars and learns.")
    parser.add_argument("photos", type=Path, help="folder of photographs")
    _add_model(parser)
    parser.add_argument(
        "--ratings",
        type=_output,
        default=Path("ratings.csv"),
        help="read if it is there, and written at each rating (%(default)s)",
    )
    parser.add_argument(
        "-o", "--out", type=_output, metavar="TASTE", help="keep a taste file as well"
    )
    _add_method(parser)
    _add_scale(parser, (1.0, 5.0), "1 5; whole numbers up to 9, for the keys")
    parser.add_argument(
        "--most",
        type=_count,
        default=1000,
        help="of a larger folder, draw so many photographs (%(default)s)",
    )
    parser.add_argument(
        "--ask",
        choices=sorted(STRATEGIES),
        default=DESIGN,
        help="how the next photograph is chosen (%(default)s)",
    )
    parser.add_argument("--port", type=_port, default=0, help="any free one")
    parser.add_argument(
        "--no-browser", dest="browser", action="store_false", help="do not open it"
    )
    return parser


def _parser(name: str, description: str) -> argparse.ArgumentParser:
    return argparse.ArgumentParser(prog=f"jiaa {name}", description=description)


def _add_model(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--prior",
        type=Path,
        help="workdir of a finished run, an export, or the .safetensors file in one "
        "(the prior that comes with jiaa)",
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="PATH=VALUE",
        help="a setting of the run's config, such as adapt.strength=2",
    )
    parser.add_argument(
        "--cache",
        type=Path,
        default=default_folder(),
        help="keeps features of photographs seen before (%(default)s)",
    )
    parser.add_argument(
        "--features",
        type=Path,
        metavar="FILE",
        help="features of the photographs, .npz or .safetensors, from elsewhere; "
        "a prior that was trained on such needs them",
    )
    parser.add_argument("--workers", type=_count, help="threads that decode (cores)")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")


def _add_method(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--method",
        choices=METHODS,
        help="how the prior adapts to you: blend finds out how much of it holds for "
        "you; own is the run's way (blend)",
    )


def _add_scale(parser: argparse.ArgumentParser, default, shown: str) -> None:
    parser.add_argument(
        "--scale",
        nargs=2,
        type=float,
        default=default,
        metavar=("LOW", "HIGH"),
        help=f"of your stars ({shown})",
    )


def _count(text: str) -> int:
    return _whole(text, 1, sys.maxsize)


def _port(text: str) -> int:
    return _whole(text, 0, 65_535)


def _whole(text: str, least: int, most: int) -> int:
    if not (text.isdecimal() and least <= int(text) <= most):
        ends = f"from {least}" + (f" to {most}" if most < sys.maxsize else "")
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number {ends}")
    return int(text)


def _output(text: str) -> Path:
    """A file to write; what cannot become one is refused before the work."""
    path = Path(text)
    there = next(x for x in path.absolute().parents if x.exists())
    if path.is_dir():
        raise argparse.ArgumentTypeError(f"{text} is a folder; name a file")
    if not there.is_dir():
        raise argparse.ArgumentTypeError(
            f"{text} would lie in {there}, which is no folder; name another"
        )
    if not os.access(there, os.W_OK):
        raise argparse.ArgumentTypeError(
            f"{text} would lie in {there}, where you may not write; name another"
        )
    return path


def run(command: Callable[[Sequence[str]], int], arguments: Sequence[str]) -> int:
    """Calls a command; what a person can mend is told in one message."""
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors == "strict":
        # A file's name may hold bytes that are no text: printed as escapes.
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        return command(arguments)
    except EXPECTED as error:
        options = OPTIONS if "scale" in str(error) else ""
        sys.exit(f"jiaa: {in_words(error, options=options)}")
    except KeyboardInterrupt:
        sys.exit("jiaa: interrupted; the same command goes on from here")
