"""PA_IAA's distribution model on OASIS: beauty from 1 to 7, and fusion for each rater.

The aesthetic task is the distribution of the crowd's scores of a photograph (PA_IAA,
eqs. 1 to 3); the protocol is that of Tables I and V on real ratings (Brielmann and Pelli
2019), on 133 photographs and 145 raters that nothing was learned from. Nobody's traits are
known: the second task is the photograph's category (animal, object, scene). SqueezeNet 1.1
with ImageNet weights is frozen; three blocks of its features, averaged over views, become a
kernel machine (`models.feature_map`) on which both branches are linear.

    python scripts/train.py    --config configs/pa_iaa/oasis_squeezenet.py --workdir runs/pa --config.data.root=FOLDER --config.model.weights=squeezenet1_1_imagenet.safetensors
    python scripts/evaluate.py --config configs/pa_iaa/oasis_squeezenet.py --workdir runs/pa --config.data.root=FOLDER --config.model.weights=squeezenet1_1_imagenet.safetensors

Measured: SROCC with the crowd .776, ACC 79.7 %, EMD .102; raters .541 +- .002 with 10
ratings, .549 +- .009 with 100 (generic .533, .528). A minute on a CPU core, once the trunk's
features are in the cache. The recipe was chosen by ten folds over the training photographs,
the strength on training raters (docs/personality.md).
"""

from configs import common_multitask
from configs.ba_piaa import oasis_squeezenet


def get_config():
    config = common_multitask.base()
    sibling = oasis_squeezenet.get_config()
    config.method = "pa_iaa"
    config.dataset = "oasis"
    config.data = sibling.data
    config.view = sibling.view
    config.trunk = sibling.trunk
    config.trunk.map_options = {"weights": (1.0, 0.3, 0.2), "waves": 2}
    config.second.task = "column"
    config.second.name = ""
    config.second.column = "category"
    config.model.backbone = "squeezenet"
    config.model.tap = "logits"
    config.model.hidden = ()
    config.model.batch_norm = False
    config.generic.trains = "branches"
    config.generic.loss = "emd"
    config.generic.second_loss = "cross_entropy"
    config.generic.steps = 400
    config.generic.batch_size = 254
    config.generic.optimizer = "adam"
    config.generic.optimizer_options = {"weight_decay": 6e-5}
    config.generic.rates = ((".*", 0.03),)
    config.generic.schedule = "cosine"
    config.generic.save_every = 200
    config.fusion.strength = 10.0
    config.evaluate.repeats = 10
    config.evaluate.strategy = "vmap"
    return config
