"""Evaluating every user, many splits each, jiaa's one call beside PyTorch.

    python scripts/bench_evaluate.py --case frozen --threads 4
    python scripts/bench_evaluate.py --case whole --users 4 --repeats 2
    python scripts/bench_evaluate.py --case whole_224 --device gpu

Each user's ratings are split `repeats` times into 10 or 100 ratings to learn from and
the rest; the head ("frozen": on features of a trunk, computed once) or the whole
network takes 20 Adam steps; Spearman's coefficient of the rest is what counts. jiaa is
`evaluate.personalization` as users call it. PyTorch is `_torch_reference`: "sequential"
takes one user and split after another, as the released program does; "vmap" takes all
users of a split at once. Their coefficients are compared before anything is timed.
"images" (for frozen trunks, if asked for) runs the trunk in every step, as the released
program does, on decoded images: one user and split, by its time an adaptation
("each_s"), without a comparison of coefficients.
"""

import argparse
import sys
from pathlib import Path
from typing import Any, NamedTuple

# `scripts` is imported from the repository's root.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from scripts import _benchmark

RATINGS = 138  # of every user, the mean of FLICKR-AES' test users


class Case(NamedTuple):
    """One row's work; `size` 0: features of a frozen trunk; `hidden` 0: linear head.

    `width` 0 is for a network that has only one.
    """

    size: int
    width: int
    users: int
    splits: int
    hidden: int = 512
    steps: int = 20
    backbone: str = "resnet18"
    ratings: int = RATINGS


CASES = {
    "frozen": Case(size=0, width=64, users=37, splits=50),
    "frozen_linear": Case(size=0, width=64, users=37, splits=50, hidden=0),
    "whole": Case(size=64, width=8, users=37, splits=50),
    "whole_224": Case(size=224, width=64, users=37, splits=50),
}
SHOTS = (10, 100)
OWN = ("users", "splits", "steps")  # flags for a case's fields
MODES = ("sequential", "vmap", "images")
RATE = 1e-4
EPS = 1e-3  # as in bench_meta.py
TOLERANCE = 2e-3  # of the mean absolute difference of coefficients


class Problem(NamedTuple):
    """A case's ratings, and the networks of both sides."""

    case: Case
    content: Any
    scores: Any
    reference: Any
    model: Any
    variables: Any


def make_problem(
    case: Case, device: str, *, dtype: str | None = None, with_torch: bool = True
) -> Problem:
    """Random images or features; scores that depend on them; PyTorch's weights.

    `dtype` is what jiaa's network computes in, float32 by default. Without PyTorch
    there is no reference, and the random weights are jiaa's.
    """
    import jax
    import jax.numpy as jnp
    import numpy as np

    from jiaa.models.generic import create_model, initialise

    rng = np.random.default_rng(0)
    count = case.users * case.ratings
    model = create_model(
        backbone=case.backbone,
        head="pooled",
        backbone_options={"num_classes": 1, **width_of(case)},
        head_options={"hidden": (case.hidden,) if case.hidden else ()},
        dtype=dtype,
    )
    if case.size:
        shape = (count, case.size, case.size, 3)
        content = rng.integers(0, 256, shape, np.uint8)
        taste = content[..., 0].mean((1, 2))
    else:
        content = rng.normal(size=(count, 8 * case.width)).astype(np.float32)
        taste = content[:, :8].mean(-1)
    noisy = (taste - taste.mean()) / taste.std() + rng.normal(size=count)
    scores = 1 / (1 + np.exp(-noisy.reshape(case.users, case.ratings)))
    scores = scores.astype(np.float32)
    if not with_torch:
        zeros = jnp.zeros((1, case.size or 32, case.size or 32, 3))
        variables = initialise(model, zeros, key=jax.random.key(0))
        return Problem(case, content, scores, None, model, variables)
    reference, variables = make_reference(case, content, model, device)
    return Problem(case, content, scores, reference, model, variables)


def width_of(case: Case) -> dict[str, int]:
    """The option of both sides' network, where it has one."""
    return {"width": case.width} if case.width else {}


def make_reference(
    case: Case, content: Any, model: Any, device: str
) -> tuple[Any, Any]:
    """(PyTorch's network on the device, its random weights in jiaa's names)."""
    import torch

    from jiaa.models.pretrained import SPECS
    from scripts import _torch_networks, _torch_reference

    torch.manual_seed(0)
    reference = _torch_networks.Aesthetic(
        case.backbone, hidden=case.hidden, **width_of(case)
    )
    if case.size:
        inputs = _torch_reference.inputs_of(content[:64], "cpu")
        spec = SPECS[case.backbone]
        _torch_reference.settle(reference, _torch_reference.normalised(inputs, spec))
    variables = _torch_reference.to_variables(reference.state_dict(), model)
    return _torch_reference.place(reference, device).eval(), variables


