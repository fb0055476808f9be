"""Evaluated runs as one HTML file that needs nothing else: no network, no folder."""

import base64
import html
import io
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib import rc_context
from matplotlib.figure import Figure

from jiaa.data.store import replacing
from jiaa.report import figures, tables
from jiaa.report.compare import paired_tests
from jiaa.report.runs import Run, dataset_label, is_synthetic, read_run
from jiaa.report.write import GENERIC, METHOD_NOTE, SYNTHETIC_NOTE

PAIRED_NOTE = """\
Each row compares two runs on the same users and splits: the mean over users of the \
difference of their means over repeats, its standard error over users, the share of \
users for whom the second run is better, and the two-sided p of Wilcoxon's signed-rank \
test after Holm's correction for all rows."""
STYLE = """
:root { color-scheme: light dark; --line: #d6d6d1; --soft: #5c5c58; --back: #fbfbfa; }
@media (prefers-color-scheme: dark) {
  :root { --line: #3a3a37; --soft: #a8a8a3; --back: #161615; }
  body { color: #ececea; } figure { background: #fff; border-radius: .5rem; }
  figcaption { color: #1d1d1b; }
}
body { margin: 0 auto; max-width: 70rem; padding: 1rem; background: var(--back);
  font: 1rem/1.5 system-ui, "Segoe UI", "DejaVu Sans", sans-serif; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.25rem; margin-top: 2.5rem; }
h3 { font-size: 1.05rem; margin-top: 1.75rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; margin: .75rem 0; }
th, td { padding: .3rem .7rem; border-bottom: 1px solid var(--line); text-align: right;
  font-variant-numeric: tabular-nums; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; }
figure { margin: 1rem 0; padding: .5rem; }
figure img { max-width: 100%; height: auto; }
figcaption, .soft { color: var(--soft); font-size: .9rem; }
details { margin: .5rem 0; } pre { overflow-x: auto; font-size: .85rem; }
strong.synthetic { display: block; padding: .5rem; border: 2px solid currentColor; }
"""


def write_page(
    workdirs: Sequence[str | os.PathLike[str]],
    path: str | os.PathLike[str],
    *,
    pictures: Mapping[str, Figure] | None = None,
    notes: Sequence[str] = (),
) -> Path:
    """Writes the page of evaluated runs, and returns its path.

    Args:
      workdirs: of `scripts/evaluate.py`, one or more; runs on one dataset stand side by
        side, with paired tests over users.
      path: the HTML file; replaced in one go.
      pictures: caption -> figure, such as gradient maps; shown after the runs.
      notes: sentences for the end, such as why there are no pictures.

    Raises:
      FileNotFoundError: a workdir was not evaluated.
      ValueError: no workdirs, or files that are not of the form that DESIGN names.
    """
    if not workdirs:
        raise ValueError("no workdirs to report on; name at least one evaluated run")
    runs = [read_run(workdir) for workdir in workdirs]
    body = ["<h1>Personalized image aesthetics: results</h1>", _paragraph(METHOD_NOTE)]
    for dataset in dict.fromkeys(run.dataset for run in runs):
        body += _dataset([run for run in runs if run.dataset == dataset])
    if pictures:
        body.append("<h2>Where the models look</h2>")
        body += [_figure(figure, caption) for caption, figure in pictures.items()]
    body += [f'<p class="soft">{html.escape(note)}</p>' for note in notes]
    body.append("<h2>Configs and versions</h2>")
    body += [_record(run) for run in runs]
    path = Path(path)
    with replacing(path) as partial:
        partial.write_text(_document(body), encoding="utf-8")
    return path


def _document(body: Sequence[str]) -> str:
    # Without scripts and without anything from elsewhere, and the browser is told so.
    policy = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
    return "\n".join(
        [
            "<!doctype html>",
            '<html lang="en"><head><meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{policy}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>jiaa: results</title><style>{STYLE}</style></head><body>",
            *body,
            "</body></html>\n",
        ]
    )


