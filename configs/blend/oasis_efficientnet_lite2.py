"""The blended taste on OASIS: beauty ratings of 145 unseen raters on unseen photographs.

EfficientNet-Lite2 with ImageNet weights (the package of the extra `weights`) stays frozen;
mean and deviation over positions of its last stages, and its logits, are five blocks,
each brought to length 1, and means over three sizes of the whole photograph. The crowd is
ridge regression of the training raters' mean; for each test rater hypotheses about how much
of the crowd holds for them are averaged by evidence (`personalize.blend`), whose prior
probabilities are learned from training raters and simulated strangers
(`personalize.hyper_prior`).

    python scripts/train.py    --config configs/blend/oasis_efficientnet_lite2.py --workdir runs/lite/blend --config.data.root=FOLDER
    python scripts/evaluate.py --config configs/blend/oasis_efficientnet_lite2.py --workdir runs/lite/blend --config.data.root=FOLDER

Measured SROCC, 145 raters, 10 splits: .579 +- .002 with 10 ratings, .633 +- .007 with 100 (generic .567, .561).
Two minutes of features, then one to three minutes each to train and to evaluate, on one shared CPU core.
"""

from configs import common
from configs.ba_piaa.oasis_efficientnet_lite2 import SIZES, TAPS
from configs.ba_piaa.oasis_squeezenet import SPREAD


def get_config():
    config = common.base()
    config.method = "blend"
    config.dataset = "oasis"
    config.data.name = "oasis"
    config.data.image_size = (288, 360)  # as the photographs are
    config.model.backbone = "efficientnet_lite2"
    config.model.head = "linear"
    config.model.head_options = {"spread": SPREAD}
    config.view.size = 0
    config.view.augment = False
    config.trunk.frozen = True
    config.trunk.taps = TAPS
    config.trunk.sizes = SIZES
    config.trunk.map = "unit"
    config.generic.trains = "ridge"
    config.generic.strength = 0.1
    config.meta.steps = 0
    config.inner.batch_norm = "frozen"
    config.inner.dropout = False
    config.adapt.kind = "blend"
    config.adapt.learned = True
    config.evaluate.strategy = "vmap"
    config.evaluate.repeats = 10
    return config
