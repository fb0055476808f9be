"""CFAN's training steps beside PyTorch; BPR beside the library implicit. One run.

    python scripts/bench_cfan.py --threads 1
    python scripts/bench_cfan.py --part bpr

CFAN-3: the same network with the same weights on the same pairs, maps of 10 x 10 x 512
from a frozen trunk, attention from each pair's own review, Adam. The first losses of
both sides are compared before anything is timed. BPR: the same implicit interactions,
of a generated low-rank world; seconds until the AUC of held-out interactions against
others is within 0.005 of the lower of the two sides' best. Compilation is left out of
both parts. Each side's rate and penalty are the best of sixteen pairs on another
generated world, which --part choose tries again.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

# `scripts` is imported from the repository's root.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from scripts import _benchmark, _bpr

USERS, IMAGES, TAGS, WORDS, LENGTH = 500, 300, 10, 2_000, 40
MAP = (10, 10, 512)
RATE = 1e-3
TOLERANCE = 1e-4


def problem(batch: int, seed: int = 0):
    """Random pairs with reviews, and CFAN-3."""
    import jax
    import jax.numpy as jnp
    import numpy as np

    from jiaa.data.interactions import Labels, make_pairs
    from jiaa.models.collaborative import VARIANTS, Collaborative
    from jiaa.train import collaborative as steps
    from jiaa.types import ImageStore

    rng = np.random.default_rng(seed)
    count = 8 * batch
    pairs = make_pairs(
        user=rng.integers(0, USERS, count),
        image=rng.integers(0, IMAGES, count),
        good=rng.random(count) < 0.6,
        users=USERS,
        words=rng.integers(2, WORDS, (count, LENGTH)),
        length=rng.integers(5, LENGTH + 1, count),
    )
    labels = Labels(
        rng.integers(0, TAGS, IMAGES), (rng.random(IMAGES) < 0.5).astype(np.float32)
    )
    maps = rng.normal(size=(IMAGES, MAP[0] * MAP[1] * MAP[2])).astype(np.float32)
    material = steps.make_material(pairs, labels, ImageStore(features=maps))
    material = jax.tree.map(jnp.asarray, material)
    network = Collaborative(
        users=USERS,
        images=IMAGES,
        map_shape=MAP,
        tags=TAGS,
        vocabulary=WORDS,
        **VARIANTS["cfan_3"].options(),
    )
    pair = jnp.zeros(1, int)
    content, own = material.store.take(pair), steps.own_reviews(material.pairs, pair)
    params = network.init(jax.random.key(0), pair, pair, content, own)["params"]
    return material, network, params


def make_jiaa(material, network, params, *, batch: int):
    """(one step, waiting for its loss; which starts anew where it is called first)."""
    import jax
    import numpy as np
    import optax

    from jiaa.train import collaborative as steps
    from jiaa.train.state import create_train_state

    optimizer = optax.adam(RATE)
    objective = steps.Objective(attends_to="own")
    state = create_train_state(
        {"params": params}, optimizer=optimizer, key=jax.random.key(0)
    )
    rows = np.arange(batch)

    def run() -> float:
        nonlocal state
        state, metrics = steps.train_step(
            state,
            rows,
            material,
            network=network,
            objective=objective,
            optimizer=optimizer,
        )
        return float(metrics["loss"])

    return run


def make_torch(material, params, *, batch: int, compiled: bool):
    """The same step in PyTorch."""
    import jax
    import numpy as np
    import torch

    from jiaa.train.collaborative import Objective
    from scripts._torch_collaborative import CFAN, set_weights

    pairs = jax.tree.map(np.asarray, material.pairs)
    network = CFAN(USERS, IMAGES, tags=TAGS, vocabulary=WORDS, map_shape=MAP)
    set_weights(network, jax.tree.map(np.asarray, params))
    forward: Any = torch.compile(network) if compiled else network
    optimizer = torch.optim.Adam(network.parameters(), lr=RATE)
    maps = torch.from_numpy(np.array(material.store.features))
    rows = slice(0, batch)
    user, image, words, length = (
        torch.from_numpy(np.array(x[rows])).long()
        for x in (pairs.user, pairs.image, pairs.words, pairs.length)
    )
    tag = torch.from_numpy(np.array(material.labels.tag)).long()[image]
    good = torch.from_numpy(np.array(pairs.good[rows])).float()
    crowd = torch.from_numpy(np.array(material.labels.crowd_good))[image]
    one_hot = torch.nn.functional.one_hot(tag, TAGS).float()
    cross = torch.nn.functional.binary_cross_entropy_with_logits
    weights = Objective()

    def run() -> float:
        optimizer.zero_grad()
        found = forward(user, image, maps[image], words, length)
        loss = cross(found["user"], good) + weights.crowd * cross(found["crowd"], crowd)
        each = cross(found["tag"], one_hot, reduction="none").sum(1)
        loss = loss + weights.tag * each.mean()
        loss.backward()
        optimizer.step()
        return float(loss.detach())

    return run


def bench_steps(flags: argparse.Namespace) -> list[_benchmark.Row]:
    """Rows of the first part."""
    material, network, params = problem(flags.batch)
    contestants = {
        "jiaa": make_jiaa(material, network, params, batch=flags.batch),
        "torch eager": make_torch(material, params, batch=flags.batch, compiled=False),
    }
    if flags.compile:
        contestants["torch compile"] = make_torch(
            material, params, batch=flags.batch, compiled=True
        )
    losses = {name: [run() for _ in range(3)] for name, run in contestants.items()}
    ours = losses["jiaa"]
    for name, theirs in losses.items():
        gap = max(abs(a - b) / abs(b) for a, b in zip(ours, theirs, strict=True))
        if gap > TOLERANCE:
            raise AssertionError(
                f"jiaa and {name} disagree on the first losses: {ours}, {theirs}; "
                "nothing was timed"
            )
    times = _benchmark.interleaved(contestants, repeats=flags.repeats)
    rows = _benchmark.compare(times, clock=flags.clock)
    per_second = {name: 1 / t.median("wall") for name, t in times.items()}
    return [
        {"part": "cfan_3", "batch": flags.batch, **row, "steps_per_s": per_second[name]}
        for name, row in zip(times, rows, strict=True)
    ]


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    add = parser.add_argument
    add(
        "--part",
        nargs="+",
        choices=("steps", "bpr", "choose"),
        default=["steps", "bpr"],
    )
    add("--batch", type=int, default=64, help="pairs a step of CFAN-3")
    add("--repeats", type=int, default=5)
    add("--threads", type=int, help="cores a side; default: all")
    add("--clock", choices=("wall", "cpu"), default="wall")
    add("--compile", action="store_true", help="torch.compile as well")
    add("--users", type=int, default=2_000)
    add("--images", type=int, default=3_000)
    add("--likes", type=int, default=50, help="a user's")
    add("--factors", type=int, default=32)
    add("--epochs", type=int, default=12)
    add("--bpr_batch", type=int, default=4096)
    add("--rate", type=float, default=0.01)
    add("--penalty", type=float, default=0.03)
    add("--implicit_rate", type=float, default=0.05)
    add("--implicit_penalty", type=float, default=0.1)
    add("--implicit_epochs", type=int, default=4, help="per epoch of jiaa's")
    return parser.parse_args()


def main() -> None:
    """Prints the conditions, a table and a line of JSON a row for each part."""
    flags = parse()
    threads = _benchmark.use_threads(flags.threads)
    print(_benchmark.conditions(threads=threads, device="cpu"))
    if "steps" in flags.part:
        import torch

        torch.set_num_threads(threads)
        _benchmark.report(bench_steps(flags))
    if "bpr" in flags.part:
        _benchmark.report(_bpr.measure(flags))
    if "choose" in flags.part:
        _benchmark.report(_bpr.choose(flags))


if __name__ == "__main__":
    main()
