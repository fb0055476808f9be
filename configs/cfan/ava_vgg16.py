"""CFAN as published, on AVA's reviews: the paper's numbers, SGD and N(0, 1) weights.

Fig. 8 of the paper, on 185,751 AVA images with 29 tags and 1.4 million reviews. Never run
here: AVA's images and the authors' reviews are not available to us. Maps come from an
ImageNet VGG-16 that stays frozen, and are cached.

    python scripts/prepare_data.py --dataset ava_reviews --manual_dir RAW --data_dir FOLDER --short_side 320
    python scripts/train.py    --config configs/cfan/ava_vgg16.py:cfan_3 --workdir runs/cfan_3 --config.data.root=FOLDER --config.trunk.weights=vgg16.safetensors
    python scripts/evaluate.py --config configs/cfan/ava_vgg16.py:cfan_3 --workdir runs/cfan_3 --config.data.root=FOLDER --config.trunk.weights=vgg16.safetensors
    python scripts/review_data.py --config configs/cfan/ava_vgg16.py --workdir runs/reviews --config.data.root=FOLDER

The paper attends with the pair's own review: --config.objective.attends_to=own.
"""

from configs.cfan import _common

VARIANTS = _common.METHODS


def get_config(method="cfan_3"):
    config = _common.base(method)
    config.dataset = "ava_reviews"
    config.pairs.least_images = 3_000
    config.train.optimizer = "sgd"
    config.train.optimizer_options = {}
    config.train.rate = 0.005
    config.train.schedule = "exponential_epochs"
    config.train.schedule_options = {"steps_per_epoch": 1_000, "decay": 0.99}
    config.train.steps = 100_000
    if method == "mtrlcnn":
        config.trunk.trains = True
        config.objective.relation = 1e-3
        config.train.batch_size = 64
    elif method not in ("bpr", "vbpr"):
        config.model.spread = 1.0
        config.model.merge = "product"
        config.model.interaction = "product"
    return config
