"""BLG-PIAA on OASIS: beauty ratings of 145 unseen raters on unseen photographs.

The network of configs/ba_piaa/oasis_squeezenet.py. On the support level a rater's steps
move the head's fast weights; on the query level, from there, they move what all raters
share: the warp through which the fast weights act, and the generic weights.

    python scripts/train.py    --config configs/blg_piaa/oasis_squeezenet.py --workdir runs/blg --config.data.root=FOLDER --config.model.weights=runs/trunk/trunk.safetensors
    python scripts/evaluate.py --config configs/blg_piaa/oasis_squeezenet.py --workdir runs/blg --config.data.root=FOLDER --config.model.weights=runs/trunk/trunk.safetensors

Measured SROCC, 145 raters, 10 splits, tuned trunk: .556 +- .002 with 10 ratings, .601 +- .008 with 100.
With ImageNet's own trunk: .550 +- .002 with 10 ratings, .596 +- .008 with 100.
A minute each to train and to evaluate on 4 shared CPU cores, once the trunk's features
are in the cache (3 to 6 minutes).
"""

from configs.ba_piaa import oasis_squeezenet
from configs.ba_piaa.oasis_squeezenet import SPREAD


def get_config():
    config = oasis_squeezenet.get_config()
    config.method = "blg_piaa"
    config.meta.steps = 1000
    config.meta.users_per_step = 8
    config.meta.inner_steps = 10
    config.meta.sampling = {"support": 60, "query": 60, "fraction": 0.5}
    config.meta.query = {
        "adapts": "head/(warp|slow)",
        "rates": (
            ("head/warp", 0.0015 / SPREAD**2),
            ("head/slow", 0.005 / SPREAD**2),
        ),
    }
    # beta = 1/k, falling to 0; the fast weights' prior stays 0, as a new rater's is.
    config.meta.rates = (("head/fast", 0.0), (".*", "1/k"))
    config.meta.schedule = "linear"
    config.meta.pull = (("head/slow", 0.8),)
    config.meta.strategy = "vmap"
    config.meta.iterations_per_dispatch = 20
    config.meta.log_every = 20
    config.meta.save_every = 500
    return config
