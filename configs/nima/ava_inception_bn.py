"""NIMA on AVA, Inception-BN: PA_IAA's Table I, row NIMA(Inception-v2).

ACC 81.5 %, SROCC .612, EMD .050. configs/nima/ava_vgg16.py with another backbone.

    python scripts/train.py --config configs/nima/ava_inception_bn.py --workdir runs/nima --config.data.root=AVA --config.model.weights=inception_bn.safetensors

Not run here: the photographs are not at hand.
"""

from configs.nima import ava_vgg16


def get_config():
    config = ava_vgg16.get_config()
    config.model.backbone = "inception_bn"
    return config
