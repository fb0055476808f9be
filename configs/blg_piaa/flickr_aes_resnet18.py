"""BLG-PIAA on FLICKR-AES with ResNet18: the slides' Table II (and Table I), BLG-PIAA.

Zhu et al., "Personalized Image Aesthetics Assessment via Meta-learning with Bi-level
Gradient Optimization", IEEE TCYB 2020, in the words of Li's slides: from ImageNet's
weights (no generic training comes first), each iteration adapts the prior to 4 users by
5 Adam steps on 80 ratings and 5 on 20 others, and moves it towards them. 43 iterations
visit the 173 training users once (the released program takes 165 of them), 50 epochs in
all. Network, images, rates and adaptation to test users are BA-PIAA's.

    python scripts/train.py    --config configs/blg_piaa/flickr_aes_resnet18.py \
        --workdir runs/blg --config.data.root=FOLDER --config.model.weights=FILE
    python scripts/evaluate.py, with the same flags
    python scripts/table2.py --dataset flickr_aes ...    for the whole table

This is the algorithm. The released program, step for step, is the same config with

    --config.meta.mode=sequential --config.meta.keep=last_user

Expected SROCC: 0.561 +- 0.005 with 10 ratings, 0.669 +- 0.013 with 100. Never run here:
FLICKR-AES images are not available; so device and time are unknown.
"""

from configs.ba_piaa import flickr_aes_resnet18


def get_config():
    return from_ba(flickr_aes_resnet18.get_config())


def from_ba(config):
    """The BLG-PIAA experiment with the network and images of a BA-PIAA one."""
    config.method = "blg_piaa"
    config.generic.steps = 0
    config.meta.steps = 50 * 43
    config.meta.steps_per_epoch = 43
    return config
