"""Every field of a config, with what it means; experiments change a few of them.

A file beside this one is one reported experiment; its docstring is the record. Fields are
set on the command line as well: `--config.meta.steps=500`.
"""

from ml_collections import ConfigDict


def base() -> ConfigDict:
    """BA-PIAA and BLG-PIAA as released, where the released program says a number."""
    config = ConfigDict()
    config.method = "blg_piaa"  # the key in results.csv and in the report
    config.dataset = ""  # the dataset's name there
    config.seed = 0  # initial weights, order of examples, augmentation, dropout
    config.prior = (
        ""  # workdir of a finished generic run; "" trains one in WORKDIR/generic
    )
    config.data = ConfigDict(
        {
            "name": "folder",  # a name of jiaa.data.DATASETS
            "root": "",  # its folder; "" is $JIAA_DATA/NAME
            "image_size": 256,  # images are stored squashed to this; (height, width) too
        }
    )
    config.model = ConfigDict(
        {
            "backbone": "resnet18",
            "backbone_options": {},
            "tap": "logits",  # what the head reads
            "head": "released",
            "head_options": {},
            "weights": "",  # torchvision-named .safetensors or .pth; "" is random
        }
    )
    config.view = ConfigDict(
        {
            "size": 224,  # crops while learning, resized whole images else; 0: as stored
            "augment": True,
        }
    )
    config.trunk = ConfigDict(
        {
            "frozen": False,  # only the head learns and adapts; features computed once
            "flip": False,  # features are the mean over an image and its mirror image
            "map": "none",  # none | standardise | rbf, between trunk and head
            "gamma": 1.0,  # of the rbf map
        }
    )
    config.generic = ConfigDict(
        {
            "trains": "all",  # all | head (needs trunk.frozen)
            "steps": 10_000,
            "batch_size": 64,
            "optimizer": "adam",
            "optimizer_options": {},
            "rates": (("head/.*", 1e-3), (".*", 1e-4)),  # first match; 0 freezes
            "schedule": "constant",
            "steps_per_epoch": 500,  # for schedules that go by epoch
            "loss": "mse",
            "weight_by_raters": False,
            "save_every": 1000,
            "log_every": 10,
        }
    )
    config.inner = ConfigDict(
        {
            "optimizer": "adam",
            "rates": (("head/.*", 1e-3), (".*", 1e-4)),
            "optimizer_options": {},  # learned, momentum, b1, b2, eps, eps_root
            "adapts": "all",  # all | head | batch_norm | last | a pattern of paths
            "loss": "mse",
            "batch_norm": "reset",  # frozen | reset | carry
            "dropout": True,
            "batch_size": None,
            "second_order": False,
            "remat": False,
        }
    )
    config.meta = ConfigDict(
        {
            "mode": "parallel",  # parallel | sequential (the released program)
            "outer": "blg",  # blg | maml
            "outer_loss": "mse",  # of maml
            "steps": 2_000,  # meta-iterations; 0 trains the generic prior only
            "users_per_step": 4,  # k
            "inner_steps": 5,  # S, on each level
            "optimizer": "sgd",
            "optimizer_options": {},
            "rates": ((".*", 0.25),),  # beta = 1/k
            "schedule": "constant",
            "steps_per_epoch": 41,
            "sampling": {"support": 80, "query": 20, "fraction": 0.8},
            "keep": "prior",  # prior | last_user (what the released program saves)
            "iterations_per_dispatch": 1,
            "strategy": "map",  # how the users run: vmap | map | unroll
            "chunk": 1,
            "save_every": 100,
            "log_every": 1,
        }
    )
    config.adapt = ConfigDict(
        {
            "kind": "finetune",
            "steps": 20,
            "rates": ((".*", 1e-5),),  # () keeps the inner loop's
            "dropout": False,
        }
    )
    config.evaluate = ConfigDict(
        {"shots": (10, 100), "repeats": 50, "strategy": "map", "seed": 0}
    )
    return config
