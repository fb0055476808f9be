"""BPR of jiaa and of the library implicit on the same likes: `bench_cfan.py`'s part."""

import argparse
import functools
import importlib.util
import itertools
import time
from collections.abc import Callable
from typing import Any, NamedTuple

History = list[tuple[float, float]]  # (seconds so far, AUC) after each epoch
RATES, PENALTIES = (0.01, 0.02, 0.05, 0.1), (0.01, 0.03, 0.1, 0.3)
CHOOSING_SEED, MEASURING_SEED = 11, 1
CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}


class Likes(NamedTuple):
    """User and image of each like, and which are held out."""

    user: Any
    image: Any
    test: Any


def world(flags: argparse.Namespace, *, seed: int) -> Likes:
    """Likes in a generated low-rank world, a tenth of them held out."""
    import numpy as np

    rng = np.random.default_rng(seed)
    users, images, rank = flags.users, flags.images, 8
    taste = rng.normal(size=(users, rank)) @ rng.normal(size=(rank, images))
    popular = 3 * rng.normal(size=(1, images))
    taste = 1.5 * taste + popular + 3 * rng.gumbel(size=taste.shape)
    likes = np.argsort(-taste, axis=1)[:, : flags.likes]
    user = np.repeat(np.arange(users), flags.likes)
    return Likes(user, likes.ravel(), rng.random(user.shape) < 0.1)


def held_out_auc(likes: Likes, users, images, bias) -> float:
    """Mean chance that a held-out like is scored above the image of another like.

    Both sides learn against such images, which are drawn by their popularity.
    """
    import numpy as np

    def score(user, image):
        return np.einsum("pf,pf->p", users[user], images[image]) + bias[image]

    user, image = likes.user[likes.test], likes.image[likes.test]
    other = np.random.default_rng(2).choice(image, (20, len(user)))
    good = score(user, image)[None]
    bad = np.stack([score(user, row) for row in other])
    return float(np.mean((good > bad) + 0.5 * (good == bad)))


def run_jiaa(
    flags: argparse.Namespace, likes: Likes, *, rate: float, penalty: float
) -> History:
    """Adam on batches; the compilation comes first and does not count."""
    import jax
    import jax.numpy as jnp
    import numpy as np
    import optax

    from jiaa.models.ranking import Ranking
    from jiaa.train import collaborative as steps
    from jiaa.train.state import copy, create_train_state

    material = _material(flags, likes)
    network = Ranking(users=flags.users, images=flags.images, width=flags.factors)
    pair = jnp.zeros(1, int)
    params = network.init(jax.random.key(0), pair, pair)["params"]
    optimizer = optax.adam(rate)
    step = functools.partial(
        steps.collaborative_step,
        network=network,
        objective=steps.Objective(pairwise=True, opponents="popular", penalty=penalty),
        optimizer=optimizer,
    )
    epoch = _epochs(step, len(material.pairs), size=flags.bpr_batch)
    start = create_train_state(
        {"params": params}, optimizer=optimizer, key=jax.random.key(0)
    )
    jax.block_until_ready(epoch(copy(start), material))
    clock = CLOCKS[flags.clock]
    state, seconds, history = start, 0.0, []
    for _ in range(flags.epochs):
        begun = clock()
        state = jax.block_until_ready(epoch(state, material))
        seconds += clock() - begun
        names = ("user_table", "image_table", "image_bias")
        users, images, bias = (np.asarray(state.params[x]["embedding"]) for x in names)
        history.append((seconds, held_out_auc(likes, users, images, bias[:, 0])))
    return history


def _material(flags: argparse.Namespace, likes: Likes):
    import jax
    import jax.numpy as jnp
    import numpy as np

    from jiaa.data.interactions import Labels, make_pairs
    from jiaa.train import collaborative as steps

    learned = ~likes.test
    pairs = make_pairs(
        user=likes.user[learned],
        image=likes.image[learned],
        good=np.ones(int(learned.sum()), bool),
        users=flags.users,
    )
    labels = Labels(np.full(flags.images, -1), np.full(flags.images, np.nan))
    return jax.tree.map(jnp.asarray, steps.make_material(pairs, labels))


