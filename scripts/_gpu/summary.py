"""The lines of a run, to be read by a person."""

from collections.abc import Sequence

from scripts._gpu.lines import Line
from scripts._gpu.runner import Part

COLUMNS = ("work", "side", "contestant", "figure", "of roofline", "memory", "note")


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
    for part in parts:
        own = [line for line in lines if line["part"] == part.name]
        if own:
            text += ["", f"## {part.title} ({part.name})", "", *_section(part, own)]
    return "\n".join([*text, ""])


def _section(part: Part, lines: list[Line]) -> list[str]:
    rows = [_row(line) for line in lines if "side" in line]
    said = [closing(part, line) for line in lines if "side" not in line]
    if not rows:
        return said
    head = [f"| {' | '.join(COLUMNS)} |", f"|{'---|' * len(COLUMNS)}"]
    return [*head, *(f"| {' | '.join(row)} |" for row in rows), "", *said]


def _row(line: Line) -> list[str]:
    share = line.get("roofline_share")
    peak = line.get("peak_bytes") or line.get("peak_bytes_so_far")
    measured = line["status"] == "measured"
    return [
        line.get("group", ""),
        line["side"],
        line.get("contestant", ""),
        f"{line['value']:.4g} {line['unit']}" if measured else line["status"],
        f"{share:.0%}" if share else "",
        f"{peak / 1e9:.3g} GB" if peak else "",
        _note(line),
    ]


def _note(line: Line) -> str:
    if line.get("extrapolated"):
        return f"extrapolated to {line['stands_for']} from {line['measured']}"
    notes = [line.get("note", "")]
    if line.get("agrees") is False:
        notes.append(f"the sides disagree (gap {line['gap']:.2g}): do not quote")
    if line.get("chosen"):
        notes.append("jiaa's choice today")
    if "estimate_mb" in line:
        notes.append(f"{line['estimate_mb']:.3g} MB a user; auto: {line['auto']}")
    return "; ".join(note for note in notes if note)
