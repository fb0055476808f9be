"""What a compiled program says to other devices, read from its HLO text."""

import re

COLLECTIVE = re.compile(
    r" (all-gather|all-reduce|all-to-all|collective-permute|reduce-scatter)"
    r"(?:-start)?\("
)
COMPUTATION = re.compile(r"^(?:ENTRY )?%?([\w.\-]+) [^\n]*\{\n(.*?)^\}", re.M | re.S)
CALLED = re.compile(
    r"(?:body|condition|to_apply|calls|branch_computations)=\{?%?([\w.\-]+)"
)
LOOP = re.compile(r"(?:body|condition)=%?([\w.\-]+)")


def collectives(text: str) -> list[str]:
    """The kind of every collective in the program."""
    return COLLECTIVE.findall(text)


def collectives_in_loops(text: str) -> list[str]:
    """Those that a loop runs, at whatever depth."""
    bodies = dict(COMPUTATION.findall(text))
    assert bodies, "no computation found: the format of HLO text has changed"
    reached, waiting = set(), set(LOOP.findall(text))
    while waiting:
        name = waiting.pop()
        reached.add(name)
        waiting |= set(CALLED.findall(bodies[name])) - reached
    return [kind for name in reached for kind in collectives(bodies[name])]
