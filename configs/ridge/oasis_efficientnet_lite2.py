"""Ridge on residuals on OASIS with EfficientNet-Lite2: the eye of configs/ba_piaa/oasis_efficientnet_lite2.py.

Nothing is meta-learned, as in configs/ridge/oasis_squeezenet.py.

    python scripts/train.py    --config configs/ridge/oasis_efficientnet_lite2.py --workdir runs/lite/ridge --config.data.root=FOLDER
    python scripts/evaluate.py --config configs/ridge/oasis_efficientnet_lite2.py --workdir runs/lite/ridge --config.data.root=FOLDER

Measured SROCC, 145 raters, 10 splits: .590 +- .002 with 10 ratings, .643 +- .009 with 100.
Two minutes of features, then one to three minutes each to train and to evaluate, on one shared CPU core.
"""

from configs.ba_piaa.oasis_efficientnet_lite2 import see
from configs.ridge import oasis_squeezenet


def get_config():
    config = see(oasis_squeezenet.get_config())
    config.adapt.strength = 0.4  # chosen on training raters, as docs/own_photos.md says
    return config
