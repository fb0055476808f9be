"""A finished run on the tiny folder, the folder's photographs, a person's ratings."""

import csv

import numpy as np
import pytest
from experiments import finished_run, glancing, tiny_world

import jiaa

__all__ = ["finished_run", "tiny_world"]


@pytest.fixture(scope="module")
def prior(finished_run):
    """The finished run, loaded; its backbone is known as long as the module runs."""
    with glancing():
        yield jiaa.load(finished_run)


@pytest.fixture(scope="module")
def photos(tiny_world):
    """The tiny folder's photographs."""
    return sorted((tiny_world / "images").rglob("*.*"))


@pytest.fixture(scope="module")
def content(prior, photos):
    """What is known of the photographs."""
    return prior.encode(photos)


@pytest.fixture(scope="module")
def stars(photos):
    """Somebody's stars of them."""
    return np.linspace(1, 5, len(photos)).round()


@pytest.fixture(scope="module")
def mine(prior, content, stars):
    """The model of who gave the first ten of them."""
    return prior.adapt_encoded(content[:10], stars[:10])


@pytest.fixture(scope="module")
def person(tiny_world):
    """One rater's stars by name of the photograph."""
    with (tiny_world / "ratings.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    worker = max({row["worker"] for row in rows}, key=lambda who: _count(rows, who))
    return {r["image"]: float(r["score"]) for r in rows if r["worker"] == worker}


def _count(rows, worker):
    return sum(row["worker"] == worker for row in rows), worker
