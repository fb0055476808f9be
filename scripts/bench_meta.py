"""One BLG meta-iteration, jiaa beside PyTorch in one run.

    python scripts/bench_meta.py --case resnet18_64 --threads 4
    python scripts/bench_meta.py --case resnet18_224 --repeats 3
    python scripts/bench_meta.py --case resnet18_224 --users 8 --device gpu

A meta-iteration is the slides' listing, lines 4 to 11: each user's Adam steps on the
support and then on the query images, all parameters adapting, BatchNorm by the batch,
then the outer update. Both sides begin with decoded uint8 images on the device and with
the same weights and episodes; jiaa's result is checked against PyTorch's before
anything is timed. jiaa runs on one device, which uses all cores, and with the users
spread over as many CPU devices as there are cores (`train.mesh.user_mesh`). The ratio
is jiaa's speed over the fastest PyTorch's: above 1, jiaa is faster. By default it is of
wall time; `--clock cpu` compares the processor time of one thread, which other programs
on the machine change less.
"""

import argparse
import dataclasses
import math
import sys
from pathlib import Path
from typing import Any, NamedTuple

# `scripts` is imported from the repository's root.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from scripts import _benchmark


class Case(NamedTuple):
    """One row's work: `steps` on each of the two levels."""

    backbone: str
    size: int
    users: int
    support: int
    query: int
    steps: int


# "resnet18_64" takes 2 steps of 32 images a user: 1 on each level.
CASES = {
    "resnet18_64": Case("resnet18", 64, 4, 32, 32, 1),
    "resnet18_224": Case("resnet18", 224, 1, 80, 20, 5),
    "squeezenet_224": Case("squeezenet", 224, 1, 80, 20, 5),
    "alexnet_224": Case("alexnet", 224, 1, 80, 20, 5),
    "inception_v3_299": Case("inception_v3", 299, 1, 80, 20, 5),
}
GPU_CASES = ("inception_v3_299",)
OWN = ("size", "users", "support", "query", "steps")  # flags for a case's fields
MODES = ("eager", "compile", "vmap")  # of `_torch_reference.meta_iteration`
RATE = 1e-4
# As large as the gradients: with the usual 1e-8 Adam's first step is their sign, which
# rounding decides where they are small, and nothing could be compared.
EPS = 1e-3
TOLERANCE = 0.03


@dataclasses.dataclass
class Problem:
    """A case's images and ratings, and the networks of both sides."""

    case: Case
    images: Any
    scores: Any
    reference: Any
    model: Any
    variables: Any


def make_problem(
    case: Case, device: str, *, dtype: str | None = None, with_torch: bool = True
) -> Problem:
    """Random images and scores; PyTorch's random weights, also in jiaa's names.

    `dtype` is what jiaa's network computes in, float32 by default. Without PyTorch
    there is no reference, and the random weights are jiaa's.
    """
    import jax
    import jax.numpy as jnp
    import numpy as np

    from jiaa.models.generic import create_model, initialise

    rng = np.random.default_rng(0)
    rated = case.support + case.query
    shape = (case.users * rated, case.size, case.size, 3)
    model = create_model(
        backbone=case.backbone,
        head="pooled",
        backbone_options={"num_classes": 1},
        dtype=dtype,
    )
    if with_torch:
        reference, variables = make_reference(case.backbone, model, device)
    else:
        zeros = jnp.zeros((1, case.size, case.size, 3))
        reference = None
        variables = initialise(model, zeros, key=jax.random.key(0))
    return Problem(
        case=case,
        images=rng.integers(0, 256, shape, np.uint8),
        scores=rng.uniform(0.2, 1, (case.users, rated)).astype(np.float32),
        reference=reference,
        model=model,
        variables=variables,
    )


def make_reference(backbone: str, model: Any, device: str) -> tuple[Any, Any]:
    """(PyTorch's network on the device, its random weights in jiaa's names)."""
    import torch

    from scripts import _torch_networks, _torch_reference

    torch.manual_seed(0)
    reference = _torch_networks.Aesthetic(backbone)
    variables = _torch_reference.to_variables(reference.state_dict(), model)
    return _torch_reference.place(reference, device), variables


