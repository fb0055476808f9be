"""Paired tests: SciPy's Wilcoxon on the users' means, corrected for all pairs."""

import numpy as np
import pytest
from scipy import stats

from jiaa.evaluate import results
from jiaa.evaluate.personalization import Results
from jiaa.report import read_run
from jiaa.report.compare import paired_tests


@pytest.fixture
def make(tmp_path, rng):
    """A run whose users' SROCC are given [user]; two repeats around them."""

    def write(name, values, *, users=None, metric="srocc"):
        values = np.asarray(values)[None, :, None] + np.array([-0.01, 0.01])
        measured = Results(
            user_id=np.asarray(range(values.shape[1]) if users is None else users),
            shots=(10,),
            repeat=np.arange(2),
            values={metric: values, f"generic_{metric}": np.zeros(values.shape)},
            scores={},
            seconds=1.0,
        )
        names = {number: f"user {number}" for number in range(99)}
        where = tmp_path / name
        results.write(measured, where, method=name, dataset="tiny", names=names)
        return read_run(where)

    return write


def test_a_pair_is_tested_on_the_users_means(make, rng):
    first = rng.uniform(0, 0.8, 20)
    gap = rng.normal(0.02, 0.05, 20)
    (one,) = paired_tests([make("a", first), make("b", first + gap)])
    assert (one.first, one.second, one.shots, one.users) == ("a", "b", 10, 20)
    assert one.difference == pytest.approx(gap.mean(), abs=1e-6)
    assert one.error == pytest.approx(stats.sem(gap), abs=1e-6)
    assert one.better == np.mean(gap > 0)
    assert one.p == pytest.approx(stats.wilcoxon(gap).pvalue, rel=1e-3)


def test_the_same_run_twice_differs_for_nobody(make, rng):
    values = rng.uniform(0, 0.8, 9)
    (one,) = paired_tests([make("a", values), make("b", values)])
    assert (one.difference, one.better, one.p) == (0, 0.5, 1)


def test_only_common_users_count(make):
    first = make("a", [0.1, 0.2, 0.3], users=[1, 2, 3])
    second = make("b", [0.5, 0.4, 0.9], users=[3, 2, 7])
    (one,) = paired_tests([first, second])
    assert one.users == 2
    assert one.difference == pytest.approx(((0.5 - 0.3) + (0.4 - 0.2)) / 2)


def test_nobody_in_common_is_no_pair(make):
    runs = [make("a", [0.1, 0.2], users=[1, 2]), make("b", [0.5, 0.4], users=[3, 4])]
    assert paired_tests(runs) == []


def test_lower_is_better_for_errors(make):
    runs = [make(name, [x] * 4, metric="rmse") for name, x in (("a", 0.3), ("b", 0.2))]
    (one,) = paired_tests(runs, metric="rmse")
    assert one.difference == pytest.approx(-0.1)
    assert one.better == 1


def test_three_runs_are_three_pairs_by_holms_correction(make, rng):
    base = rng.uniform(0, 0.8, 12)
    lifts = rng.normal([[0.0], [0.03], [0.04]], 0.03, (3, 12))
    runs = [make(n, base + x) for n, x in zip("abc", lifts, strict=True)]
    found = paired_tests(runs)
    assert [(one.first, one.second) for one in found] == [
        ("a", "b"),
        ("a", "c"),
        ("b", "c"),
    ]
    plain = [
        stats.wilcoxon(lifts[j] - lifts[i]).pvalue for i, j in ((0, 1), (0, 2), (1, 2))
    ]
    smallest, middle, largest = sorted(plain)
    second = max(3 * smallest, 2 * middle)
    expected = [min(x, 1) for x in (3 * smallest, second, max(second, largest))]
    assert sorted(one.p for one in found) == pytest.approx(expected, rel=1e-3)
