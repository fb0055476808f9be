"""report.md and its figures, from the workdirs of evaluated runs."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jiaa.report import published, tables
from jiaa.report.generic import generic_section, read_generic
from jiaa.report.runs import Run, dataset_label, is_synthetic, read_run

METHOD_NOTE = """\
Every method is measured on the same splits: for each user, that many ratings are
learned from, and all the user's other ratings are predicted. Each number is the mean
over users of the user's mean over repeats; ± is the standard deviation over repeats of
the mean over users. *Generic* is the same figure for the prior before adaptation, on
the same query images, and *change* the difference. Models are those of the last
training step. A user-repeat in which a coefficient does not exist (one side constant)
is left out, and counted under *skipped*."""
SYNTHETIC_NOTE = """\
**These numbers are synthetic.** The photographs and the raters were generated; the
numbers compare methods on a world whose truth is known, and say nothing about real
people."""
PUBLISHED_NOTE = """\
The numbers on the right are the papers' own, on FLICKR-AES (37 test users, 50
repeats)."""
GENERIC = "generic_srocc"  # of the prior before adaptation, in results.csv
OTHER_DATASET_NOTE = """\
They were not measured on the dataset of this section: the two sides are not to be
compared number by number."""


def write_report(
    workdirs: Sequence[str | os.PathLike[str]], out: str | os.PathLike[str]
) -> Path:
    """Writes `out`/report.md with its PNGs, and returns its path.

    Runs are grouped by dataset. Multi-task runs without test users have tables and
    figures of their generic scores alone. Writing again replaces the files. Pictures in
    `out` named `visual_*.png` (the slides' "Visual results") are shown at the end.

    Raises:
      FileNotFoundError: a workdir was not evaluated.
      NotADirectoryError: `out` is a file, or lies below one.
      ValueError: no workdirs, or files that are not of the form that DESIGN names.
    """
    if not workdirs:
        raise ValueError("no workdirs to report on; name at least one evaluated run.")
    out = Path(out)
    measured = [found for x in workdirs if (found := read_generic(x))]
    alone = [Path(found["workdir"]) for found in measured if not found["users"]]
    runs = [read_run(x) for x in workdirs if Path(x) not in alone]
    _make_folder(out)
    parts = ["# Personalized image aesthetics: results", METHOD_NOTE]
    names = [run.dataset for run in runs] + [found["dataset"] for found in measured]
    for dataset in dict.fromkeys(names):
        parts += _section(
            [run for run in runs if run.dataset == dataset],
            [found for found in measured if found["dataset"] == dataset],
            dataset=dataset,
            out=out,
        )
    parts += _visual(out)
    parts += [f"## Generic models in the papers\n\n{tables.generic_table()}"]
    path = out / "report.md"
    # In one go: a reader, or a kill, never meets half a report.
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    part.write_text("\n\n".join(parts) + "\n", encoding="utf-8")
    os.replace(part, path)
    return path


def _make_folder(out: Path) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise NotADirectoryError(
            f"{out} is a file, or lies below one; name a folder for report.md and its "
            "figures, which is made if it is not there."
        ) from error


def _section(
    runs: Sequence[Run], measured: Sequence[dict[str, Any]], *, dataset: str, out: Path
) -> list[str]:
    """Paragraphs on the runs of one dataset; draws their figures into `out`."""
    parts = [f"## {dataset_label(dataset)}"]
    if is_synthetic(dataset):
        parts.append(SYNTHETIC_NOTE)
    for metric in dict.fromkeys(metric for run in runs for metric in run.metrics):
        parts.append(f"### {tables.title(metric)}")
        parts.append(tables.results_table(runs, metric=metric))
    if any("srocc" in run.metrics for run in runs):
        same = not is_synthetic(dataset) and dataset.startswith("flickr_aes")
        note = PUBLISHED_NOTE if same else f"{PUBLISHED_NOTE}\n{OTHER_DATASET_NOTE}"
        parts += ["### Beside the published numbers", note]
        parts.append(tables.beside_published(runs))
    parts += generic_section(measured)
    shown = _figures(runs, out) + _generic_figures(measured, out)
    if shown:
        parts += ["### Figures", *shown]
    if runs:
        seconds = [f"{label} {run.seconds:.1f} s" for label, run in _labelled(runs)]
        parts.append(f"Wall time of the evaluations: {', '.join(seconds)}.")
    return parts


def _labelled(runs: Sequence[Run]) -> list[tuple[str, Run]]:
    return list(zip(tables.run_labels(runs), runs, strict=True))


def _figures(runs: Sequence[Run], out: Path) -> list[str]:
    """Draws the figures of one dataset's runs; markdown that shows them."""
    # Imported where something is drawn: Matplotlib is a quarter of a command's start.
    from jiaa.report import figures

    shown = []
    if not runs:
        return shown
    dataset = runs[0].dataset
    for metric in dict.fromkeys(metric for run in runs for metric in run.metrics):
        name = _file_name("shots", dataset, metric)
        figures.save(figures.score_against_shots(runs, metric=metric), out / name)
        label = f"{tables.title(metric)} against ratings on {dataset_label(dataset)}"
        shown.append(f"![{label}]({name})")
    for label, run in _labelled(runs):
        for shots in run.shots:
            measured = [(name, shots) in run.values for name in ("srocc", GENERIC)]
            if not all(measured) or run.row("srocc", shots) is None:
                continue
            name = _file_name("users", dataset, label, shots)
            figures.save(figures.per_user_bars(run, shots=shots), out / name)
            title = f"{label}, {shots} ratings: each user before and after"
            shown.append(f"![{title}]({name})")
    return shown


def _generic_figures(measured: Sequence[dict[str, Any]], out: Path) -> list[str]:
    """Draws what multi-task runs kept to be seen; markdown that shows it."""
    if not measured:
        return []
    from jiaa.report import figures, shown

    parts = []
    for found in measured:
        for word, (figure, title) in shown.run_figures(found).items():
            name = _file_name(word, found["dataset"], found["label"])
            figures.save(figure, out / name)
            parts.append(f"![{title}]({name})")
    return parts


def _file_name(*words: object) -> str:
    """`users_synthetic_BLG-PIAA_10.png`: words safe in a file name and a link."""
    safe = (
        "".join(c if c.isalnum() or c in "-." else "-" for c in str(word)).strip("-")
        for word in words
    )
    return "_".join(safe) + ".png"


def _visual(out: Path) -> list[str]:
    """The "Visual results" pictures that lie in `out`, if any."""
    pictures = sorted(path.name for path in out.glob("visual_*.png"))
    if not pictures:
        return []
    return ["## Visual results", *(f"![{name}]({name})" for name in pictures)]


def terminal_summary(
    workdirs: Sequence[str | os.PathLike[str]], report: str | os.PathLike[str]
) -> str:
    """The terminal's last words: SROCC of the runs, published numbers, the report."""
    runs = [read_run(workdir) for workdir in workdirs]
    theirs: dict[str, list[str]] = {}
    for p in published.flickr_aes():
        if p.method in {"ba_piaa", "blg_piaa"}:
            theirs.setdefault(p.label, []).append(tables.number(p.mean))
    quoted = "; ".join(f"{label} {', '.join(x)}" for label, x in theirs.items())
    return (
        f"{tables.terminal_table(runs)}\n\n"
        f"On FLICKR-AES with 10, 100 ratings ({published.NOTE}): {quoted}\n\n"
        f"Report: {report}"
    )
