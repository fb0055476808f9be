"""MT_IAA on the embedded synthetic world: AVA's distribution in place of the traits.

PA_IAA (configs/pa_iaa/synthetic_resnet18.py) with another second task, the votes from 1
to 10 of a crowd on photographs of its own, so that a user has ten weights: what a second
database gives that says nothing about persons (PA_IAA's Table V, row MT_IAA).

    python scripts/train.py --config configs/mt_iaa/synthetic_resnet18.py --workdir runs/mt
    python scripts/evaluate.py --config configs/mt_iaa/synthetic_resnet18.py --workdir runs/mt

Figures stand in docs/personality.md.
"""

from configs.pa_iaa import synthetic_resnet18


def get_config():
    config = synthetic_resnet18.get_config()
    config.method = "mt_iaa"
    config.second.task = "votes"
    config.second.images = config.second.train_images  # as many as PA_IAA learns from
    return config
