"""BLG-PIAA on the embedded synthetic world: the head's prior meta-learned over users.

The protocol of the slides' Table II (row BLG-PIAA) on generated photographs and raters;
the trunk is BA-PIAA's. On the support level a user's steps move the fast weights; on the
query level they move the warp through which these act, and the generic weights. Second
stage of the quickstart. Chosen on development worlds (data.seed 10 and 11).

    python scripts/train.py --config configs/blg_piaa/synthetic_resnet18.py --workdir runs/blg --config.prior=runs/ba
    python scripts/evaluate.py --config configs/blg_piaa/synthetic_resnet18.py --workdir runs/blg
"""

from configs.ba_piaa import synthetic_resnet18


def get_config():
    config = synthetic_resnet18.get_config()
    config.method = "blg_piaa"
    config.inner.rates = ((".*", 5e-5),)
    config.meta.steps = 1200
    config.meta.inner_steps = 20
    config.meta.sampling = {"support": 50, "query": 50, "fraction": 0.5}
    # Three times this rate of the warp diverges.
    config.meta.query = {
        "adapts": "head/(warp|slow)",
        "rates": (("head/warp", 0.5), ("head/slow", 1e-5)),
    }
    # The fast weights' prior stays 0, as a new user's is.
    config.meta.rates = (("head/fast", 0.0), (".*", "1/k"))
    config.meta.schedule = "cosine"
    config.meta.iterations_per_dispatch = 20
    config.meta.save_every = 400
    config.meta.log_every = 20
    config.meta.strategy = "vmap"
    return config
