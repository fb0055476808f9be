"""The blended taste on BLG-PIAA's prior: OASIS through EfficientNet-Lite2.

The crowd is BLG-PIAA's generic score, and the own taste has the kernel of its warped features
(configs/blg_piaa/oasis_efficientnet_lite2.py), which is a Gaussian one already and gets no
further curvature. The hyper-prior is learned beside the generic prior, before meta-training.

    python scripts/train.py    --config configs/blend/oasis_efficientnet_lite2_blg.py --workdir runs/lite/blend_blg --config.data.root=FOLDER
    python scripts/evaluate.py --config configs/blend/oasis_efficientnet_lite2_blg.py --workdir runs/lite/blend_blg --config.data.root=FOLDER

Measured SROCC, 145 raters, 10 splits: .599 +- .002 with 10 ratings, .648 +- .008 with 100.
Two minutes of features, then one to three minutes each to train and to evaluate, on one shared CPU core.
"""

from configs.blg_piaa import oasis_efficientnet_lite2


def get_config():
    config = oasis_efficientnet_lite2.get_config()
    config.method = "blend"
    config.adapt.kind = "blend"
    config.adapt.learned = True
    config.adapt.options = {"curvature": 0.0}
    return config
