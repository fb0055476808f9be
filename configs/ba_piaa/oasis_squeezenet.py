"""BA-PIAA on OASIS: beauty ratings of 145 unseen raters on unseen photographs.

The protocol of the slides' Table II on real ratings (DATA: Brielmann and Pelli 2019).
SqueezeNet 1.1 with ImageNet weights is first taught the training raters' tastes, 25 steps
(`train.trunk_steps`; ImageNet's own weights do without), then frozen; three blocks of its
features, averaged over views, become a kernel machine (`models.feature_map`), whose
linear head regresses the crowd's mean score in closed form and is then fine-tuned for
each rater.

    python scripts/tune_trunk.py --config configs/ba_piaa/_oasis_squeezenet_trunk.py --workdir runs/trunk --config.data.root=FOLDER --config.model.weights=squeezenet1_1_imagenet.safetensors
    python scripts/train.py    --config configs/ba_piaa/oasis_squeezenet.py --workdir runs/ba --config.data.root=FOLDER --config.model.weights=runs/trunk/trunk.safetensors
    python scripts/evaluate.py --config configs/ba_piaa/oasis_squeezenet.py --workdir runs/ba --config.data.root=FOLDER --config.model.weights=runs/trunk/trunk.safetensors

Measured SROCC, 145 raters, 10 splits, tuned trunk: .551 +- .002 with 10 ratings, .596 +- .009 with 100 (generic .536, .531).
With ImageNet's own trunk: .544 +- .002 with 10 ratings, .589 +- .008 with 100 (generic .531, .526).
Three minutes to tune the trunk on 2 shared CPU cores. A minute each to train and to
evaluate on 4, once the trunk's features are in the cache (3 to 6 minutes).
"""

from configs import common

SPREAD = 1.6 / 7  # the training raters' usual spread, in unit scores


def get_config():
    config = common.base()
    config.method = "ba_piaa"
    config.dataset = "oasis"
    config.data.name = "oasis"
    config.data.image_size = (288, 360)  # as the photographs are
    config.model.backbone = "squeezenet"
    config.model.head = "warped"
    config.model.head_options = {"shared": 254, "spread": SPREAD}
    config.view.size = 0
    config.view.augment = False
    config.trunk.frozen = True
    config.trunk.taps = (
        ("logits",),
        ("fire9.mean",),
        ("fire7.mean", "fire7.std", "fire7.max"),
    )
    config.trunk.sizes = ((288, 360), (384, 480), (224, 280), 224, 256)
    config.trunk.five_crops = 224
    config.trunk.flip = True
    config.trunk.map = "kernel"
    config.trunk.map_options = {"weights": (1.0, 0.3, 0.2), "waves": 2048}
    config.generic.trains = "ridge"
    config.generic.strength = 0.3
    config.meta.steps = 0
    config.inner.optimizer = "sgd"
    config.inner.adapts = "head/fast"
    config.inner.loss = "centred"
    config.inner.reduction = "sum"
    config.inner.rates = ((".*", 0.05 / SPREAD**2),)
    config.inner.decay = 2.4 * SPREAD**2
    config.inner.calibrate = {"spread": SPREAD, "weight": 0.2}
    config.inner.batch_norm = "frozen"
    config.inner.dropout = False
    config.adapt.steps = 10
    config.adapt.rates = ()
    config.evaluate.strategy = "vmap"
    config.evaluate.repeats = 10
    return config
