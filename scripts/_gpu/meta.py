"""Meta-iterations of BLG-PIAA: the slides' listing, lines 4 to 11, on both sides.

The work, its check and PyTorch's arithmetic are those of `bench_meta`. bfloat16 is
jiaa's `dtype`, and autocast in PyTorch: parameters, moments and losses stay float32.
"""

import contextlib
import functools
from typing import Any

from scripts import bench_meta
from scripts._gpu.bench import Bench, Figure
from scripts._gpu.lines import Line, Lines

# Of the mean loss over all steps, which rounding moves little. It moves the update
# much where weights are random: that gap is told, and judged on a CPU by `bench_meta`.
AGREE = {"float32": 0.01, "bfloat16": 0.05}


def figures(lines: Lines, job: Line, ends: float) -> None:
    """The parts "meta" and "meta_more"."""
    bench = Bench(lines, job, ends)
    compete(bench, bench.size.case, bench.size.contestants)


def epochs(lines: Lines, job: Line, ends: float) -> None:
    """The part "epochs": a slice, and what a whole training would take."""
    bench = Bench(lines, job, ends)
    size, case = bench.size, bench.size.case
    for figure in compete(bench, case, size.contestants):
        bench.extrapolate(
            figure,
            size.users * size.epochs,
            measured=f"one iteration of {case.users} users, {case.support} + "
            f"{case.query} images of {case.size} px, {case.steps} + {case.steps} "
            "steps; no input pipeline, checkpoints or evaluation",
            stands_for=f"{size.epochs} epochs x {size.users} users",
        )


def compete(
    bench: Bench,
    case: bench_meta.Case,
    contestants: tuple[tuple[str, str, str], ...],
) -> list[Figure]:
    """The figures of (precision, side, contestant) on one case, in users a second."""
    problems = functools.cache(lambda precision: prepare(case, bench, precision))
    steps = case.users * case.steps * (case.support + case.query)
    found, results = [], {}
    for precision, side, name in contestants:
        maker = make_jiaa if side == "jiaa" else make_torch
        figure = bench.measure(
            side,
            name,
            lambda maker=maker, precision=precision, name=name: maker(
                problems(precision), name, precision, bench.device
            ),
            group=f"meta-iteration, {case.size} px, {precision}",
            work=case.users,
            unit="users/s",
            floor=floor(case.backbone, case.size, steps, precision),
            check=lambda result, side=side, precision=precision: compared(
                problems, results, result, side=side, precision=precision
            ),
            precision=precision,
            case=case._asdict(),
            image_steps=steps,
        )
        if figure is not None:
            found.append(figure)
    return found


def prepare(case: bench_meta.Case, bench: Bench, precision: str) -> tuple[Any, Any]:
    """(both sides' networks, the users' episodes)."""
    options = {"dtype": precision, "with_torch": "torch" in bench.sides}
    problem = bench_meta.make_problem(case, bench.device, **options)
    _, episodes = bench_meta.make_jiaa(problem, strategy="map")
    return problem, episodes


def make_jiaa(prepared: Any, name: str, precision: str, device: str) -> Any:
    """A meta-iteration of jiaa's: "map", or "vmap N": N users at once."""
    problem, _ = prepared
    chunk = int(name.split()[1]) if " " in name else 1
    run, _ = bench_meta.make_jiaa(problem, strategy="map", chunk=chunk)
    return run


def make_torch(prepared: Any, name: str, precision: str, device: str) -> Any:
    """A meta-iteration in one of PyTorch's modes."""
    problem, episodes = prepared
    if name == "compile":
        import torch

        # A program for each of the two sizes of batch, not one slower for any size.
        torch._dynamo.config.automatic_dynamic_shapes = False
    run = bench_meta.make_torch(problem, episodes, mode=name, device=device)

    def rounded():
        with autocast(precision, device):
            return run()

    return rounded


def autocast(precision: str, device: str) -> Any:
    """PyTorch's mixed precision.

    Weights are rounded at each use: kept from step to step, they would be the old ones.
    """
    import torch

    if precision == "float32":
        return contextlib.nullcontext()
    return torch.autocast(device, getattr(torch, precision), cache_enabled=False)


def compared(problems, results, result, *, side, precision) -> Line:
    """How far update and loss are from the first of PyTorch's, if there is one."""
    if side == "torch":
        results.setdefault(precision, result)
        return {"loss": float(result[1])}
    loss = float(result[1]["loss"])
    if precision not in results:
        return {"loss": loss}
    problem, _ = problems(precision)
    expected = float(results[precision][1])
    return {
        "loss": loss,
        "gap": bench_meta.gap_of(problem, result, results[precision]),
        "loss_gap": abs(loss / expected - 1),
        "agrees": abs(loss / expected - 1) <= AGREE[precision],
    }


def floor(
    backbone: str, size: int, image_steps: int, precision: str
) -> tuple[float, float, str] | None:
    """Operations and bytes of so many images, a step each: docs/speed_gpu.md's count.

    Forward and two gradients; each convolution's output is read or written about 15
    times. Only ResNet18 was counted.
    """
    if backbone != "resnet18":
        return None
    products, numbers = resnet18(size)
    bytes_each = 4 if precision == "float32" else 2
    moved = 15 * bytes_each * numbers
    return image_steps * 3 * 2 * products, image_steps * moved, precision


def resnet18(size: int) -> tuple[int, int]:
    """Multiply-adds of an image, and the numbers that its convolutions write."""
    side = -(-size // 2)
    products, numbers = side**2 * 64 * 3 * 49, side**2 * 64
    side, inputs = -(-side // 2), 64
    for stage in range(4):
        outputs, before = 64 * 2**stage, side
        side = -(-before // 2) if stage else side
        for block in range(2):
            maps = side**2 * outputs
            products += maps * 9 * (inputs + outputs)
            numbers += 2 * maps
            if stage and not block:
                products += maps * inputs
                numbers += maps
            inputs = outputs
    return products, numbers
