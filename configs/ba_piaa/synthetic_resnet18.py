"""BA-PIAA on the embedded synthetic world: the generic prior, then fast weights a user.

The protocol of the slides' Table II (row BA-PIAA) on generated photographs and raters. A
narrow ResNet18 learns the crowd's mean score from 64 px images; then its trunk is frozen,
a linear head on its four stages is solved in closed form for the same scores, and the
head's fast weights are fine-tuned for each of the 37 test users. First stage of the
quickstart. Chosen on development worlds (data.seed 10 and 11); seeds 0, 1, 2 are reported.

    python scripts/train.py --config configs/ba_piaa/synthetic_resnet18.py --workdir runs/ba
    python scripts/evaluate.py --config configs/ba_piaa/synthetic_resnet18.py --workdir runs/ba
"""

from configs import common


def get_config():
    config = common.base()
    config.method = "ba_piaa"
    config.dataset = "synthetic"
    config.data.name = "synthetic"
    config.data.image_size = 64
    config.data.seed = 0
    config.model.backbone = "resnet18"
    config.model.backbone_options = {"width": 16}
    config.model.tap = "pooled"
    config.model.head = "warped"
    config.model.head_options = {"spread": 0.22}
    config.view.size = 60
    config.trunk.frozen = True
    config.trunk.taps = tuple(
        (f"stage{number}.mean", f"stage{number}.std") for number in range(1, 5)
    )
    config.trunk.map = "standardise"
    config.generic.steps = 800
    config.generic.optimizer = "adamw"
    config.generic.optimizer_options = {"weight_decay": 0.2}
    config.generic.rates = (("head/(fast|warp)", 0.0), (".*", 3e-3))
    config.generic.schedule = "cosine"
    config.generic.save_every = 200
    config.generic.refit = True
    config.generic.strength = 3000.0
    config.meta.steps = 0
    config.inner.optimizer = "sgd"
    config.inner.adapts = "head/fast"
    config.inner.loss = "centred"
    config.inner.reduction = "sum"
    config.inner.rates = ((".*", 3e-4),)
    config.inner.batch_norm = "frozen"
    config.inner.dropout = False
    config.adapt.steps = 20
    config.adapt.rates = ()
    config.evaluate.strategy = "vmap"
    return config
