"""BA-PIAA on OASIS with EfficientNet-Lite2: the experiment of oasis_squeezenet.py, a better eye.

ImageNet's weights (the package of the extra `weights`) stay as they are. Mean and deviation
over positions of the last three stages and of the head, and the logits, are five blocks with
a Gaussian kernel each; features are means over three sizes of the whole photograph.

    python scripts/train.py    --config configs/ba_piaa/oasis_efficientnet_lite2.py --workdir runs/lite/ba --config.data.root=FOLDER
    python scripts/evaluate.py --config configs/ba_piaa/oasis_efficientnet_lite2.py --workdir runs/lite/ba --config.data.root=FOLDER

Measured SROCC, 145 raters, 10 splits: .589 +- .001 with 10 ratings, .638 +- .009 with 100 (generic .577, .571).
Two minutes of features, then one to three minutes each to train and to evaluate, on one shared CPU core.
"""

from configs.ba_piaa import oasis_squeezenet

TAPS = (
    ("stage5.mean", "stage5.std"),
    ("stage6.mean", "stage6.std"),
    ("stage7.mean", "stage7.std"),
    ("head.mean", "head.std"),
    ("logits",),
)
SIZES = ((288, 360), (384, 480), (224, 280))


def see(config):
    """Changes what a config of OASIS sees: Lite2's stages instead of SqueezeNet's."""
    config.model.backbone = "efficientnet_lite2"
    config.trunk.taps = TAPS
    config.trunk.sizes = SIZES
    config.trunk.five_crops = 0
    config.trunk.flip = False
    config.trunk.map_options = {"gamma": 0.5, "waves": 2048}
    config.generic.strength = 0.1
    return config


def get_config():
    return see(oasis_squeezenet.get_config())
