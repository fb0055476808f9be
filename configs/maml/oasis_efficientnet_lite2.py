"""MAML on OASIS with EfficientNet-Lite2: the eye of configs/ba_piaa/oasis_efficientnet_lite2.py.

Second order and learned inner rates, as in configs/maml/oasis_squeezenet.py.

    python scripts/train.py    --config configs/maml/oasis_efficientnet_lite2.py --workdir runs/lite/maml --config.data.root=FOLDER
    python scripts/evaluate.py --config configs/maml/oasis_efficientnet_lite2.py --workdir runs/lite/maml --config.data.root=FOLDER
"""

from configs.ba_piaa.oasis_efficientnet_lite2 import see
from configs.maml import oasis_squeezenet


def get_config():
    return see(oasis_squeezenet.get_config())
