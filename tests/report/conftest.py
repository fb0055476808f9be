import functools

import numpy as np
import pytest

from jiaa.evaluate import results
from jiaa.evaluate.personalization import Results


@pytest.fixture(scope="session")
def make_run_in():
    """Writes a workdir as `scripts/evaluate.py` does, from values of two users."""

    def make(folder, method="blg_piaa", dataset="synthetic", *, name=None, lift=0.0):
        # user x repeat at 2 ratings, then at 4.
        srocc = np.array([[[0.2, 0.4], [0.6, 0.8]], [[0.5, 0.7], [0.9, 0.7]]]) + lift
        generic = np.array([[[0.1, 0.1], [0.9, 0.5]], [[0.1, 0.3], [0.6, 0.6]]])
        rmse = np.full((2, 2, 2), 0.2)
        measured = Results(
            user_id=np.array([11, 22]),
            shots=(2, 4),
            repeat=np.arange(2),
            values={
                "srocc": srocc,
                "generic_srocc": generic,
                "rmse": rmse,
                "generic_rmse": rmse + 0.1,
            },
            scores={},
            seconds=1.5,
        )
        workdir = folder / (name or f"{method}_{dataset}")
        people = {11: "ann", 22: "bob, the second"}
        results.write(measured, workdir, method=method, dataset=dataset, names=people)
        return workdir

    return make


@pytest.fixture
def make_run(make_run_in, tmp_path):
    """`make_run_in` the test's folder."""
    return functools.partial(make_run_in, tmp_path)
