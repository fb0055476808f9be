"""Every field of a collaborative experiment, with what it means.

BPR, VBPR, CFN, CFAN and MTRLCNN differ by `method` alone, which the colon of --config
names: configs/cfan/oasis.py:cfn_1.
"""

from typing import Any

from ml_collections import ConfigDict

METHODS = (
    "bpr",
    "vbpr",
    "mtrlcnn",
    "cfn_pure",
    "cfn_1",
    "cfan_1",
    "cfan_2",
    "cfan_3",
    "review_only",
)


def _section(fields: dict[str, Any]) -> ConfigDict:
    return ConfigDict(fields, type_safe=False)


def base(method: str) -> ConfigDict:
    """The paper's numbers, where it says one and it predicts well."""
    if method not in METHODS:
        raise ValueError(f"{method!r} is no method; known: {', '.join(METHODS)}")
    config = ConfigDict()
    config.program = "collaborative"  # which trainer `jiaa train` calls
    config.method = method
    config.dataset = ""  # the dataset's name in results.csv and in the report
    config.seed = 0  # split of pairs, initial weights, order of examples
    config.protocol = "pairs"  # pairs held out | users: new ones, from a few ratings
    config.data = _section(
        {
            "name": "ava_reviews",  # a name of jiaa.data.DATASETS, and its options
            "root": "",
            "cache_dir": "runs/cache",
            "image_size": 320,
        }
    )
    # Sizes of a synthetic world in the reviews' format, written below cache_dir and read
    # from there; {} reads `data.root`.
    config.world = _section({})
    config.reviews = _section(
        {
            "rated_by": "words",  # words: levels derived from reviews | score: given
            "lexicon": "photographic",  # photographic | plain
            "vocabulary": 10_000,
            "min_count": 2,
            "length": 60,  # words of a review
        }
    )
    config.pairs = _section(
        {
            "good_above": 0.5,  # unit score; AVA's reviews: levels 3 to 5 of 5
            "share": 0.1,  # held out
            "held_out": "pairs",  # pairs | images: those of that share of images
            "tag": "tags",  # the column of the images' tags; "": none
            "least_images": 1,  # of a tag (AVA: 3,000)
            "crowd_above": 0.5,  # where there are no votes: the training raters' mean
        }
    )
    config.trunk = _section(
        {
            "backbone": "vgg16",
            "backbone_options": {},
            "weights": "",  # torchvision's file; "": see `run`
            "run": "",  # workdir of an MTRLCNN whose trunk is taken; "": random
            "stage": "block5",
            "grid": 10,
            "trains": False,  # with the rest; else its maps are cached
        }
    )
    config.model = _section({"width": 50})  # options of the method's network
    config.objective = _section(  # train.collaborative.Objective
        {
            "pairwise": False,  # BPR's loss: bpr and vbpr
            "crowd": 1.0,  # the paper's lambda_beta
            "tag": 0.015,  # the paper's lambda_z
            "attends_to": "others",  # the user's other reviews | own: the paper's leak
            "reviews": 4,  # that attention comes from, in training
            "penalty": 0.0,  # of squared factors
            "opponents": "bad",  # pairwise: bad | any | popular
            "forgets": 0.0,  # share of pairs whose image counts as unseen
            "relation": 0.0,  # MTRLCNN's penalty
        }
    )
    config.train = _section(
        {
            "steps": 2000,
            "batch_size": 512,
            "optimizer": "adamw",  # the paper: sgd
            "optimizer_options": {"weight_decay": 0.1},
            "rate": 1e-3,  # the paper: 0.005
            "schedule": "constant",  # the paper: exponential_epochs,
            "schedule_options": {},  # {"steps_per_epoch": 1000, "decay": 0.99}
            "save_every": 1000,
            "log_every": 50,
        }
    )
    config.adapt = _section(
        {"strength": 3.0, "steps": 100, "rate": 0.05, "softness": 0.0}
    )
    config.evaluate = _section(
        {
            "shots": (10, 100),
            "repeats": 10,
            "seed": 0,
            "reviews": 16,  # that attention comes from, at prediction
            "edges": (1, 3, 5, 7, 10),  # reviews an image (Fig. 9)
        }
    )
    if method in ("bpr", "vbpr"):
        config.objective.pairwise = True
    return config