def _epochs(step: Callable, pairs: int, *, size: int) -> Callable:
    """All batches of an epoch in one program."""
    import jax

    @jax.jit
    def epoch(state, material):
        key = jax.random.fold_in(state.key, -1 - state.step)
        order = jax.random.permutation(key, pairs)
        batches = order[: pairs // size * size].reshape(-1, size)
        return jax.lax.scan(
            lambda s, rows: (step(s, rows, material)[0], None), state, batches
        )[0]

    return epoch


def run_implicit(
    flags: argparse.Namespace, likes: Likes, *, rate: float, penalty: float
) -> History:
    """The library's, whose epochs are `implicit_epochs` to one of jiaa's."""
    import numpy as np
    import scipy.sparse
    from implicit.bpr import (  # pyright: ignore[reportMissingImports]
        BayesianPersonalizedRanking,
    )

    learned = ~likes.test
    ones = np.ones(int(learned.sum()), np.float32)
    places = (likes.user[learned], likes.image[learned])
    table = scipy.sparse.csr_matrix((ones, places), (flags.users, flags.images))
    model = BayesianPersonalizedRanking(
        factors=flags.factors,
        iterations=1,
        learning_rate=rate,
        regularization=penalty,
        num_threads=flags.threads or 0,
        random_state=0,
        use_gpu=False,
    )
    none = np.zeros(flags.images)  # the last factor of an image is its bias, a user's 1
    clock = CLOCKS[flags.clock]
    seconds, history = 0.0, []
    for _ in range(flags.epochs * flags.implicit_epochs):
        begun = clock()
        model.fit(table, show_progress=False)  # goes on from its factors
        seconds += clock() - begun
        found = held_out_auc(likes, model.user_factors, model.item_factors, none)
        history.append((seconds, found))
    return history


CONTESTANTS = {"jiaa": run_jiaa, "implicit": run_implicit}


def contestants() -> dict[str, Callable]:
    """Ours alone where implicit is not installed."""
    if importlib.util.find_spec("implicit"):
        return CONTESTANTS
    print("implicit is not installed (pip install implicit): jiaa alone")
    return {"jiaa": run_jiaa}


def choose(flags: argparse.Namespace) -> list[dict[str, Any]]:
    """Each side's best AUC by rate and penalty, on a world that is not measured."""
    likes = world(flags, seed=CHOOSING_SEED)
    rows = []
    for name, run in contestants().items():
        for rate, penalty in itertools.product(RATES, PENALTIES):
            history = run(flags, likes, rate=rate, penalty=penalty)
            best = max(auc for _, auc in history)
            row = {"contestant": name, "rate": rate, "penalty": penalty, "auc": best}
            rows.append(row)
    return rows


def measure(flags: argparse.Namespace) -> list[dict[str, Any]]:
    """Seconds of each side until 0.005 below the lower of the two best AUCs."""
    likes = world(flags, seed=MEASURING_SEED)
    settings = {
        "jiaa": (flags.rate, flags.penalty),
        "implicit": (flags.implicit_rate, flags.implicit_penalty),
    }
    histories = {}
    for name, run in contestants().items():
        rate, penalty = settings[name]
        histories[name] = run(flags, likes, rate=rate, penalty=penalty)
    target = min(max(auc for _, auc in x) for x in histories.values()) - 0.005
    rows = []
    for name, history in histories.items():
        reached = next(i for i, (_, auc) in enumerate(history) if auc >= target)
        rows.append(
            {
                "part": "bpr",
                "contestant": name,
                "target_auc": target,
                "seconds": history[reached][0],
                "epochs": reached + 1,
                "best_auc": max(auc for _, auc in history),
                "s_per_epoch": history[-1][0] / len(history),
            }
        )
    return rows
