"""MAML on OASIS, beside BLG-PIAA: second order, inner rates learned per tensor.

The network, start and adaptation of configs/ba_piaa/oasis_squeezenet.py; the gradient of
the query loss passes through the ten inner steps (Finn et al., ICML 2017; Li et al.,
Meta-SGD, 2017). A row of its own: BLG-PIAA is first order.

    python scripts/train.py --config configs/maml/oasis_squeezenet.py --workdir runs/maml --config.data.root=FOLDER --config.model.weights=runs/trunk/trunk.safetensors

Measured SROCC, 145 raters, 10 splits, tuned trunk: .553 +- .002 with 10 ratings, .601 +- .008 with 100.
With ImageNet's own trunk: .547 +- .002 with 10 ratings, .596 +- .007 with 100.
A minute each to train and to evaluate on 4 shared CPU cores, once the trunk's features
are in the cache (3 to 6 minutes).
"""

from configs.ba_piaa import oasis_squeezenet
from configs.ba_piaa.oasis_squeezenet import SPREAD


def get_config():
    config = oasis_squeezenet.get_config()
    config.method = "maml"
    config.inner.second_order = True
    config.inner.optimizer_options = {"learned": True}
    config.meta.outer = "maml"
    config.meta.outer_loss = "centred"
    config.meta.steps = 300
    config.meta.users_per_step = 16
    config.meta.sampling = {"support": 35, "query": 60, "fraction": 0.37}
    config.meta.optimizer = "adam"
    config.meta.rates = (("head/(fast|bias)", 0.0), (".*", 3e-3))
    config.meta.schedule = "cosine"
    # 5 |w - w_generic|^2 per user of half a sum of 60 squared errors, here of a mean.
    config.meta.pull = (("head/slow", 16 * 10 * SPREAD**2 / 30),)
    config.meta.strategy = "vmap"
    config.meta.iterations_per_dispatch = 20
    config.meta.log_every = 20
    config.meta.save_every = 100
    return config
