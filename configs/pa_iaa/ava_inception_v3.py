"""PA_IAA on AVA and PsychoFlickr: TIP 2020, Tables I, II and IV and Figure 5.

Table I, Inception-v3: ACC 83.7 %, SROCC .677, EMD .047 (DenseNet121: 82.9, .666, .049).
The single-task rows (80.9, .638, .050) are --config.generic.tasks="('aesthetics',)", and
for Table II "('second',)"; Table II itself, ten folds over users, is scripts/ten_folds.py.

    python scripts/train.py    --config configs/pa_iaa/ava_inception_v3.py --workdir runs/pa_ava --config.data.root=AVA --config.second.root=PSYCHO_FLICKR --config.model.weights=inception_v3.safetensors
    python scripts/evaluate.py --config configs/pa_iaa/ava_inception_v3.py --workdir runs/pa_ava --config.data.root=AVA --config.second.root=PSYCHO_FLICKR
    python scripts/ten_folds.py --config configs/pa_iaa/ava_inception_v3.py --workdir runs/folds --config.data.root=AVA --config.second.root=PSYCHO_FLICKR

Table III tests on FLICKR-AES what AVA taught (.528), by evaluate.databases.
Not run here: the photographs are not at hand.
"""

from configs.pa_iaa import flickr_aes_inception_v3


def get_config():
    config = flickr_aes_inception_v3.get_config()
    config.dataset = "ava"
    config.data.name = "ava"
    config.generic.steps = 50 * 4_600
    config.generic.steps_per_epoch = 4_600
    config.evaluate.threshold = 0.5
    return config
