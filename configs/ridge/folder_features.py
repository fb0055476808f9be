"""Ridge on a folder of your own, on features that were computed elsewhere (CLIP, say).

The folder has ratings.csv; `features.npz` has the features (jiaa.data.feature_file). No
network is built or run, and no photograph is read. The crowd's mean score is a ridge
regression on standardised features, and so is, for each rater, what it leaves over.

    python scripts/train.py    --config configs/ridge/folder_features.py --workdir runs/clip --config.data.root=FOLDER --config.data.features=clip.npz
    python scripts/evaluate.py --config configs/ridge/folder_features.py --workdir runs/clip --config.data.root=FOLDER --config.data.features=clip.npz

Who is tested: the split of images.csv; or `--config.data.test_users=0.2`.

The strengths suit features of some hundreds to two thousand; they were chosen on OASIS'
training raters and photographs.
"""

from configs import common


def get_config():
    config = common.base()
    config.method = "ridge"
    config.dataset = "folder"
    config.data.name = "folder"
    config.data.features = "features.npz"
    config.model.backbone = "none"
    config.model.head = "warped"
    config.trunk.frozen = True
    config.trunk.map = "standardise"
    config.generic.trains = "ridge"
    config.generic.strength = 3000.0
    config.meta.steps = 0
    config.inner.adapts = "head/fast"
    config.adapt.kind = "ridge"
    config.adapt.strength = 3000.0
    config.evaluate.shots = (10,)  # as few as people give; --config.evaluate.shots
    config.evaluate.strategy = "vmap"
    config.evaluate.repeats = 10
    return config