def method_of(problem: Problem) -> Any:
    """The personalizer of a case in jiaa."""
    from jiaa.meta.inner import InnerLoop, InnerOptimizer
    from jiaa.models.pretrained import SPECS
    from jiaa.models.views import FeatureView, ImageView
    from jiaa.personalize.finetune import Finetune

    case = problem.case
    spec = SPECS[case.backbone]
    view = ImageView(spec.mean, spec.std, size=None, augment=False)
    loop = InnerLoop(
        problem.model,
        view=view if case.size else FeatureView(),
        method="__call__" if case.size else "score",
        optimizer=InnerOptimizer("adam", ((".*", RATE),), eps=EPS),
        adapts="all" if case.size else "head",
    )
    return Finetune(loop, case.steps)


def splits_of(tasks: Any, count: int, *, key: Any, shots=SHOTS) -> dict[int, list]:
    """Number of ratings -> the rows of both sides [user, split, rating], as jiaa's."""
    import jax
    import jax.numpy as jnp
    import numpy as np

    from jiaa.data import tasks as data_tasks

    def rows_of(task, split, shots):
        key_of = data_tasks.episode_key(key, repeat=split, user_id=task.user_id)
        key_of = jax.random.fold_in(key_of, 0)
        episode = data_tasks.sample_episode(task, shots=shots, key=key_of)
        query = episode.query.image_ids[: tasks.mask.shape[1] - shots]
        return episode.support.image_ids, query

    splits = {}
    for number in shots:
        of_task = jax.vmap(lambda t, s, n=number: rows_of(t, s, n), in_axes=(None, 0))
        of_users = jax.jit(jax.vmap(of_task, in_axes=(0, None)))
        drawn = of_users(tasks, jnp.arange(count))
        splits[number] = [np.array(rows) for rows in drawn]
    return splits


def make_jiaa(problem: Problem, *, strategy: str, devices: int = 1, shots=SHOTS):
    """(the call, its coefficients [shots, user, split]; the splits that it uses)."""
    import jax
    import jax.numpy as jnp

    from jiaa import metrics
    from jiaa.evaluate.personalization import personalization
    from jiaa.train.mesh import user_mesh
    from jiaa.types import ImageStore

    method, key = method_of(problem), jax.random.key(0)
    tasks = _benchmark.tasks_of(problem.scores)
    kind = "images" if problem.case.size else "features"
    store = ImageStore(**{kind: jnp.asarray(problem.content)})
    prior = jax.tree.map(jnp.asarray, problem.variables)
    mesh = user_mesh(jax.devices()[:devices]) if devices > 1 else None

    def run():
        return personalization(
            method,
            prior,
            tasks,
            store,
            shots=shots,
            repeats=problem.case.splits,
            metrics={"srocc": metrics.spearman},
            strategy=strategy,  # pyright: ignore[reportArgumentType]
            mesh=mesh,
            progress=False,
            key=key,
        ).values["srocc"]

    return run, splits_of(tasks, problem.case.splits, key=key, shots=shots)


def make_predict(problem: Problem, *, mode: str, device: str):
    """PyTorch's (rows to learn from [user, rating], others) -> unit scores."""
    import torch

    from jiaa.models.pretrained import SPECS
    from scripts import _torch_reference as reference

    case, spec, model = problem.case, SPECS[problem.case.backbone], problem.reference
    scores = torch.from_numpy(problem.scores.reshape(-1)).to(device)
    placed = reference.inputs_of if case.size else reference.features_of
    content = placed(problem.content, device)
    part, adam = "whole" if case.size else "head", reference.Adam(RATE, eps=EPS)

    def inputs(rows):
        if not case.size:
            return content[rows]
        found = reference.normalised(content[rows], spec)
        one_user = rows.ndim == 1
        layout = torch.channels_last if one_user else torch.contiguous_format
        return found.contiguous(memory_format=layout)

    def one_by_one(support, query):
        found = []
        for rows, others in zip(support, query, strict=True):
            batches = [(inputs(rows), scores[rows])] * case.steps
            learner, _ = reference.descend(model, batches, adam=adam, part=part)
            with torch.no_grad():
                run = learner if case.size else learner.head
                found.append(run(inputs(others)))
        return torch.stack(found)

    def together(support, query):
        batches = [(inputs(support), scores[support])] * case.steps
        params, buffers, _ = reference.descend_together(
            model, batches, users=len(support), adam=adam, part=part
        )
        with torch.no_grad():
            return reference.predict_together(
                model, params, buffers, inputs(query), part=part
            )

    return one_by_one if mode == "sequential" else together


def make_torch(problem: Problem, splits, *, mode: str, device: str):
    """The same coefficients in PyTorch."""
    import numpy as np
    import torch
    from scipy.stats import spearmanr

    case, scores = problem.case, problem.scores.reshape(-1)
    predict = make_predict(problem, mode=mode, device=device)

    def run():
        values = np.zeros((len(SHOTS), case.users, case.splits))
        for i, sides in enumerate(splits.values()):
            for split in range(case.splits):
                support, query = (side[:, split] for side in sides)
                rows = (torch.from_numpy(side).to(device) for side in (support, query))
                predicted, target = predict(*rows).cpu().numpy(), scores[query]
                for user in range(case.users):
                    values[i, user, split] = spearmanr(predicted[user], target[user])[0]
        return values

    return run


