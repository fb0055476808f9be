"""Kong's networks on AADB: ECCV 2016; PDMTL's Table 2, rows Reg to Reg+Rank+Att+Cont.

SROCC .624 (Reg), .652 (Reg+Rank), .678 (Reg+Rank+Att+Cont). What follows the colon
chooses the row: reg, rank, rank_att, rank_cont, rank_att_cont.

    python scripts/train.py    --config configs/kong/aadb_alexnet.py:rank_att --workdir runs/kong --config.data.root=AADB --config.model.weights=alexnet.safetensors
    python scripts/evaluate.py --config configs/kong/aadb_alexnet.py:rank_att --workdir runs/kong --config.data.root=AADB

Rank pairs are all pairs of a batch; contents are a column "content" of the dataset, such
as the clusters that PAM finds. Not run here: the photographs are not at hand.
"""

from configs import common_multitask

VARIANTS = {
    "reg": ("reg",),
    "rank": ("rank",),
    "rank_att": ("rank", "attributes"),
    "rank_cont": ("rank", "content"),
    "rank_att_cont": ("rank", "attributes", "content"),
}


def get_config(variant: str = "rank"):
    config = common_multitask.base()
    config.method = "kong"
    config.dataset = "aadb"
    config.data.name = "aadb"
    config.data.image_size = 256
    config.view.size = 227
    config.second.task = "none"
    config.model.backbone = "alexnet"
    config.model.hidden = (512,)
    config.model.batch_norm = False
    config.model.aesthetics = "sigmoid"
    config.model.kong = VARIANTS[variant]
    config.generic.tasks = ("aesthetics",)
    config.generic.rates = (("backbone/.*", 1e-4), (".*", 1e-3))
    config.generic.steps = 20 * 169
    config.generic.steps_per_epoch = 169
    return config
