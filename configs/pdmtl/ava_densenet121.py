"""PDMTL on AVA and PsychoFlickr: ICME 2019, Table 1: ACC 81.5 % (one task: 76.1 %).

DenseNet121 with a sigmoid score and tanh traits, trained alternately; 20 epochs of SGD,
images of 256 pixels cropped to 224. Then everything is frozen and five weights are fitted
to the crowd's mean scores of the training images (eqs. 5, 6): generic.json's
"inter_task".

    python scripts/train.py    --config configs/pdmtl/ava_densenet121.py --workdir runs/pdmtl --config.data.root=AVA --config.second.root=PSYCHO_FLICKR --config.model.weights=densenet121.safetensors
    python scripts/evaluate.py --config configs/pdmtl/ava_densenet121.py --workdir runs/pdmtl --config.data.root=AVA --config.second.root=PSYCHO_FLICKR

The single-task row is --config.generic.tasks="('aesthetics',)".
Not run here: the photographs are not at hand.
"""

from configs import common_multitask


def get_config():
    config = common_multitask.base()
    config.method = "pdmtl"
    config.dataset = "ava"
    config.data.name = "ava"
    config.data.image_size = 256
    config.view.size = 224
    config.second.name = "psycho_flickr"
    config.second.fold = None
    config.model.backbone = "densenet121"
    config.model.batch_norm = False
    config.model.aesthetics = "sigmoid"
    config.generic.mode = "alternating"
    config.generic.second_loss = "euclidean_sum"
    config.generic.steps = 20 * 4_600
    config.generic.steps_per_epoch = 4_600
    config.fusion.epochs = 20
    config.evaluate.threshold = 0.5
    return config
