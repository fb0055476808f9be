"""BA-PIAA on OASIS with one view a photograph: a prior for `jiaa score` on a CPU.

The experiment of configs/ba_piaa/oasis_squeezenet.py, whose features are means over
twenty views, with one of 224 x 224 instead: a twentieth of the time a photograph.

    python scripts/train.py    --config configs/ba_piaa/oasis_squeezenet_one_view.py --workdir runs/one_view --config.data.root=FOLDER --config.model.weights=runs/trunk/trunk.safetensors
    python scripts/evaluate.py --config configs/ba_piaa/oasis_squeezenet_one_view.py --workdir runs/one_view --config.data.root=FOLDER --config.model.weights=runs/trunk/trunk.safetensors

Measured SROCC, 145 raters, 10 splits, tuned trunk: .532 +- .003 with 10 ratings, .588 +- .009 with 100 (generic .504, .500).
Half a minute of features, then a minute each to train and to evaluate, on one shared CPU core.
"""

from configs.ba_piaa import oasis_squeezenet


def get_config():
    config = oasis_squeezenet.get_config()
    config.data.image_size = 224
    config.trunk.sizes = (224,)
    config.trunk.five_crops = 0
    config.trunk.flip = False
    return config
