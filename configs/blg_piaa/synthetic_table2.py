"""BLG-PIAA by backbone on the embedded synthetic world: Table II in small.

The trunk and the head's start are those of a finished BA-PIAA run of
configs/ba_piaa/synthetic_table2.py; the head's prior is meta-learned over the users.

    python scripts/table2.py --dataset synthetic --runs runs/table2
    python scripts/train.py --config configs/blg_piaa/synthetic_table2.py:alexnet \
        --workdir runs/blg_alexnet --config.prior=runs/ba_alexnet

Measured with BA-PIAA's experiments, whose record tells when and how (SROCC, 10 and 100
ratings; the un-adapted prior's):

    AlexNet       0.330 +- 0.003   0.332 +- 0.027   (0.328, 0.329)
    ResNet18      0.417 +- 0.003   0.424 +- 0.020   (0.416, 0.421)
    Inception-v3  0.260 +- 0.007   0.260 +- 0.027   (0.272, 0.268)

All six are above BA-PIAA's, but what is better is the prior, before any adaptation.
"""

from configs.ba_piaa import synthetic_table2


def get_config(backbone: str = "resnet18"):
    config = synthetic_table2.get_config(backbone)
    config.method = "blg_piaa"
    config.meta.steps = 400
    config.meta.iterations_per_dispatch = 20
    config.meta.save_every = 200
    config.meta.log_every = 20
    config.meta.strategy = "vmap"
    return config
