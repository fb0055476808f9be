"""The lines of a run, to be read by a person."""

from collections.abc import Sequence

from scripts._gpu.lines import Line
from scripts._gpu.runner import Part

COLUMNS = ("work", "side", "contestant", "figure", "of roofline", "memory", "note")
BOTH = ("work", "jiaa's fastest", "PyTorch's fastest", "times as fast", "of roofline")


def closing(part: Part, line: Line) -> str:
    """One line about how a part ended."""
    took = f"{line['part_s']:.0f} s, " if "part_s" in line else ""
    count = f"{line['figures']} figures" if "figures" in line else "no figure"
    note = f": {line['note']}" if line["note"] else ""
    return f"{part.name}: {line['status']}, {took}{count}{note}"


def table(lines: Sequence[Line], parts: Sequence[Part]) -> str:
    """Markdown: where it ran, then for each part its figures and what is missing."""
    if not lines:
        return "nothing was measured\n"
    first = lines[0]
    versions = ", ".join(f"{k} {v}" for k, v in first["versions"].items())
    device = next((line["device"] for line in lines if "device" in line), "unknown")
    text = [
        f"# Run {first['run']}, sizes {first['size']}",
        "",
        f"Device {device}; GPU {first['gpu']}, driver {first['driver']}; "
        f"{first['cores']} cores; {versions}",
    ]
    if rows := _both(lines):
        text += ["", *_markdown(BOTH, rows)]
    for part in parts:
        own = [line for line in lines if line["part"] == part.name]
        if own:
            text += ["", f"## {part.title} ({part.name})", "", *_section(part, own)]
    return "\n".join([*text, ""])


def _section(part: Part, lines: list[Line]) -> list[str]:
    rows = [_row(line) for line in lines if line.get("side", "ratio") != "ratio"]
    said = [closing(part, line) for line in lines if "side" not in line]
    if not rows:
        return said
    return [*_markdown(COLUMNS, rows), "", *said]


def _markdown(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    head = [f"| {' | '.join(columns)} |", f"|{'---|' * len(columns)}"]
    return [*head, *(f"| {' | '.join(row)} |" for row in rows)]


def _both(lines: Sequence[Line]) -> list[list[str]]:
    """A row for each work that both sides did: the fastest of each."""
    best: dict[tuple[str, str], dict[str, Line]] = {}
    for line in lines:
        if line["status"] != "measured" or line["extrapolated"]:
            continue
        sides = best.setdefault((line["part"], line["group"]), {})
        side = line["side"]
        if side not in sides or line["value"] > sides[side]["value"]:
            sides[side] = line
    rows = []
    for (_, group), sides in best.items():
        if {"jiaa", "torch"} <= set(sides):
            ours, theirs = sides["jiaa"], sides["torch"]
            share = ours.get("roofline_share")
            rows.append(
                [
                    group,
                    *(f"{x['contestant']}, {_figure(x)}" for x in (ours, theirs)),
                    f"{ours['value'] / theirs['value']:.3g}",
                    f"{share:.0%}" if share else "",
                ]
            )
    return rows


def _figure(line: Line) -> str:
    return f"{line['value']:.4g} {line['unit']}"


def _row(line: Line) -> list[str]:
    share = line.get("roofline_share")
    peak = line.get("peak_bytes") or line.get("peak_bytes_so_far")
    measured = line["status"] == "measured"
    return [
        line.get("group", ""),
        line["side"],
        line.get("contestant", ""),
        _figure(line) if measured else line["status"],
        f"{share:.0%}" if share else "",
        f"{peak / 1e9:.3g} GB" if peak else "",
        _note(line),
    ]


def _note(line: Line) -> str:
    if line.get("extrapolated"):
        return f"extrapolated to {line['stands_for']} from {line['measured']}"
    notes = [line.get("note", "")]
    if line.get("agrees") is False:
        gap = line.get("loss_gap", line["gap"])
        notes.append(f"the sides disagree (by {gap:.2g}): do not quote")
    if line.get("chosen"):
        notes.append("jiaa's choice today")
    if "estimate_mb" in line:
        notes.append(f"{line['estimate_mb']:.3g} MB a user; auto: {line['auto']}")
    return "; ".join(note for note in notes if note)
