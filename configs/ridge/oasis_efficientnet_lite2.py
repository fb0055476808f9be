"""Ridge on residuals on OASIS with EfficientNet-Lite2: the eye of configs/ba_piaa/oasis_efficientnet_lite2.py.

Nothing is meta-learned, as in configs/ridge/oasis_squeezenet.py.

    python scripts/train.py    --config configs/ridge/oasis_efficientnet_lite2.py --workdir runs/lite/ridge --config.data.root=FOLDER
    python scripts/evaluate.py --config configs/ridge/oasis_efficientnet_lite2.py --workdir runs/lite/ridge --config.data.root=FOLDER
"""

from configs.ba_piaa.oasis_efficientnet_lite2 import see
from configs.ridge import oasis_squeezenet


def get_config():
    config = see(oasis_squeezenet.get_config())
    config.adapt.strength = 0.4  # chosen on training raters, as docs/own_photos.md says
    return config
