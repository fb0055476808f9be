"""BA-PIAA on FLICKR-AES with AlexNet: the slides' Table II, AlexNet, BA-PIAA.

All but the backbone is as in flickr_aes_resnet18.py, the commands too; FILE is
torchvision's alexnet. AlexNet has no BatchNorm: only the head's depends on a batch.

Expected SROCC: 0.491 +- 0.002 with 10 ratings, 0.556 +- 0.007 with 100. Never run here:
FLICKR-AES images are not available; so device and time are unknown.
"""

from configs.ba_piaa import flickr_aes_resnet18


def get_config():
    config = flickr_aes_resnet18.get_config()
    config.model.backbone = "alexnet"
    return config