def _dataset(runs: Sequence[Run]) -> list[str]:
    """The section of one dataset."""
    dataset = runs[0].dataset
    parts = [f"<h2>{html.escape(dataset_label(dataset))}</h2>"]
    if is_synthetic(dataset):
        said = html.escape(SYNTHETIC_NOTE.replace("**", ""))
        parts.append(f'<strong class="synthetic">{said}</strong>')
    found = dict.fromkeys(metric for run in runs for metric in run.metrics)
    # The literature's own measure first.
    metrics = sorted(found, key=lambda metric: metric != "srocc")
    for metric in metrics:
        parts.append(f"<h3>{html.escape(tables.title(metric))}</h3>")
        parts.append(_table(tables.results_rows(runs, metric=metric)))
        shown = figures.score_against_shots(runs, metric=metric)
        parts.append(_figure(shown, f"{tables.title(metric)} against ratings"))
    if "srocc" in metrics:
        parts += _paired(runs)
        parts.append("<h3>Each user, before and after</h3>")
        for label, run in zip(tables.run_labels(runs), runs, strict=True):
            for shots in run.shots:
                if ("srocc", shots) in run.values and (GENERIC, shots) in run.values:
                    bars = figures.per_user_bars(run, shots=shots)
                    parts.append(_figure(bars, f"{label}, {shots} ratings"))
    return parts


def _paired(runs: Sequence[Run]) -> list[str]:
    found = paired_tests(runs)
    if not found:
        return []
    header = ("first", "second", "ratings", "users", "difference", "better for", "p")
    rows = [
        (
            one.first,
            one.second,
            str(one.shots),
            str(one.users),
            f"{one.difference:+.4f} ± {one.error:.4f}",
            f"{one.better:.0%}",
            f"{one.p:.2g}",
        )
        for one in found
    ]
    return [
        "<h3>Paired tests over users</h3>",
        _paragraph(PAIRED_NOTE),
        _table([header, *rows]),
    ]


def _record(run: Run) -> str:
    """What was run and with which versions, folded; nothing where no record is."""
    path = run.workdir / "config.json"
    title = html.escape(f"{run.label} on {run.dataset}: {run.workdir.name}")
    try:
        record: Any = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return f"<p>{title}: no readable config.json</p>"
    text = html.escape(json.dumps(record, indent=2, sort_keys=True))
    return f"<details><summary>{title}</summary><pre>{text}</pre></details>"


def _table(rows: Sequence[Sequence[str]]) -> str:
    """A table whose first row is its header."""
    lines = []
    for row, cell in zip(rows, ["th", *["td"] * (len(rows) - 1)], strict=True):
        cells = "".join(f"<{cell}>{html.escape(x)}</{cell}>" for x in row)
        lines.append(f"<tr>{cells}</tr>")
    return '<div class="wide"><table>' + "".join(lines) + "</table></div>"


def _paragraph(markdown: str) -> str:
    """Plain text, whose *emphasis* is markdown's."""
    pieces = html.escape(markdown).split("*")
    marked = (f"<em>{x}</em>" if i % 2 else x for i, x in enumerate(pieces))
    return f"<p>{''.join(marked)}</p>"


def _figure(figure: Figure, caption: str) -> str:
    said = html.escape(caption)
    return (
        f'<figure><img src="{as_data(figure)}" alt="{said}">'
        f"<figcaption>{said}</figcaption></figure>"
    )


def as_data(figure: Figure) -> str:
    """A figure as a data URL: SVG, or PNG where it holds photographs."""
    photographs = any(axes.images for axes in figure.axes)
    body = io.BytesIO()
    if photographs:
        figure.savefig(body, format="png", dpi=100, metadata={"Software": "jiaa"})
    else:
        # A fixed salt and no date, so that the same numbers give the same bytes.
        with rc_context({"svg.hashsalt": "jiaa"}):
            figure.savefig(body, format="svg", metadata={"Date": None})
    kind = "png" if photographs else "svg+xml"
    return f"data:image/{kind};base64,{base64.b64encode(body.getvalue()).decode()}"
