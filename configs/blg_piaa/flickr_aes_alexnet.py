"""BLG-PIAA on FLICKR-AES with AlexNet: the slides' Table II, AlexNet, BLG-PIAA.

All but the backbone is as in flickr_aes_resnet18.py, the commands too; FILE is
torchvision's alexnet.

Expected SROCC: 0.534 +- 0.003 with 10 ratings, 0.624 +- 0.011 with 100. Never run here:
FLICKR-AES images are not available; so device and time are unknown.
"""

from configs.ba_piaa import flickr_aes_alexnet
from configs.blg_piaa.flickr_aes_resnet18 import from_ba


def get_config():
    return from_ba(flickr_aes_alexnet.get_config())
