"""BA-PIAA on the synthetic world, all of a tiny network adapting, as the papers do.

A ResNet18 of width 8 on 32 px images, with the released head's protocol: Adam, 20 full
batches of a user's ratings. Small enough for a CPU; made to compare what BatchNorm does in
inner loops (docs/batch_norm.md).

    python scripts/train.py --config configs/ba_piaa/synthetic_resnet18_whole.py --workdir runs/whole_ba
    python scripts/evaluate.py --config configs/ba_piaa/synthetic_resnet18_whole.py --workdir runs/whole_ba
"""

from configs import common


def get_config():
    config = common.base()
    config.method = "ba_piaa"
    config.dataset = "synthetic"
    config.data.name = "synthetic"
    config.data.image_size = 32
    config.data.seed = 0
    config.model.backbone_options = {"width": 8}
    config.model.tap = "pooled"
    config.model.head = "pooled"
    config.model.head_options = {"hidden": (32,)}
    config.view.size = 0
    config.generic.steps = 1000
    config.generic.rates = ((".*", 2e-3),)
    config.generic.schedule = "cosine"
    config.generic.save_every = 250
    config.meta.steps = 0
    config.inner.dropout = False
    config.adapt.rates = ()
    config.evaluate.repeats = 3
    return config