def trunk_in_each_step(problem: Problem, *, shots: int, device: str):
    """One adaptation that runs the frozen trunk in every step, on 224 px in memory."""
    import torch

    from jiaa.models.pretrained import SPECS
    from scripts import _torch_reference as reference

    case, spec = problem.case, SPECS[problem.case.backbone]
    images = torch.randint(0, 256, (shots, 3, 224, 224), dtype=torch.uint8)
    images = images.to(device).contiguous(memory_format=torch.channels_last)
    target = torch.from_numpy(problem.scores.reshape(-1)[:shots]).to(device)

    def batches():
        for _ in range(case.steps):
            with torch.no_grad():
                inputs = reference.normalised(images, spec)
                features = problem.reference.backbone(inputs)
            yield features, target

    def run():
        adam = reference.Adam(RATE, eps=EPS)
        reference.descend(problem.reference, batches(), adam=adam, part="head")
        if device == "cuda":
            torch.cuda.synchronize()

    return run


def measure(name: str, flags: argparse.Namespace) -> list[_benchmark.Row]:
    """The case's rows."""
    import jax
    import numpy as np

    device = "cuda" if flags.device == "gpu" else "cpu"
    case = CASES[name]._replace(**_benchmark.chosen(flags, *OWN))
    problem = make_problem(case, device)
    contestants, gaps = {}, {}
    for strategy in flags.strategy:
        for devices in sorted({1, jax.device_count()}):
            suffix = f", {devices} devices" if devices > 1 else ""
            run, splits = make_jiaa(problem, strategy=strategy, devices=devices)
            contestants[f"jiaa {strategy}{suffix}"] = run
    # First calls compile; the first result is what the others are compared with.
    expected, *others = (run() for run in contestants.values())
    for other in others:
        np.testing.assert_allclose(other, expected, atol=TOLERANCE)
    for mode in (m for m in flags.modes if m != "images"):
        contestants[f"torch {mode}"] = run = make_torch(
            problem, splits, mode=mode, device=device
        )
        gap = float(np.abs(run() - expected).mean())
        if not gap <= TOLERANCE:
            raise AssertionError(
                f"torch {mode} and jiaa disagree: coefficients differ by {gap:.3g} on "
                f"average, expected at most {TOLERANCE}; nothing was timed"
            )
        gaps[f"torch {mode}"] = gap
    times = _benchmark.interleaved(contestants, repeats=flags.repeats)
    work = {"case": name, **case._asdict(), "repeats": flags.repeats}
    rows = _benchmark.compare(times, clock=flags.clock)
    count = case.users * case.splits * len(SHOTS)
    rows = [
        {**row, "gap": gaps.get(row["contestant"]), "each_s": row["wall_s"] / count}
        for row in rows
    ]
    if "images" in flags.modes:
        fastest = min(r["each_s"] for r in rows if "torch" in r["contestant"])
        rows.append(trunk_row(problem, flags, fastest=fastest))
    return [{**work, **row} for row in rows]


def trunk_row(problem: Problem, flags, *, fastest: float) -> _benchmark.Row:
    """The released program's way, an adaptation at each number of ratings."""
    device = "cuda" if flags.device == "gpu" else "cpu"
    runs = {
        str(shots): trunk_in_each_step(problem, shots=shots, device=device)
        for shots in SHOTS
    }
    runs[str(SHOTS[0])]()
    times = _benchmark.interleaved(runs, repeats=flags.repeats)
    wall = sum(t.median("wall") for t in times.values())
    return {
        "contestant": "torch images, 1 user, 1 split",
        "wall_s": wall,
        "cpu_s": sum(t.median("cpu") for t in times.values()),
        "ratio": fastest / (wall / len(SHOTS)),
        "each_s": wall / len(SHOTS),
    }


def parse() -> argparse.Namespace:
    """The command line."""
    parser = _benchmark.flags_of(
        __doc__, cases=list(CASES), modes=MODES, default_modes=list(MODES[:2]), own=OWN
    )
    flags = parser.parse_args()
    if flags.device == "cpu" and "whole_224" in flags.case:
        parser.error("whole_224 needs --device gpu: weeks on a CPU")
    if "images" in flags.modes and any(CASES[name].size for name in flags.case):
        parser.error("the mode 'images' is for cases of a frozen trunk")
    if flags.modes == ["images"]:
        parser.error("the mode 'images' is compared with another; name one more")
    return flags


def main() -> None:
    """Prints the conditions, one table and a line of JSON a row."""
    flags = parse()
    _benchmark.begin(flags.threads, device=flags.device)
    _benchmark.report([row for name in flags.case for row in measure(name, flags)])


if __name__ == "__main__":
    main()
