"""BPR, VBPR, CFN-1 and CFN_pure on OASIS, warm: a tenth of the pairs held out.

Beauty ratings from 1 to 7, good above 4; images and raters are on both sides. Maps are
those of SqueezeNet 1.1's last fire module at 320 px (no VGG-16 weights are at hand), the
tag is the photograph's category. There are no reviews.

    python scripts/train.py    --config configs/cfan/oasis.py:cfn_1 --workdir runs/cfn_1 --config.data.root=FOLDER --config.trunk.weights=squeezenet1_1_imagenet.safetensors
    python scripts/evaluate.py --config configs/cfan/oasis.py:cfn_1 --workdir runs/cfn_1 --config.data.root=FOLDER --config.trunk.weights=squeezenet1_1_imagenet.safetensors
    python scripts/cfan_table.py --config oasis --root FOLDER --weights squeezenet1_1_imagenet.safetensors

Measured on 8,403 held-out pairs, two seeds, AUC / AUC per user / accuracy: BPR .818 /
.852 / .801, VBPR .801 / .830 / .786, CFN_pure .878 / .847 / .801, CFN-1 .880 / .847 /
.803. One to four minutes each on one shared CPU core, once the maps are in the cache.
"""

from configs.cfan import _common

VARIANTS = ("bpr", "vbpr", "cfn_pure", "cfn_1")


def get_config(method="cfn_1"):
    config = _common.base(method)
    config.dataset = "oasis"
    config.data.name = "oasis"
    config.pairs.good_above = 4.01 / 7
    config.pairs.crowd_above = 4 / 7
    config.pairs.tag = "category"
    config.trunk.backbone = "squeezenet"
    config.trunk.stage = "fire9"
    penalties = {"bpr": 0.03, "vbpr": 0.1, "cfn_pure": 0.3, "cfn_1": 0.03}
    config.objective.penalty = penalties[method]
    if method == "cfn_1":
        config.model.width = 16
        config.model.hidden = ()
    if method in ("cfn_pure", "cfn_1"):
        config.train.steps = 3000
    if method in ("cfn_1", "vbpr"):
        config.train.optimizer_options = {"weight_decay": 1.0}
    if method == "bpr":
        config.train.steps = 4000
    return config
