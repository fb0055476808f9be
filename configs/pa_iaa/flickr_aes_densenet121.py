"""PA_IAA on FLICKR-AES with DenseNet121 at 224 pixels (TIP 2020, "Implementation").

configs/pa_iaa/flickr_aes_inception_v3.py with the paper's other backbone.

    python scripts/train.py --config configs/pa_iaa/flickr_aes_densenet121.py --workdir runs/pa --config.data.root=FOLDER --config.second.root=PSYCHO_FLICKR --config.model.weights=densenet121.safetensors

Not run here: the photographs of both databases are not at hand.
"""

from configs.pa_iaa import flickr_aes_inception_v3


def get_config():
    config = flickr_aes_inception_v3.get_config()
    config.model.backbone = "densenet121"
    config.data.image_size = 224
    config.view.size = 224
    return config
