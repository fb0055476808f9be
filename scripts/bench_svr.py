"""nu-SVR for all users and splits at once, beside a loop of scikit-learn's (libsvm).

    python scripts/bench_svr.py --threads 4
    python scripts/bench_svr.py --threads 1 --repeats 3 --active

The work: 37 users x 50 splits of 100 ratings each out of about 137, 20 features, RBF
kernel, C = 1, nu = 0.5, residuals of stars that are a fifth apart. Both sides fit every
machine; scores of both are compared before anything is timed. With --active, a loop of
37 users x 10 trials x 90 rounds of Algorithm 1 as well, where scikit-learn's side fits
and predicts, and chooses by the same formula in NumPy; it runs one trial of each user,
and its times are multiplied by the number of trials. Random numbers, no real user's.
"""

import argparse
import os
import sys
from pathlib import Path
from typing import Any

# `scripts` is imported from the repository's root.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from scripts import _benchmark

USERS, SPLITS, SHOTS, IMAGES, FEATURES = 37, 50, 100, 137, 20
TRIALS, FIRST = 10, 10


def make_problem(users, splits):
    """(features, offsets, support ids) of random users with a taste and noise."""
    import numpy as np

    rng = np.random.default_rng(0)
    features = rng.normal(size=(users, IMAGES, FEATURES)).astype(np.float32)
    taste = rng.normal(size=(users, FEATURES)) / FEATURES**0.5
    offsets = np.einsum("uif,uf->ui", features, taste)
    offsets = 0.12 * (offsets + rng.normal(size=offsets.shape))
    offsets = (np.round(offsets * 5) / 5).astype(np.float32)
    order = np.argsort(rng.random((users, splits, IMAGES)), axis=-1)
    return features, offsets, order[..., :SHOTS].astype(np.int32)


