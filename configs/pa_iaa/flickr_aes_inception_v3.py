"""PA_IAA on FLICKR-AES and PsychoFlickr: TIP 2020, Tables III to V and Figures 6, 7.

Table V: SROCC .543 +- .003 with 10 ratings, .639 +- .011 with 100; 37 users, 50 splits;
Table III: .716 on FLICKR-AES' own images. Inception-v3, both databases in every step, SGD
with momentum, 50 epochs.

    python scripts/train.py    --config configs/pa_iaa/flickr_aes_inception_v3.py --workdir runs/pa --config.data.root=FOLDER --config.second.root=PSYCHO_FLICKR --config.model.weights=inception_v3.safetensors
    python scripts/evaluate.py --config configs/pa_iaa/flickr_aes_inception_v3.py --workdir runs/pa --config.data.root=FOLDER --config.second.root=PSYCHO_FLICKR

The paper's fit of the five weights is --config.fusion.kind=steps, the released program's
--config.fusion.kind=released; its training is --config.generic.mode=alternating with Adam
(--config.generic.optimizer=adam) and --config.model.output_norm.
Not run here: the photographs of both databases are not at hand.
"""

from configs import common_multitask


def get_config():
    config = common_multitask.base()
    config.dataset = "flickr_aes"
    config.data.name = "flickr_aes"
    config.data.image_size = 299
    config.second.name = "psycho_flickr"
    config.view.augment = False  # "Images are resized to 299 x 299"
    return config
