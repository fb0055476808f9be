"""BLG-PIAA on the embedded synthetic world: the head's prior meta-learned over users.

The protocol of the slides' Table II (row BLG-PIAA) on generated photographs and raters;
the trunk is BA-PIAA's. Second stage of the quickstart.

    python scripts/train.py --config configs/blg_piaa/synthetic_resnet18.py --workdir runs/blg
    python scripts/evaluate.py --config configs/blg_piaa/synthetic_resnet18.py --workdir runs/blg
"""

from configs.ba_piaa import synthetic_resnet18


def get_config():
    config = synthetic_resnet18.get_config()
    config.method = "blg_piaa"
    config.meta.steps = 2000
    config.meta.iterations_per_dispatch = 20
    config.meta.save_every = 500
    config.meta.log_every = 20
    config.meta.strategy = "vmap"
    return config