def jiaa_fits(features, offsets, support, devices):
    """A call that fits all machines, and gives every image's score in each split."""
    import jax
    import jax.numpy as jnp
    import numpy as np

    from jiaa.personalize.nu_svr import fit_nu_svr
    from jiaa.personalize.regressors import kernel_matrix
    from jiaa.train import mesh as train_mesh

    def one(kernel, offsets, ids):
        own = kernel[ids].T[ids]  # whole rows, twice
        mask = jnp.ones(SHOTS, bool)
        found = fit_nu_svr(own, offsets[ids], mask=mask, gap=1e-4)
        coefficients = jnp.zeros(IMAGES).at[ids].set(found.coefficients)
        return kernel @ coefficients + found.offset

    def user(args):
        features, offsets, support = args
        kernel = kernel_matrix(features, features, kind="rbf", gamma=1 / FEATURES)
        return jax.vmap(one, in_axes=(None, None, 0))(kernel, offsets, support)

    def everybody(*args):
        return jax.lax.map(user, args)

    # Padded with a user of the others, so that each device has as many.
    rows = np.arange(-(-len(features) // devices) * devices) % len(features)
    users = tuple(x[rows] for x in (features, offsets, support))
    mesh = train_mesh.user_mesh() if devices > 1 else None
    run = jax.jit(train_mesh.shard_users(everybody, mesh, user_args=[0, 1, 2]))
    return lambda: jax.block_until_ready(run(*users))[: len(features)]


def scikit_fits(features, offsets, support):
    """The same by a loop of NuSVR."""
    import numpy as np
    from sklearn.svm import NuSVR

    def run():
        scores = np.empty((*support.shape[:2], IMAGES), np.float32)
        for user, split in np.ndindex(*support.shape[:2]):
            ids = support[user, split]
            width: Any = 1 / FEATURES  # scikit-learn's hints say str
            machine = NuSVR(C=1.0, nu=0.5, gamma=width)
            machine.fit(features[user, ids], offsets[user, ids])
            scores[user, split] = machine.predict(features[user])
        return scores

    return run


def jiaa_active(features, offsets, trials, rounds):
    """A call that runs Algorithm 1 for all users and trials."""
    import jax
    import jax.numpy as jnp
    import numpy as np

    from jiaa.evaluate.active import active_curves
    from jiaa.personalize.active import ActiveLearner, make_album
    from jiaa.types import UserTasks

    generic = jnp.full(IMAGES, 0.6)
    mask = jnp.ones(IMAGES, bool)
    albums = jax.vmap(lambda x: make_album(x, generic, mask=mask, gamma=1.0))(features)
    shape = offsets.shape
    ids = np.broadcast_to(np.arange(IMAGES), shape).astype(np.int32)
    tasks = UserTasks(np.arange(len(offsets)), ids, offsets + 0.6, np.ones(shape, bool))
    learners = {"active_pam": ActiveLearner()}
    last = FIRST + rounds
    options = {"first": FIRST, "last": last, "trials": trials, "key": jax.random.key(0)}
    return lambda: active_curves(learners, albums, tasks, **options)


def scikit_active(features, offsets, rounds):
    """The same loop with NuSVR, a user and a round after another: one trial of each."""
    import numpy as np
    from scipy.stats import spearmanr
    from sklearn.svm import NuSVR

    def trial(x, y, distances, rng):
        rated = list(rng.permutation(IMAGES)[:FIRST])
        for _ in range(rounds):
            machine = NuSVR(C=1.0, nu=0.5, gamma="scale").fit(x[rated], y[rated])
            scores = machine.predict(x)
            rest = np.setdiff1d(np.arange(IMAGES), rated)
            spearmanr(scores[rest], y[rest])
            missed = np.abs(scores[rated] - y[rated])
            weights = 1 - missed / max(missed.sum(), 1e-12)
            rated.append(rest[np.argmax(distances[np.ix_(rest, rated)] @ weights)])

    def run():
        rng = np.random.default_rng(0)
        for x, y in zip(features, offsets, strict=True):
            distances = 0.001 * np.linalg.norm(x[:, None] - x[None], axis=-1)
            trial(x, y, distances, rng)

    return run


def main() -> None:
    """Times both sides in turns and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=_benchmark.count, default=None)
    parser.add_argument("--repeats", type=_benchmark.count, default=3)
    parser.add_argument("--users", type=_benchmark.count, default=USERS)
    parser.add_argument("--splits", type=_benchmark.count, default=SPLITS)
    parser.add_argument("--active", action="store_true")
    parser.add_argument("--trials", type=_benchmark.count, default=TRIALS)
    parser.add_argument("--rounds", type=_benchmark.count, default=90)
    args = parser.parse_args()
    threads = _benchmark.use_threads(args.threads)
    if threads > 1:  # a device's program must not wait for others (train.mesh)
        os.environ["NPROC"] = str(2 * threads)
    import numpy as np

    print(_benchmark.conditions(threads=threads, device="cpu"))
    features, offsets, support = make_problem(args.users, args.splits)
    sides = {
        "jiaa": jiaa_fits(features, offsets, support, threads),
        "scikit-learn": scikit_fits(features, offsets, support),
    }
    ours, theirs = (np.asarray(run()) for run in sides.values())
    print(f"greatest difference of scores: {np.abs(ours - theirs).max():.1e}")
    _report(_benchmark.interleaved(sides, repeats=args.repeats))
    if args.active:
        sides = {
            "jiaa, active": jiaa_active(features, offsets, args.trials, args.rounds),
            "scikit-learn": scikit_active(features, offsets, args.rounds),
        }
        sides["jiaa, active"]()
        times = _benchmark.interleaved(sides, repeats=args.repeats)
        one = times["scikit-learn"]
        whole = [[x * args.trials for x in clock] for clock in one]
        _report({**times, "scikit-learn": _benchmark.Times(*whole)})


def _report(times) -> None:
    theirs = times["scikit-learn"]
    rows = [
        {
            "contestant": name,
            "wall_s": each.median("wall"),
            "cpu_s": each.median("cpu"),
            "wall_ratio": theirs.median("wall") / each.median("wall"),
            "cpu_ratio": theirs.median("cpu") / each.median("cpu"),
        }
        for name, each in times.items()
    ]
    _benchmark.report(rows)


if __name__ == "__main__":
    main()
