"""The figures of docs/speed_gpu.md on a GPU that is at hand, in eight minutes.

    scripts/bench_gpu                                  everything, most important first
    scripts/bench_gpu --parts device meta --budget-s 240
    scripts/bench_gpu --tiny                           all of it on a CPU, in a minute

Needs jax, flax, optax, numpy and jaxtyping, and for the other side PyTorch; downloads
nothing and installs nothing. Each part runs in a process of its own, which is killed at
the part's limit. Every figure is a line of `figures.jsonl` in the folder `--out` as
soon as it is measured; `summary.md` and `log.txt` lie beside it.

A line's "status" is "measured", or says why there is no figure: "absent" (a side that
cannot run here), "error", "skipped" (no time was left), "killed". A line without a
contestant closes its part. "extrapolated" tells what was measured from what a slice of
it "stands_for". The exit code is 1 if a part was killed or failed, or gave no figure.
"""

import argparse
import os
import sys
import time
from pathlib import Path

from scripts._gpu import summary
from scripts._gpu.bench import SIDES
from scripts._gpu.host import facts
from scripts._gpu.lines import read
from scripts._gpu.parts import NAMES, PARTS
from scripts._gpu.runner import environment, run_parts

BUDGET_S = 480
FIGURES = "figures.jsonl"


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="scripts/bench_gpu",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    default = Path(os.environ.get("OUT") or "runs/bench_gpu")
    add(
        "--out",
        type=Path,
        default=default,
        help="folder; default: $OUT, or %(default)s",
    )
    add("--parts", nargs="+", choices=NAMES, default=list(NAMES))
    add("--sides", nargs="+", choices=SIDES, default=list(SIDES))
    add("--budget-s", type=float, default=BUDGET_S, help="seconds for all parts")
    add("--tiny", action="store_true", help="smallest sizes, one process, on a CPU")
    add("--device", choices=("gpu", "cpu"), help="default: gpu; with --tiny, cpu")
    flags = parser.parse_args(arguments)
    flags.device = flags.device or ("cpu" if flags.tiny else "gpu")
    if flags.device == "cpu" and not flags.tiny:
        parser.error("--device cpu needs --tiny: the full sizes take days on a CPU")
    if flags.budget_s <= 0:
        parser.error(f"--budget-s {flags.budget_s:g}; expected seconds above 0")
    return flags


def main(arguments: list[str] | None = None) -> int:
    """Runs the parts and prints a summary; the exit code."""
    flags = parse(arguments)
    flags.out.mkdir(parents=True, exist_ok=True)
    path = flags.out / FIGURES
    run = f"{time.strftime('%Y-%m-%dT%H:%M:%S')}-{os.getpid()}"
    size = "tiny" if flags.tiny else "full"
    common = {"run": run, "part": "", "size": size, **facts()}
    print(f"{common['gpu'] or 'no GPU that nvidia-smi knows'}; {path}", flush=True)
    closing = run_parts(
        [part for part in PARTS if part.name in flags.parts],
        path=path,
        common=common,
        job={"size": size, "device": flags.device, "sides": flags.sides},
        budget_s=flags.budget_s,
        env=environment(flags.device),
        together=flags.tiny,
    )
    good = True
    for part, line in closing:
        print(summary.closing(part, line), flush=True)
        good &= line["status"] == "skipped" or bool(
            line["status"] == "finished" and line["figures"]
        )
    text = summary.table(read(path, run=run), PARTS)
    path.with_name("summary.md").write_text(text)
    print(f"\n{text}", flush=True)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
