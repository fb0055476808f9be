"""Inter-task fusion of 37 users x 50 splits x 10 and 100 ratings: one call, or loops.

    python scripts/bench_fusion.py --threads 1

PA_IAA's second stage (eqs. 6, 7): five weights a user and split. Both sides get the
same outputs of a first stage (random here: only their shape matters) and the same
splits. "jiaa ridge" solves all 3,700 fits, one call per number of ratings, "jiaa sgd"
takes the paper's 50 epochs of SGD for all of them; "scikit-learn ridge" is a loop of
`Ridge` fits, "torch sgd" a loop of the paper's program: `nn.Linear`, `optim.SGD`,
`ExponentialLR`, batches of 50. What is timed is the fit, from ratings to weights; the
weights of each pair are compared first.
"""

import argparse
import sys
from pathlib import Path

# `scripts` is imported from the repository's root.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from scripts import _benchmark

TRAITS = 5
SHOTS = (10, 100)
EPOCHS, BATCH = 50, 50
STRENGTH = 1.0
TOLERANCE = 1e-4


def draw(users: int, splits: int):
    """Number of ratings -> (s_p [fit image trait], s_b - s_a [fit image])."""
    import numpy as np

    rng = np.random.default_rng(0)
    fits = users * splits
    found = {}
    for shots in SHOTS:
        second = np.tanh(rng.normal(size=(fits, shots, TRAITS))).astype(np.float32)
        taste = rng.normal(size=(fits, 1, TRAITS)) * 0.1
        noise = 0.1 * rng.normal(size=(fits, shots))
        found[shots] = second, ((second * taste).sum(-1) + noise).astype(np.float32)
    return found


def jiaa_ridge(problem):
    """All fits of each number of ratings, in one compiled call."""
    import functools

    import jax
    import jax.numpy as jnp
    import numpy as np

    from jiaa.personalize.fusion import fusion_weights

    fit = functools.partial(fusion_weights, strength=STRENGTH)
    solve = jax.jit(jax.vmap(fit))
    given = {
        shots: (*map(jnp.asarray, pair), jnp.ones(pair[1].shape, bool))
        for shots, pair in problem.items()
    }
    return lambda: {s: np.asarray(solve(*args)[0]) for s, args in given.items()}


def jiaa_sgd(problem):
    """The paper's steps, for all fits at once: `Finetune.adapt` under `vmap`."""
    import jax
    import jax.numpy as jnp
    import numpy as np

    from jiaa.personalize.fusion import fusion_prior, stepped_fusion
    from jiaa.types import Episode, Examples, ImageStore

    prior = fusion_prior(TRAITS)

    def adapting(shots):
        method = stepped_fusion(shots=shots, width=TRAITS, epochs=EPOCHS)

        def adapt(second, residual, number):
            content = jnp.concatenate([jnp.zeros((shots, 1)), second], axis=1)
            real = jnp.ones(shots, bool)
            support = Examples(jnp.arange(shots), residual, real)
            store = ImageStore(features=content)
            key = jax.random.fold_in(jax.random.key(0), number)
            episode = Episode(number, support, support)
            return method.adapt(prior, episode, store, key=key)["params"]["weights"]

        return jax.jit(jax.vmap(adapt))

    calls = {shots: adapting(shots) for shots in problem}
    given = {
        shots: (*map(jnp.asarray, pair), jnp.arange(len(pair[1])))
        for shots, pair in problem.items()
    }
    return lambda: {s: np.asarray(calls[s](*args)) for s, args in given.items()}


def scikit_ridge(problem):
    """One `Ridge` after another."""
    import numpy as np
    from sklearn.linear_model import Ridge

    def run():
        return {
            shots: np.stack(
                [
                    Ridge(alpha=STRENGTH, fit_intercept=False).fit(x, y).coef_
                    for x, y in zip(*pair, strict=True)
                ]
            )
            for shots, pair in problem.items()
        }

    return run


def torch_sgd(problem, *, share: int):
    """One user and split after another, of which every `share`-th is fitted."""
    import numpy as np
    import torch

    def fit(x, y):
        x, y = torch.from_numpy(x), torch.from_numpy(y)
        layer = torch.nn.Linear(TRAITS, 1, bias=False)
        torch.nn.init.zeros_(layer.weight)
        sgd = torch.optim.SGD(
            layer.parameters(), lr=1e-4, momentum=0.9, weight_decay=1e-5
        )
        schedule = torch.optim.lr_scheduler.ExponentialLR(sgd, 0.9)
        loss = torch.nn.MSELoss()
        for _ in range(EPOCHS):
            for rows in torch.randperm(len(y)).split(BATCH):
                sgd.zero_grad()
                loss(layer(x[rows])[:, 0], y[rows]).backward()
                sgd.step()
            schedule.step()
        return layer.weight.detach().numpy()[0]

    def run():
        torch.manual_seed(0)
        return {
            shots: np.stack(
                [fit(x, y) for x, y in zip(*(p[::share] for p in pair), strict=True)]
            )
            for shots, pair in problem.items()
        }

    return run


def check(contestants, share: int) -> None:
    """Refuses to time two sides that do not find the same weights."""
    import numpy as np

    found = {name: run() for name, run in contestants.items()}
    pairs = [("jiaa ridge", "scikit-learn ridge", 1), ("jiaa sgd", "torch sgd", share)]
    for ours, theirs, every in pairs:
        for shots in SHOTS:
            a, b = found[ours][shots][::every], found[theirs][shots]
            # Minibatches of 100 ratings are drawn differently: compared on average.
            gap = np.abs((a - b).mean(0) if shots > BATCH and every == share else a - b)
            if gap.max() > TOLERANCE:
                sys.exit(f"{ours} and {theirs} differ by {gap.max():.2g} at {shots}")


def main() -> None:
    """Compares the weights, times all sides in turns, and prints one table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=1, help="cores a side")
    parser.add_argument("--users", type=int, default=37)
    parser.add_argument("--splits", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--share", type=int, default=10, help="torch fits every so many of them"
    )
    options = parser.parse_args()
    threads = _benchmark.use_threads(options.threads)
    import torch

    torch.set_num_threads(threads)
    print(_benchmark.conditions(threads=threads, device="cpu"))
    problem = draw(options.users, options.splits)
    contestants = {
        "jiaa ridge": jiaa_ridge(problem),
        "jiaa sgd": jiaa_sgd(problem),
        "scikit-learn ridge": scikit_ridge(problem),
        "torch sgd": torch_sgd(problem, share=options.share),
    }
    check(contestants, options.share)
    times = _benchmark.interleaved(contestants, repeats=options.rounds)
    fits = options.users * options.splits * len(SHOTS)
    rows = []
    for name, each in times.items():
        scale = options.share if name == "torch sgd" else 1
        wall, cpu = (scale * each.median(clock) for clock in ("wall", "cpu"))
        rows.append({"contestant": name, "fits": fits, "wall_s": wall, "cpu_s": cpu})
    slowest = rows[-1]["wall_s"]
    for row in rows:
        row["faster_than_torch"] = slowest / row["wall_s"]
    if options.share > 1:
        print(f"torch sgd: every {options.share}th fit, times {options.share}")
    _benchmark.report(rows)


if __name__ == "__main__":
    main()
