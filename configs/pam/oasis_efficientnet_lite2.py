"""PAM on OASIS with EfficientNet-Lite2: the eye of configs/ba_piaa/oasis_efficientnet_lite2.py.

nu-SVR of the offsets, as in configs/pam/oasis_squeezenet.py.

    python scripts/train.py    --config configs/pam/oasis_efficientnet_lite2.py --workdir runs/lite/pam --config.data.root=FOLDER
    python scripts/evaluate.py --config configs/pam/oasis_efficientnet_lite2.py --workdir runs/lite/pam --config.data.root=FOLDER

Measured SROCC, 145 raters, 10 splits: .589 +- .002 with 10 ratings, .639 +- .010 with 100.
Two minutes of features, then one to three minutes each to train and to evaluate, on one shared CPU core.
"""

from configs.ba_piaa.oasis_efficientnet_lite2 import see
from configs.pam import oasis_squeezenet


def get_config():
    return see(oasis_squeezenet.get_config())
