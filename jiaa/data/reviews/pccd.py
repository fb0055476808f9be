"""Photo critiques with their critics' scores (PCCD): real text to check ratings on."""

import dataclasses
import hashlib
import json
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Shaped

from jiaa.data.images import AnyPath
from jiaa.data.table import DataError, Findings, read_lines

CRITIQUES = "critiques.jsonl"


@dataclasses.dataclass(frozen=True, eq=False)
class Critiques:
    """A row a critique: all comments as one text, and the overall score, 1 to 10.

    `chosen_on` marks those of the half of the critics on which words, strengths and
    steps were chosen; the others are for the test.
    """

    text: tuple[str, ...]
    critic: Shaped[np.ndarray, " critique"]
    overall: Float[np.ndarray, " critique"]
    chosen_on: Bool[np.ndarray, " critique"]


def read_critiques(root: AnyPath) -> Critiques:
    """`root`/critiques.jsonl: {"critic", "overall", "comments": {aspect: text}}.

    Raises:
      DataError: lists every line that is no such object.
    """
    path = Path(root) / CRITIQUES
    findings = Findings(path)
    rows: list[tuple[str, str, float]] = []
    for number, line in read_lines(path):
        try:
            value = json.loads(line)
            comments = [text for text in value["comments"].values() if text]
            rows.append(
                ("\n".join(comments), str(value["critic"]), float(value["overall"]))
            )
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            findings.add(number, f"{error!r}; expected critic, overall and comments")
    findings.raise_if_any()
    if not rows:
        raise DataError(f"{path}: no critiques; expected one JSON object a line")
    text, critic, overall = zip(*rows, strict=True)
    return Critiques(
        text=text,
        critic=np.asarray(critic),
        overall=np.asarray(overall),
        chosen_on=np.asarray([_in_first_half(name) for name in critic]),
    )


def _in_first_half(critic: str) -> bool:
    return hashlib.blake2b(critic.encode()).digest()[0] % 2 == 0
