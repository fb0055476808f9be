"""BLG-PIAA by backbone on the embedded synthetic world: Table II in small.

The trunk and the head's start are those of a finished BA-PIAA run of
configs/ba_piaa/synthetic_table2.py; the head's prior is meta-learned over the users.

    python scripts/table2.py --dataset synthetic --runs runs/table2
    python scripts/train.py --config configs/blg_piaa/synthetic_table2.py:alexnet \
        --workdir runs/blg_alexnet --config.prior=runs/ba_alexnet
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
