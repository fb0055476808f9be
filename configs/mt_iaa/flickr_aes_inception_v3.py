"""MT_IAA on FLICKR-AES: PA_IAA's Table V, row MT_IAA: .523 +- .004 and .582 +- .014.

configs/pa_iaa/flickr_aes_inception_v3.py with AVA's distribution as the second task: ten
weights a user.

    python scripts/train.py --config configs/mt_iaa/flickr_aes_inception_v3.py --workdir runs/mt --config.data.root=FOLDER --config.second.root=AVA_FOLDER --config.model.weights=inception_v3.safetensors

Not run here: the photographs of both databases are not at hand.
"""

from configs.pa_iaa import flickr_aes_inception_v3


def get_config():
    config = flickr_aes_inception_v3.get_config()
    config.method = "mt_iaa"
    config.second.task = "votes"
    config.second.name = "ava"
    return config
