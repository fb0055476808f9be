"""NIMA on AVA: Talebi and Milanfar, TIP 2018; PA_IAA's Table I, row NIMA(VGG16).

ACC 80.6 %, SROCC .592, EMD .054. The distribution of votes by the earth mover's distance
with r = 2; one softmax layer after dropout 0.75, SGD with momentum, 3e-7 for the backbone
and 3e-6 for the new layer, images of 256 pixels cropped to 224 and mirrored. Ten epochs:
the paper's rates fall after ten epochs for the first time.

    python scripts/train.py    --config configs/nima/ava_vgg16.py --workdir runs/nima --config.data.root=AVA --config.model.weights=vgg16.safetensors
    python scripts/evaluate.py --config configs/nima/ava_vgg16.py --workdir runs/nima --config.data.root=AVA

Not run here: the photographs are not at hand.
"""

from configs import common_multitask


def get_config():
    config = common_multitask.base()
    config.method = "nima"
    config.dataset = "ava"
    config.data.name = "ava"
    config.data.image_size = 256
    config.view.size = 224
    config.second.task = "none"
    config.model.backbone = "vgg16"
    config.model.hidden = ()
    config.model.batch_norm = False
    config.model.dropout = 0.75
    config.generic.tasks = ("aesthetics",)
    config.generic.loss = "emd"
    config.generic.optimizer_options = {"momentum": 0.9}
    config.generic.rates = (("backbone/.*", 3e-7), (".*", 3e-6))
    config.generic.schedule = "constant"
    config.generic.steps = 10 * 4_600
    config.generic.steps_per_epoch = 4_600
    config.evaluate.threshold = 0.5
    return config
