"""Ridge on residuals on OASIS: what a practitioner tries first, on the same features.

The generic prior of configs/ba_piaa/oasis_squeezenet.py, and for each rater a ridge
regression of what their scores leave over. Nothing is meta-learned.

    python scripts/train.py --config configs/ridge/oasis_squeezenet.py --workdir runs/ridge --config.data.root=FOLDER --config.model.weights=runs/trunk/trunk.safetensors

Measured SROCC, 145 raters, 10 splits, tuned trunk: .551 +- .002 with 10 ratings, .596 +- .008 with 100.
With ImageNet's own trunk: .544 +- .002 with 10 ratings, .589 +- .008 with 100.
A minute each to train and to evaluate on 4 shared CPU cores, once the trunk's features
are in the cache (3 to 6 minutes).
"""

from configs.ba_piaa import oasis_squeezenet


def get_config():
    config = oasis_squeezenet.get_config()
    config.method = "ridge"
    config.adapt.kind = "ridge"
    config.adapt.strength = 1.2
    return config
