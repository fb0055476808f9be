"""Evaluating many users on many splits: heads on features, and a slice of the whole.

jiaa's side is `evaluate.personalization` as users call it, the un-adapted prior's
coefficients included. PyTorch's is `bench_evaluate`'s, with Spearman's coefficient on
the device; "sequential" takes one user and split after another, as the released program
does, "vmap" all users of a split at once.
"""

import functools
from typing import Any

from scripts import bench_evaluate
from scripts._gpu import meta
from scripts._gpu.bench import Bench
from scripts._gpu.lines import Line, Lines

SOME = 2  # splits that "sequential" runs on features: one more is like another
AGREE = 0.02  # of the mean difference of coefficients, in float32


def figures(lines: Lines, job: Line, ends: float) -> None:
    """The part "evaluation"."""
    bench = Bench(lines, job, ends)
    size = bench.size
    _compete(bench, size.frozen, "float32", modes=("vmap", "sequential"))
    found = _compete(bench, size.whole, "bfloat16", modes=("sequential",))
    case = size.whole
    for figure in found:
        bench.extrapolate(
            figure,
            size.users * size.splits,
            measured=f"{case.users} users, {case.splits} splits, {size.shots} "
            f"ratings, {case.steps} steps, {case.size} px",
            stands_for=f"{size.users} users x {size.splits} splits",
        )


def _compete(
    bench: Bench, case: bench_evaluate.Case, precision: str, *, modes: tuple[str, ...]
) -> list[Any]:
    """The figures of jiaa and PyTorch on one case, in adaptations a second."""
    prepared = functools.cache(lambda: _prepare(bench, case, precision))
    what = f"whole network, {case.size} px" if case.size else "head on features"
    image_steps = case.users * case.splits * case.steps * bench.size.shots
    expected: list[Any] = []
    found = []
    contestants = [("jiaa", "one call"), *(("torch", mode) for mode in modes)]
    for side, name in contestants:
        slower = name == "sequential" and not case.size
        splits = min(SOME, case.splits) if slower else case.splits
        least = meta.floor(case.backbone, case.size, image_steps, precision)
        figure = bench.measure(
            side,
            name,
            lambda side=side, name=name, splits=splits: (
                prepared()[1]
                if side == "jiaa"
                else _torch(prepared(), name, precision, bench, splits)
            ),
            group=f"evaluation, {what}, {precision}",
            work=case.users * splits,
            unit="adaptations/s",
            floor=least if case.size else None,
            check=lambda result, side=side: _compared(
                expected, result, side=side, precision=precision
            ),
            precision=precision,
            case={**case._asdict(), "shots": bench.size.shots, "splits": splits},
        )
        if figure is not None:
            found.append(figure)
        if figure is not None and slower and splits < case.splits:
            bench.extrapolate(
                figure,
                case.users * case.splits,
                measured=f"{splits} of {case.splits} splits of all users",
                stands_for=f"{case.users} users x {case.splits} splits",
            )
    return found


def _prepare(bench: Bench, case: bench_evaluate.Case, precision: str) -> Any:
    """(both sides' networks, jiaa's call, the rows of the splits)."""
    options = {"dtype": precision, "with_torch": "torch" in bench.sides}
    problem = bench_evaluate.make_problem(case, bench.device, **options)
    run, splits = bench_evaluate.make_jiaa(
        problem, strategy="auto", shots=(bench.size.shots,)
    )
    return problem, run, splits[bench.size.shots]


def _torch(prepared: Any, mode: str, precision: str, bench: Bench, splits: int) -> Any:
    """PyTorch's coefficients [1, user, split] of the first `splits` splits."""
    import numpy as np
    import torch

    problem, _, sides = prepared
    predict = bench_evaluate.make_predict(problem, mode=mode, device=bench.device)
    rows = [torch.from_numpy(np.array(side)).to(bench.device) for side in sides]
    scores = torch.from_numpy(problem.scores.reshape(-1)).to(bench.device)

    def run():
        found = []
        for split in range(splits):
            support, query = (side[:, split] for side in rows)
            with meta.autocast(precision, bench.device):
                predicted = predict(support, query)
            found.append(spearman(predicted.float(), scores[query]))
        return torch.stack(found, 1)[None].cpu().numpy()

    return run


def spearman(predicted: Any, target: Any) -> Any:
    """Rank correlation along the last axis, for values without ties."""
    ranks = [x.argsort(-1).argsort(-1).double() for x in (predicted, target)]
    a, b = (x - x.mean(-1, keepdim=True) for x in ranks)
    return (a * b).sum(-1) / (a.square().sum(-1) * b.square().sum(-1)).sqrt()


def _compared(expected: list[Any], result: Any, *, side: str, precision: str) -> Line:
    """How far PyTorch's coefficients are from jiaa's, if there are both.

    In bfloat16 the scores of random weights have ties, and ranks tell little.
    """
    import numpy as np

    if side == "jiaa":
        expected.append(np.asarray(result))
        return {}
    gaps = np.abs(expected[0][..., : result.shape[-1]] - result) if expected else []
    gaps = np.asarray(gaps)[np.isfinite(gaps)]
    if not gaps.size:
        return {"gap": None}
    gap = float(gaps.mean())
    return {"gap": gap, **({"agrees": gap <= AGREE} if precision == "float32" else {})}
