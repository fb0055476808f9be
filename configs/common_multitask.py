"""Every field of a multi-task experiment: PDMTL, PA_IAA, MT_IAA, NIMA, Kong's networks.

`config.program` = "multitask" is what sets these apart from `configs/common.py`; the
sections data, view, trunk, generic and evaluate mean what they mean there, and have the
fields below besides.
"""

from configs import common


def base():
    """PA_IAA as its paper says, where it says a number."""
    old = common.base()
    config = type(old)()
    config.program = "multitask"
    config.method = "pa_iaa"
    config.dataset = ""
    config.seed = 0
    config.data = old.data  # the aesthetic task's database
    config.second = common._section(
        {
            "task": "traits",  # traits | votes | column (of images.csv) | none
            "name": "synthetic",  # synthetic | psycho_flickr | ava | "": config.data's
            "root": "",
            "column": "",  # for task "column": category, say
            "image_size": None,  # None: config.data's
            "stream": False,  # real photographs are decoded when they are needed
            "cache_dir": "",  # keeps real photographs decoded; "": nowhere
            "seed": 0,  # of the synthetic databases, as the following
            "users": 300,
            "images": 6_000,
            "shown": 200,
            "likes": 20,
            "voters": 200,
            "train_images": 0,  # so many, drawn by the seed above, are learned from; 0: all
            "fold": 0,  # which of ten folds of users is held out; None: nobody
        }
    )
    config.model = common._section(
        {
            "backbone": "inception_v3",
            "backbone_options": {},
            "tap": "pooled",
            "weights": "",
            "hidden": (1024, 512),  # of each branch
            "batch_norm": True,  # after each FC; before tanh too with "output_norm"
            "output_norm": False,
            "dropout": 0.0,
            "aesthetics": "softmax",  # a distribution; or "sigmoid", the mean score
            "kong": (),  # of reg, rank, attributes, content: Kong's network instead
        }
    )
    config.view = old.view
    config.view.size = 299
    config.trunk = old.trunk
    config.generic = old.generic
    for name in ("refit", "strength", "weight_by_raters"):
        del config.generic[name]
    config.generic.update(
        {
            "trains": "all",  # all | branches (on a frozen trunk's features)
            "tasks": ("aesthetics", "second"),  # one of them: the single-task row
            "mode": "joint",  # joint | alternating
            "gamma": 1.0,  # weight of the second task's loss
            "loss": "euclidean",  # of a distribution: euclidean | emd
            "second_loss": "euclidean",  # euclidean | euclidean_sum | cross_entropy
            "steps": 50 * 705,  # 50 epochs of FLICKR-AES' 35,263 images
            "batch_size": 50,
            "optimizer": "sgd",
            "optimizer_options": {"momentum": 0.9, "weight_decay": 1e-5},
            "rates": (("backbone/.*", 1e-5), (".*", 1e-4)),
            "schedule": "exponential_epochs",
            "steps_per_epoch": 705,
        }
    )
    config.fusion = common._section(
        {
            "kind": "ridge",  # ridge | steps (the papers' SGD) | released (all moves)
            "strength": 1.0,  # of ridge
            "offset": True,  # of ridge: whether a user's own level is fitted too
            "epochs": 50,  # of steps, as the following
            "batch_size": 50,
            "rate": 1e-4,
            "hidden": (64,),  # of released: the small network
            "steps": 20,
        }
    )
    config.evaluate = old.evaluate
    config.evaluate.threshold = None  # of ACC, unit score; None: training median
    # Other databases whose test images are predicted too (PA_IAA, Table III): name ->
    # what differs from config.data.
    config.evaluate.databases = common._section({})
    return config