def meta_step_of(
    problem: Problem, *, strategy: str, mesh: Any = None, chunk: int = 1
) -> Any:
    """The meta-iteration of a case in jiaa; `chunk` users at once, where it maps."""
    import optax

    from jiaa.meta import bilevel
    from jiaa.meta.inner import InnerLoop, InnerOptimizer
    from jiaa.models.pretrained import SPECS
    from jiaa.models.views import ImageView

    case = problem.case
    view = ImageView.of(SPECS[case.backbone], size=case.size, augment=False)
    loop = InnerLoop(
        problem.model,
        view=dataclasses.replace(view, size=None),
        optimizer=InnerOptimizer("adam", ((".*", RATE),), eps=EPS),
        batch_norm="reset",
    )
    share = case.support / (case.support + case.query)
    return bilevel.MetaStep(
        bilevel.BLG(loop, case.steps),
        optax.sgd(1 / case.users),
        bilevel.Sampling(case.support, case.query, fraction=share),
        strategy=strategy,  # pyright: ignore[reportArgumentType]
        chunk=chunk,
        mesh=mesh,
    )


def make_jiaa(problem: Problem, *, strategy: str, devices: int = 1, chunk: int = 1):
    """(the iteration, waiting for its result; the users' episodes)."""
    import jax
    import jax.numpy as jnp
    import numpy as np

    from jiaa.data import tasks as data_tasks
    from jiaa.train.mesh import replicate, user_mesh
    from jiaa.types import ImageStore

    mesh = user_mesh(jax.devices()[:devices]) if devices > 1 else None
    meta_step = meta_step_of(problem, strategy=strategy, mesh=mesh, chunk=chunk)
    variables = jax.tree.map(jnp.asarray, problem.variables)
    state = meta_step.init_state(variables, key=jax.random.key(0))
    step, users = jax.jit(meta_step), problem.case.users
    tasks = jax.tree.map(jnp.asarray, _benchmark.tasks_of(problem.scores))
    store = ImageStore(images=jnp.asarray(problem.images))
    state, tasks, store = replicate((state, tasks, store), mesh)
    arguments = (state, jnp.arange(users), tasks, store)

    def run():
        return jax.block_until_ready(step(*arguments))

    episodes = []
    for user in range(users):
        key = data_tasks.episode_key(state.key, repeat=state.step, user_id=user)
        episode = meta_step.sampling(tasks[user], key=jax.random.fold_in(key, 0))
        sides = (episode.support, episode.query)
        assert all(side.mask.all() for side in sides), "padding would cost jiaa alone"
        episodes.append([jax.tree.map(np.array, side) for side in sides])
    return run, episodes


def make_torch(problem: Problem, episodes, *, mode: str, device: str):
    """The same iteration in PyTorch, waiting for its result."""
    import torch

    from jiaa.models.pretrained import SPECS
    from scripts import _torch_reference as reference

    images = reference.inputs_of(problem.images, device)
    given = [
        tuple(
            reference.Side(
                torch.from_numpy(side.image_ids).to(device),
                torch.from_numpy(side.scores).to(device),
            )
            for side in sides
        )
        for sides in episodes
    ]

    def run():
        result = reference.meta_iteration(
            problem.reference,
            images,
            given,
            spec=SPECS[problem.case.backbone],
            steps=problem.case.steps,
            adam=reference.Adam(RATE, eps=EPS),
            mode=mode,
        )
        if device == "cuda":
            torch.cuda.synchronize()
        return result

    return run


def disagreement(problem: Problem, ours, theirs) -> float:
    """`gap_of` both results.

    Raises:
      AssertionError: more than rounding explains, or the losses differ.
    """
    relative = gap_of(problem, ours, theirs)
    losses = float(ours[1]["loss"]), float(theirs[1])
    if relative > TOLERANCE or abs(losses[0] - losses[1]) > 1e-3 * losses[1]:
        raise AssertionError(
            f"jiaa and PyTorch disagree: updates by {relative:.3g} of their norm "
            f"(expected at most {TOLERANCE}), losses {losses}; nothing was timed"
        )
    return relative


