"""Measures which strategy of `jiaa rate` asks best, on OASIS' raters.

python scripts/bench_asking.py --prior runs/one_view --root FOLDER --split train
python scripts/bench_asking.py --prior runs/one_view --root FOLDER --split test

Of each rater's photographs 33 are set aside, which are never asked. A strategy asks 10
and 30 of the others; the prior learns the answers as `jiaa rate` does, and SROCC is
measured on the 33. train: the training raters fall into groups who saw disjoint
photographs; what people in general like is learned from one group, in closed form on
the prior's features, and raters of the other are asked. test: the prior as it is, on
raters and photographs that it never saw. Prints SROCC, and the difference to the mean
of five random choices, mean +- standard error over raters.
"""

import argparse
import sys
from collections import defaultdict
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from tqdm import tqdm

from jiaa.personalize.active import STRATEGIES
from jiaa.serve.asking import make_asker

# `scripts` is imported from the repository's root.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from scripts._oasis_raters import (
    SET_ASIDE,
    Ratings,
    add_flags,
    mean_error,
    open_oasis,
    raters,
    srocc,
)

SHOTS = (10, 30)
STRENGTH = 0.3  # of the ridge that learns what people in general like


def groups(people: dict[str, Ratings]) -> list[dict[str, Ratings]]:
    """Raters by which photographs they saw: those of one group share half of them."""
    found: list[dict[str, Ratings]] = []
    for worker, mine in people.items():
        for group in found:
            first = next(iter(group.values())).keys()
            if 2 * len(mine.keys() & first) > len(first):
                group[worker] = mine
                break
        else:
            found.append({worker: mine})
    return found


def crowd_prior(model, content, group):
    """`model` with the head that a group's mean scores give, and no taste's warp."""
    scores = defaultdict(list)
    for ratings in group.values():
        for row, stars in ratings.items():
            scores[row].append(stars)
    rows = sorted(scores)
    means = np.asarray([np.mean(scores[row]) for row in rows], np.float32)
    unit = model.to_unit(means, count=len(rows))
    head = model.prior["params"]["head"]
    shared = len(head["slow"])
    features = np.asarray(model.store(content[rows]).features)[:, :shared]
    square = features @ features.T + STRENGTH * np.eye(len(rows))
    solved = features.T @ np.linalg.solve(square, unit - unit.mean())
    changed = {
        "slow": jnp.asarray(solved / model.personalizer.loop.model.head.spread),
        "bias": jnp.asarray(unit.mean()),
        "warp": jnp.eye(shared),
    }
    params = {**model.prior["params"], "head": {**head, **changed}}
    return model.replace(prior={**model.prior, "params": params})


def answered(asker, ratings, closed, key) -> list[int]:
    """The rows that a strategy asks a rater, in order."""
    state, asked = asker.begin(key=key), []
    for _ in range(max(SHOTS)):
        row = int(asker.next_images(state, 1, without=closed)[0])
        state = asker.tell(state, row, ratings[row])
        asked.append(row)
    return asked


def measure(model, content, people, strategies, rng) -> dict[tuple[str, int], list]:
    """(strategy, ratings) -> SROCC of each rater; "generic" with none."""
    found = defaultdict(list)
    askers = {name: make_asker(name, model, content) for name in strategies}
    for number, worker in enumerate(tqdm(people)):
        ratings = people[worker]
        order = rng.permutation(sorted(ratings)).tolist()
        aside, pool = order[:SET_ASIDE], order[SET_ASIDE:]
        closed = sorted(set(range(len(content))) - set(pool))
        key = jax.random.fold_in(jax.random.key(0), number)
        chosen = {n: [answered(x, ratings, closed, key)] for n, x in askers.items()}
        chosen["random"] = [rng.permutation(pool).tolist() for _ in range(5)]
        found["generic", 0].append(srocc(model, content, ratings, aside))
        for name, ways in chosen.items():
            for shots in SHOTS:
                values = []
                for way in ways:
                    stars = [ratings[row] for row in way[:shots]]
                    mine = model.adapt_encoded(content[way[:shots]], stars)
                    values.append(srocc(mine, content, ratings, aside))
                found[name, shots].append(np.mean(values))
    return found


def problems(model, content, people, split):
    """(model, rows of the album, raters) of each group that is asked."""
    for group in groups(people):
        rows = sorted(set().union(*group.values()))
        place = {row: number for number, row in enumerate(rows)}
        asked = {
            worker: {place[row]: stars for row, stars in ratings.items()}
            for worker, ratings in group.items()
        }
        others = {w: r for w, r in people.items() if w not in group}
        if split == "test":
            yield model, rows, asked
        elif len(group) > 1 and others:
            disjoint = {
                worker: {row: x for row, x in ratings.items() if row not in place}
                for worker, ratings in others.items()
            }
            yield crowd_prior(model, content, disjoint), rows, asked


def main() -> None:
    """Measures and prints a line a strategy and number of ratings."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_flags(parser)
    parser.add_argument("--split", choices=("train", "test"), required=True)
    parser.add_argument("--raters", type=int, default=75, help="of a group, at most")
    parser.add_argument("--strategies", nargs="*", default=sorted(STRATEGIES))
    flags = parser.parse_args()
    model, album, content = open_oasis(flags)
    rng, found = np.random.default_rng(0), defaultdict(list)
    people = raters(flags.root, album.names, flags.split)
    for prior, rows, group in problems(model, content, people, flags.split):
        some = rng.permutation(sorted(group))[: flags.raters]
        chosen = {worker: group[worker] for worker in some.tolist()}
        strategies = [x for x in flags.strategies if x != "random"]
        for key, values in measure(
            prior, content[rows], chosen, strategies, rng
        ).items():
            found[key] += values
    for (name, shots), values in found.items():
        random = found.get(("random", shots), values)
        gap = np.asarray(values) - random
        print(
            f"{name:20s} {shots:3d} ratings, {len(gap)} raters: {np.mean(values):.3f}, "
            f"above random {mean_error(gap)}"
        )


if __name__ == "__main__":
    main()
