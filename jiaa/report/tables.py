"""Tables of runs in markdown, beside the published numbers, and for the terminal."""

from collections.abc import Mapping, Sequence
from typing import Any

from jiaa.report import published
from jiaa.report.runs import Run, dataset_label

TITLES = {
    "srocc": "SROCC",
    "plcc": "PLCC",
    "rmse": "RMSE (unit scores)",
    "acc": "ACC (%)",
    "emd": "EMD",
}
DASH = "-"


def title(metric: str) -> str:
    """A metric's name in a heading."""
    return TITLES.get(metric, metric)


def number(value: float | None, std: float | None = None) -> str:
    """`0.561 ± 0.005`; a dash where there is no number."""
    if value is None:
        return DASH
    return f"{value:.3f}" if std is None else f"{value:.3f} ± {std:.3f}"


def markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in markdown, first column to the left, the others to the right."""
    rule = [":--", *["--:"] * (len(header) - 1)]
    lines = []
    for row in (header, rule, *rows):
        cells = (cell.replace("|", "\\|") for cell in row)
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def run_labels(runs: Sequence[Run]) -> list[str]:
    """Methods' names, with the workdir's where a method occurs twice on a dataset."""
    keys = [(run.method, run.dataset) for run in runs]
    return [
        f"{run.label} ({run.workdir.name})" if keys.count(key) > 1 else run.label
        for run, key in zip(runs, keys, strict=True)
    ]


def all_shots(runs: Sequence[Run]) -> list[int]:
    """Every number of ratings that some run was measured with, ascending."""
    return sorted({shots for run in runs for shots in run.shots})


def results_table(runs: Sequence[Run], *, metric: str) -> str:
    """`results_rows` in markdown."""
    header, *rows = results_rows(runs, metric=metric)
    return markdown(header, rows)


def results_rows(runs: Sequence[Run], *, metric: str) -> list[list[str]]:
    """Method x shots of runs on one dataset: mean, spread, generic, users, skipped.

    The first row is the header.
    """
    _one_dataset(runs)
    header = ["method", "ratings", title(metric), "generic", "change", "users"]
    header += ["repeats", "skipped"]
    rows = []
    for run, label in zip(runs, run_labels(runs), strict=True):
        for shots in run.shots:
            row = run.row(metric, shots)
            if row is not None:
                rows.append([label, *_cells(row)])
    return [header, *rows]


def _cells(row: Mapping[str, Any]) -> list[str]:
    """Ratings, mean ± std, generic, change, users, repeats and skipped of a row."""
    mean, generic = row["mean"], row["generic"]
    change = DASH if mean is None or generic is None else f"{mean - generic:+.3f}"
    counts = [str(row[name]) for name in ("users", "repeats", "skipped")]
    measured = number(mean, row["std"])
    return [str(row["shots"]), measured, number(generic), change, *counts]


def beside_published(runs: Sequence[Run]) -> str:
    """SROCC of runs on one dataset beside Table I of the slides, on FLICKR-AES.

    Ours and theirs stand in columns of their own, whose headings name the dataset.
    """
    dataset = _one_dataset(runs)
    theirs = {(p.label, p.shots): p for p in published.flickr_aes()}
    shots = all_shots(runs)
    header = ["method", *(f"{dataset_label(dataset)}, {n} ratings" for n in shots)]
    header += [f"FLICKR-AES, {n} ratings ({published.NOTE})" for n in (10, 100)]

    def quote(label: str) -> list[str]:
        found = (theirs.get((label, n)) for n in (10, 100))
        return [number(p.mean, p.std) if p else DASH for p in found]

    rows = []
    for run, label in zip(runs, run_labels(runs), strict=True):
        ours = [_measured(run, "srocc", n) for n in shots]
        rows.append([label, *ours, *quote(run.label)])
    known = {run.label for run in runs}
    for label in dict.fromkeys(label for label, _ in theirs):
        if label not in known:
            rows.append([label, *[DASH] * len(shots), *quote(label)])
    return markdown(header, rows)


def backbone_table(runs: Mapping[tuple[str, str], Run]) -> str:
    """The slides' Table II: (backbone, method) -> run, beside the published numbers."""
    dataset = _one_dataset(list(runs.values()))
    shots = all_shots(list(runs.values()))
    theirs = {(p.backbone, p.method, p.shots): p for p in published.backbones()}
    header = ["backbone", "method"]
    header += [f"{dataset_label(dataset)}, {n} ratings" for n in shots]
    header += [f"FLICKR-AES, {n} ratings ({published.NOTE})" for n in (10, 100)]
    keys = dict.fromkeys((*((p[0], p[1]) for p in theirs), *runs))
    rows = []
    for backbone, method in keys:
        run = runs.get((str(backbone), method))
        quoted = [theirs.get((backbone, method, n)) for n in (10, 100)]
        rows.append(
            [
                published.BACKBONE_LABELS.get(str(backbone), str(backbone)),
                published.LABELS.get(method, method),
                *(_measured(run, "srocc", n) if run else DASH for n in shots),
                *(number(p.mean, p.std) if p else DASH for p in quoted),
            ]
        )
    return markdown(header, rows)


def generic_table() -> str:
    """The published numbers of generic models on AVA and AADB."""
    numbers = published.generic()
    metrics = list(dict.fromkeys(p.metric for p in numbers))
    rows: dict[tuple, dict[str, str]] = {}
    for p in numbers:
        row = rows.setdefault((p.dataset, p.label, p.backbone, p.source), {})
        row[p.metric] = f"{p.mean:.1f}" if p.metric == "acc" else number(p.mean)
    header = [f"dataset ({published.NOTE})", "method", "backbone", "source"]
    return markdown(
        [*header, *map(title, metrics)],
        [
            [*map(str, key), *(row.get(metric, DASH) for metric in metrics)]
            for key, row in rows.items()
        ],
    )


def terminal_table(runs: Sequence[Run], *, metric: str = "srocc") -> str:
    """Aligned columns, one block a dataset, for the end of the quickstart."""
    blocks = []
    for dataset in dict.fromkeys(run.dataset for run in runs):
        here = [run for run in runs if run.dataset == dataset]
        header = ["method", "ratings", title(metric), "generic", "change", "users"]
        rows = [
            [label, *_cells(row)[:5]]
            for run, label in zip(here, run_labels(here), strict=True)
            for row in (run.row(metric, shots) for shots in run.shots)
            if row is not None
        ]
        skipped = sum(
            row["skipped"]
            for run in here
            for row in run.results
            if row["metric"] == metric
        )
        heading = f"{title(metric)} on {dataset_label(dataset)}, ± std over repeats"
        blocks.append("\n".join([heading, *_aligned([header, *rows])]))
        if skipped:
            blocks[-1] += f"\n{skipped} user-repeats had no {title(metric)}: left out"
    return "\n\n".join(blocks)


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows as lines, first column to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.rjust(width) if index else cell.ljust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def _measured(run: Run, metric: str, shots: int) -> str:
    row = run.row(metric, shots)
    return number(row["mean"], row["std"]) if row else DASH


def _one_dataset(runs: Sequence[Run]) -> str:
    """The dataset of `runs`: numbers of two datasets never share a column."""
    names = sorted({run.dataset for run in runs})
    if len(names) != 1:
        raise ValueError(
            f"a table holds runs of one dataset, got {names}; make one table for each."
        )
    return names[0]
