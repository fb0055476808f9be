"""NIMA on the embedded synthetic world: the distribution alone, by the EMD.

The baseline of PA_IAA's Table I on generated photographs and raters, with the backbone
and schedule of configs/pa_iaa/synthetic_resnet18.py.

    python scripts/train.py --config configs/nima/synthetic_resnet18.py --workdir runs/nima
    python scripts/evaluate.py --config configs/nima/synthetic_resnet18.py --workdir runs/nima
"""

from configs.pa_iaa import synthetic_resnet18


def get_config():
    config = synthetic_resnet18.get_config()
    config.method = "nima"
    config.second.task = "none"
    config.model.hidden = ()
    config.model.batch_norm = False
    config.model.dropout = 0.75
    config.generic.tasks = ("aesthetics",)
    config.generic.loss = "emd"
    return config
