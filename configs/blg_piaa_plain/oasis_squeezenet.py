"""Plain BLG-PIAA on OASIS: the same linear head moves on both levels.

The listing of the slides with nothing beside it: on support and query level the same fast
weights move, and the prior of these weights is what is learned; beta = 1/k. It shows what
the second level's own parameters (configs/blg_piaa/oasis_squeezenet.py) add.

    python scripts/train.py --config configs/blg_piaa_plain/oasis_squeezenet.py --workdir runs/plain --config.data.root=FOLDER --config.model.weights=runs/trunk/trunk.safetensors
    python scripts/evaluate.py --config configs/blg_piaa_plain/oasis_squeezenet.py --workdir runs/plain --config.data.root=FOLDER --config.model.weights=runs/trunk/trunk.safetensors

Measured SROCC, 145 raters, 10 splits, tuned trunk: .553 +- .002 with 10 ratings, .597 +- .009 with 100.
With ImageNet's own trunk: .547 +- .002 with 10 ratings, .590 +- .008 with 100.
A minute each to train and to evaluate on 4 shared CPU cores, once the trunk's features
are in the cache (3 to 6 minutes).
"""

from configs.blg_piaa import oasis_squeezenet


def get_config():
    config = oasis_squeezenet.get_config()
    config.method = "blg_piaa_plain"
    config.meta.query = {}
    config.meta.rates = (("head/(slow|warp|bias)", 0.0), (".*", "1/k"))
    config.meta.pull = (("head/fast", 0.8),)
    return config
