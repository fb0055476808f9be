"""BLG-PIAA on the synthetic world, all of a tiny network adapting, as the papers do.

k = 4 users, S = 5 Adam steps on 80 and then on 20 ratings, beta = 1/k. See
configs/ba_piaa/synthetic_resnet18_whole.py.

    python scripts/train.py --config configs/blg_piaa/synthetic_resnet18_whole.py --workdir runs/whole_blg --config.prior=runs/whole_ba
    python scripts/evaluate.py --config configs/blg_piaa/synthetic_resnet18_whole.py --workdir runs/whole_blg
"""

from configs.ba_piaa import synthetic_resnet18_whole


def get_config():
    config = synthetic_resnet18_whole.get_config()
    config.method = "blg_piaa"
    config.meta.steps = 300
    config.meta.save_every = 100
    return config
