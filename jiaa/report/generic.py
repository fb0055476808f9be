"""Tables of generic models and of predicted traits, from runs' generic.json."""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jiaa.report import published
from jiaa.report.tables import DASH, markdown, number, title

GENERIC_FILE = "generic.json"
METRICS = ("acc", "srocc", "plcc", "rmse", "mse", "emd", "emd1")
TITLES = {"mse": "MSE", "emd": "EMD (r = 2)", "emd1": "EMD (r = 1)"}


def read_generic(workdir: str | os.PathLike[str]) -> dict[str, Any] | None:
    """What a multi-task run measured besides its users; None where there is nothing.

    "label" names method and variant, such as "Kong (reg, rank)"; "workdir" says where,
    "users" whether users were measured too.

    Raises:
      ValueError: the file is damaged.
    """
    path = Path(workdir) / GENERIC_FILE
    if not path.is_file():
        return None
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        label = published.LABELS.get(found["method"], found["method"])
        if found.get("variant"):
            label = f"{label} ({', '.join(found['variant'])})"
        users = (path.parent / "summary.json").is_file()
        return {"label": label, "workdir": str(workdir), "users": users, **found}
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{path}: no record of an evaluation ({error}). Run scripts/evaluate.py on "
            "this workdir again."
        ) from error


def generic_metrics(measured: Sequence[dict[str, Any]]) -> str:
    """PDMTL's Tables 1 and 2, PA_IAA's Table I: a row a run; ACC in per cent."""
    rows = [x for x in measured if "generic" in x]
    shown = [name for name in METRICS if any(name in x["generic"] for x in rows)]
    header = ["method", *(TITLES.get(name, title(name)) for name in shown), "images"]
    return markdown(
        header,
        [
            [
                x["label"],
                *(_cell(name, x["generic"].get(name)) for name in shown),
                str(x["images"]),
            ]
            for x in rows
        ],
    )


def _cell(name: str, value: float | None) -> str:
    if value is None or value != value:
        return DASH
    return f"{100 * value:.1f}" if name == "acc" else number(value)


def trait_table(measured: Sequence[dict[str, Any]]) -> str:
    """PA_IAA's Table II: SROCC of each trait, over held-out users and over images."""
    rows = [x for x in measured if "traits" in x]
    names = list(dict.fromkeys(name for x in rows for name in x["traits"]))
    ours = [
        (x["label"], over, [x["traits"][name][over] for name in names])
        for x in rows
        for over in ("user", "image")
    ]
    theirs = []
    if tuple(names) == published.TRAITS:
        where = f"PsychoFlickr ({published.NOTE})"
        theirs = [(label, where, x) for label, x in published.TRAIT_PREDICTION.items()]
    return markdown(
        ["method", "over", *names, "mean"],
        [
            [label, over, *map(number, each), number(sum(each) / len(each))]
            for label, over, each in [*ours, *theirs]
        ],
    )


def correlation_table(measured: Sequence[dict[str, Any]]) -> str:
    """PA_IAA's Table IV: SROCC of the generic score and each second output."""
    rows = [x for x in measured if "correlations" in x]
    names = list(dict.fromkeys(name for x in rows for name in x["correlations"]))
    ours = [
        [x["label"], *(number(x["correlations"].get(name)) for name in names)]
        for x in rows
    ]
    theirs = []
    if tuple(names) == published.TRAITS:
        theirs = [
            [f"PA_IAA on {dataset} ({published.NOTE})", *map(number, each)]
            for dataset, each in published.TRAIT_CORRELATION.items()
        ]
    return markdown(["method", *names], [*ours, *theirs])


def inter_task_table(measured: Sequence[dict[str, Any]]) -> str:
    """PDMTL's last stage, with its weights (Fig. 4): a row a run."""
    rows = [
        x["inter_task"] | {"label": x["label"]} for x in measured if "inter_task" in x
    ]
    names = list(dict.fromkeys(name for x in rows for name in x["weights"]))
    shown = ("acc", "srocc", "plcc", "rmse")
    return markdown(
        ["method", *map(title, shown), *names],
        [
            [
                x["label"],
                *(_cell(name, x["generic"].get(name)) for name in shown),
                *(number(x["weights"].get(name)) for name in names),
            ]
            for x in rows
        ],
    )


def generic_section(measured: Sequence[dict[str, Any]]) -> list[str]:
    """Paragraphs on what runs of one dataset measured besides their users."""
    parts = []
    for field, heading, table in (
        ("generic", "Generic scores of the test images", generic_metrics),
        ("traits", "Traits of held-out users, SROCC", trait_table),
        ("correlations", "Generic score against the second task", correlation_table),
        ("inter_task", "Fused generic scores, and the weights", inter_task_table),
    ):
        if any(field in x for x in measured):
            parts += [f"### {heading}", table(measured)]
    return parts
