"""BA-PIAA on the embedded synthetic world: the generic prior, then adaptation of a head.

The protocol of the slides' Table II (row BA-PIAA) on generated photographs and raters: a
narrow ResNet18 learns the crowd's mean score from 64 px images; then its trunk is frozen
and the head is fine-tuned for each of the 37 test users. First stage of the quickstart.

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
    config.model.head = "pooled"
    config.model.head_options = {"hidden": (64,)}
    config.view.size = 56
    config.trunk.frozen = True
    config.generic.steps = 1200
    config.generic.rates = ((".*", 1e-3),)
    config.generic.schedule = "cosine"
    config.meta.steps = 0
    config.inner.rates = ((".*", 1e-3),)
    config.inner.batch_norm = "frozen"
    config.inner.dropout = False
    config.adapt.rates = ()
    config.evaluate.strategy = "vmap"
    return config
