"""Cross-validation of one person's ratings, and what is said of it."""

import numpy as np
import pytest

from jiaa.serve.validation import FEWEST, Validation, cross_validate


@pytest.fixture(scope="module")
def content(prior, photos):
    return prior.encode(photos)[:15]


@pytest.mark.parametrize("stars", [np.full(15, 3.0), np.arange(FEWEST - 1) % 5 + 1.0])
def test_nothing_is_said_of_too_few_or_equal_ratings(prior, content, stars):
    assert cross_validate(prior, content[: len(stars)], stars) is None


@pytest.mark.parametrize(
    ("after", "error", "said"),
    [
        (0.6, 0.05, "your ratings help"),
        (0.6, 0.2, "too few to be sure"),
        (0.4, 0.05, "do not help yet"),
    ],
)
def test_the_verdict_weighs_the_gain_against_its_error(after, error, said):
    found = Validation(30, 24, 20, before=0.5, after=after, error=error)
    assert said in found.verdict
    assert f"before 0.500, after {after:.3f}" in str(found)
