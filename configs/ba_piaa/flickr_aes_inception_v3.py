"""BA-PIAA on FLICKR-AES with Inception-v3: the slides' Table II, Inception-v3, BA-PIAA.

As flickr_aes_resnet18.py, the commands too, but at Inception's own size: images are
stored at 342 px (14 GB) and cropped to 299, in the proportion of 256 to 224 and as
torchvision prepares them; the slides do not tell. FILE is torchvision's inception_v3,
with or without its auxiliary classifier, which is not used.

Expected SROCC: 0.519 +- 0.004 with 10 ratings, 0.576 +- 0.009 with 100. Never run here:
FLICKR-AES images are not available; so device and time are unknown.
"""

from configs.ba_piaa import flickr_aes_resnet18


def get_config():
    config = flickr_aes_resnet18.get_config()
    config.data.image_size = 342
    config.model.backbone = "inception_v3"
    config.view.size = 299
    return config
