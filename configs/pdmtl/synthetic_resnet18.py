"""PDMTL on the embedded synthetic world: score and traits, trained alternately.

The protocol of ICME 2019's Table 2 on generated photographs and raters: a sigmoid score
and tanh traits on a narrow ResNet18, then the five inter-task weights (Fig. 4), fitted to
the crowd's mean scores of the training images.

    python scripts/train.py --config configs/pdmtl/synthetic_resnet18.py --workdir runs/pdmtl
    python scripts/evaluate.py --config configs/pdmtl/synthetic_resnet18.py --workdir runs/pdmtl
"""

from configs.pa_iaa import synthetic_resnet18


def get_config():
    config = synthetic_resnet18.get_config()
    config.method = "pdmtl"
    config.model.batch_norm = False
    config.model.aesthetics = "sigmoid"
    config.generic.mode = "alternating"
    config.generic.second_loss = "euclidean_sum"
    return config
