"""Kong's networks on the embedded synthetic world, whose attributes and content are known.

Reg, Reg+Rank, +Att, +Cont (PDMTL's Table 2) on generated photographs and raters, with the
backbone and schedule of configs/pa_iaa/synthetic_resnet18.py; what follows the colon as in
configs/kong/aadb_alexnet.py.

    python scripts/train.py    --config configs/kong/synthetic_resnet18.py:rank_att_cont --workdir runs/kong
    python scripts/evaluate.py --config configs/kong/synthetic_resnet18.py:rank_att_cont --workdir runs/kong
"""

from configs.kong.aadb_alexnet import VARIANTS
from configs.pa_iaa import synthetic_resnet18


def get_config(variant: str = "rank"):
    config = synthetic_resnet18.get_config()
    config.method = "kong"
    config.second.task = "none"
    config.model.hidden = (64,)
    config.model.batch_norm = False
    config.model.aesthetics = "sigmoid"
    config.model.kong = VARIANTS[variant]
    config.generic.tasks = ("aesthetics",)
    return config
