"""R2-D2 on OASIS, beside BLG-PIAA: the inner loop is ridge regression, in closed form.

The network and start of configs/ba_piaa/oasis_squeezenet.py; the generic weights, the
warp and the ridge's strength are learned through the solution (Bertinetto et al., ICLR
2019). A row of its own: BLG-PIAA adapts by gradient steps.

    python scripts/train.py --config configs/r2d2/oasis_squeezenet.py --workdir runs/r2d2 --config.data.root=FOLDER --config.model.weights=runs/trunk/trunk.safetensors

Measured SROCC, 145 raters, 10 splits, tuned trunk: .552 +- .001 with 10 ratings, .601 +- .008 with 100.
With ImageNet's own trunk: .546 +- .002 with 10 ratings, .596 +- .007 with 100.
A minute each to train and to evaluate on 4 shared CPU cores, once the trunk's features
are in the cache (3 to 6 minutes).
"""

from configs.maml import oasis_squeezenet


def get_config():
    config = oasis_squeezenet.get_config()
    config.method = "r2d2"
    config.inner.second_order = False
    config.inner.optimizer_options = {}
    config.adapt.kind = "ridge"
    config.adapt.strength = 1.2
    config.adapt.learned = True
    return config
