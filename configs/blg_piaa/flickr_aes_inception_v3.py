"""BLG-PIAA on FLICKR-AES with Inception-v3: the slides' Table II, that row.

As flickr_aes_resnet18.py, the commands too; images and FILE are those of BA-PIAA's
flickr_aes_inception_v3.py: 299 px crops.

Expected SROCC: 0.548 +- 0.006 with 10 ratings, 0.651 +- 0.016 with 100. Never run here:
FLICKR-AES images are not available; so device and time are unknown.
"""

from configs.ba_piaa import flickr_aes_inception_v3
from configs.blg_piaa.flickr_aes_resnet18 import from_ba


def get_config():
    return from_ba(flickr_aes_inception_v3.get_config())