def gap_of(problem: Problem, ours, theirs) -> float:
    """Norm of the difference of both updates of theta, over the update's norm."""
    import jax
    import numpy as np

    from scripts import _torch_reference

    state, params = ours[0], theirs[0]
    whole = {**problem.reference.state_dict(), **params}
    expected = _torch_reference.to_variables(whole, problem.model)["params"]
    leaves = (
        jax.tree.leaves(tree)
        for tree in (problem.variables["params"], expected, state.params)
    )
    gap = moved = 0.0
    for start, torch_leaf, leaf in zip(*leaves, strict=True):
        gap += float(np.sum(np.square(np.asarray(leaf) - torch_leaf)))
        moved += float(np.sum(np.square(torch_leaf - start)))
    return (gap / moved) ** 0.5


def measure(case: Case, flags: argparse.Namespace) -> list[_benchmark.Row]:
    """The case's rows: jiaa by each strategy, PyTorch in each mode."""
    import jax

    device = "cuda" if flags.device == "gpu" else "cpu"
    problem = make_problem(case, device)
    contestants, episodes = {}, None
    for strategy in flags.strategy:
        for devices in sorted({1, math.gcd(case.users, jax.device_count())}):
            run, episodes = make_jiaa(problem, strategy=strategy, devices=devices)
            suffix = f", {devices} devices" if devices > 1 else ""
            contestants[f"jiaa {strategy}{suffix}"] = run
    for mode in flags.modes:
        if mode == "vmap" and case.users == 1:
            continue
        run = make_torch(problem, episodes, mode=mode, device=device)
        contestants[f"torch {mode}"] = run
    results, failed = {}, []
    for name, run in list(contestants.items()):
        try:
            results[name] = run()
        except Exception as error:
            if name.startswith("jiaa"):
                raise
            failed.append({"contestant": name, "note": first_line(error)})
            del contestants[name]
    expected = of_pytorch(results, failed)
    gaps = {
        name: disagreement(problem, result, expected)
        for name, result in results.items()
        if name.startswith("jiaa")
    }
    times = _benchmark.interleaved(contestants, repeats=flags.repeats)
    rows = _benchmark.compare(times, clock=flags.clock)
    rows = [{**row, "gap": gaps.get(row["contestant"])} for row in rows]
    return rows + failed


def of_pytorch(results: dict[str, Any], failed: list[_benchmark.Row]) -> Any:
    """The first result of PyTorch's.

    Raises:
      SystemExit: there is none; says why.
    """
    for name, result in results.items():
        if name.startswith("torch"):
            return result
    notes = "; ".join(f"{row['contestant']}: {row['note']}" for row in failed)
    raise SystemExit(
        f"no PyTorch to compare with: {notes or '--modes vmap needs --users 2'}; "
        "expected one mode that works. Add --modes eager"
    )


def first_line(error: Exception) -> str:
    """What a mode that does not work says, for its row."""
    text = str(error).strip().splitlines() or [""]
    return f"{type(error).__name__}: {text[0]}"[:100]


def parse() -> argparse.Namespace:
    """The command line."""
    parser = _benchmark.flags_of(
        __doc__, cases=list(CASES), modes=MODES, default_modes=list(MODES), own=OWN
    )
    flags = parser.parse_args()
    if flags.device == "cpu" and set(flags.case) & set(GPU_CASES):
        parser.error(f"{GPU_CASES} need --device gpu: hours on a CPU")
    if flags.clock == "cpu" and (flags.threads != 1 or flags.device != "cpu"):
        parser.error("--clock cpu compares one thread: add --threads 1")
    return flags


def main() -> None:
    """Prints the conditions, one table and a line of JSON a row."""
    flags = parse()
    _benchmark.begin(flags.threads, device=flags.device)
    rows = []
    for name in flags.case:
        case = CASES[name]._replace(**_benchmark.chosen(flags, *OWN))
        work = {"case": name, **case._asdict(), "repeats": flags.repeats}
        rows += [{**work, **row} for row in measure(case, flags)]
    _benchmark.report(rows)


if __name__ == "__main__":
    main()
