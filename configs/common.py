"""Every field of a config, with what it means; experiments change a few of them.

A file beside this one is one reported experiment; its docstring is the record. Fields are
set on the command line as well: `--config.meta.steps=500`.
"""

from typing import Any

from ml_collections import ConfigDict


def _section(fields: dict[str, Any]) -> ConfigDict:
    # Fields such as image_size are a number or a pair: flags still check what they parse.
    return ConfigDict(fields, type_safe=False)


def base() -> ConfigDict:
    """BA-PIAA and BLG-PIAA as released, where the released program says a number."""
    config = ConfigDict()
    config.method = "blg_piaa"  # the key in results.csv and in the report
    config.dataset = ""  # the dataset's name there
    config.seed = 0  # initial weights, order of examples, augmentation, dropout
    config.prior = (
        ""  # workdir of a finished generic run; "" trains one in WORKDIR/generic
    )
    config.data = _section(
        {
            "name": "folder",  # a name of jiaa.data.DATASETS
            "root": "",  # its folder; "" is $JIAA_DATA/NAME
            "cache_dir": "runs/cache",  # decoded images and trunk features; "": none
            "image_size": 256,  # images are stored squashed to this; (height, width) too
            # Below, None is the loader's own default; what the dataset does not take is
            # refused. folder and oasis:
            "scale": None,  # (lowest, highest) score: (1, 5); oasis (1, 7)
            "test_users": None,  # held out: a share (0.2) or names ("ann", "bob")
            "mixed_raters": None,  # of several splits' images: error | drop | divide
            "seed": None,  # draws the share of test users; synthetic: the world
            "share_images": None,  # flickr_aes too: training sees test users' images
            # A .npz or .safetensors file of features computed elsewhere: no image is
            # read and no network runs. With model.backbone "none", trunk.frozen
            "features": None,
            # These, and the papers' datasets, prepared or not:
            "min_ratings": None,  # users with fewer are left out
            "max_missing": None,  # how many rated images may have no file
            "images": None,  # device: decoded once | stream: whenever needed
            "decode_workers": None,  # threads, all cores; streaming: processes, none
            "progress": None,  # whether loading shows a bar
            "fold": None,  # psycho_flickr: whose users are tested, 0 to 9
            "rater_counts": None,  # aadb: (100, 200) tests who rated that many images
            # The papers' datasets from raw files; prepare_data.py has these too:
            "image_folder": None,  # where the photographs are, below root
            "test_workers": None,  # flickr_aes: the list's file, if it lies elsewhere
            # synthetic, whose test_users is a number:
            "train_users": None,
            "train_images": None,
            "raters_per_image": None,
            "test_ratings": None,  # (least, most) of a test user
            "gold_images": None,
            "workers": None,  # threads that draw
        }
    )
    config.model = _section(
        {
            "backbone": "resnet18",  # "none" with data.features
            "backbone_options": {},
            "tap": "logits",  # what the head reads
            "head": "released",
            "head_options": {},
            # A .safetensors or .pth with torchvision's names; "": those that come as a
            # package (models.weights), or else random ones; "random" for any backbone.
            "weights": "",
        }
    )
    config.view = _section(
        {
            "size": 224,  # crops while learning, resized whole images else; 0: as stored
            "augment": True,
        }
    )
    config.trunk = _section(
        {
            "frozen": False,  # only the head learns and adapts; features computed once
            "taps": (),  # blocks of features, as models.trunk.Taps; (): model.tap's
            "sizes": (),  # whole-image views, averaged: sides or (height, width)
            # score, rate and personalize squash a photograph to the nearest of these
            # (height, width) in place of data.image_size; sizes does not go with them
            "shapes": (),
            "five_crops": 0,  # side of five more views
            "flip": False,  # each view's mirror image is one more
            # Further encoders, whose blocks follow: {"backbone": "resnet18", ...} each,
            # with weights, taps, sizes, ... of its own: cli.trunks.FIELDS
            "beside": (),
            "map": "none",  # none | standardise | kernel, between trunk and head
            "map_options": {},  # weights, gamma, waves, ...: models.feature_map
        }
    )
    config.generic = _section(
        {
            "trains": "all",  # all | head | ridge (closed form); these need trunk.frozen
            "refit": False,  # after "all": a warped head by ridge, on trunk's taps and map
            "strength": 1.0,  # of ridge
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
    config.inner = _section(
        {
            "optimizer": "adam",
            "rates": (("head/.*", 1e-3), (".*", 1e-4)),
            "optimizer_options": {},  # learned, momentum, b1, b2, eps, eps_root
            "adapts": "all",  # all | head | batch_norm | last | a pattern of paths
            "loss": "mse",
            "reduction": "mean",  # mean | sum over a user's images
            "decay": 0.0,  # towards the prior, at each step
            "calibrate": None,  # or {"spread": ..., "weight": ...}
            "batch_norm": "frozen",  # frozen | reset | carry: docs/batch_norm.md
            "dropout": True,
            "batch_size": None,
            "second_order": False,
            "remat": False,
        }
    )
    config.meta = _section(
        {
            "mode": "parallel",  # parallel | sequential (the released program)
            "outer": "blg",  # blg | maml
            "outer_loss": "mse",  # of maml
            "steps": 2_000,  # meta-iterations; 0 trains the generic prior only
            "users_per_step": 4,  # k
            "inner_steps": 5,  # S, on each level
            "optimizer": "sgd",
            "optimizer_options": {},
            "rates": ((".*", "1/k"),),  # beta; "1/k" is one over users_per_step
            "pull": (),  # (pattern, strength): towards the starting prior
            "query": {},  # what the second level's inner loop has for itself
            "schedule": "constant",  # constant | linear | cosine | by epoch
            "steps_per_epoch": 41,
            "sampling": {"support": 80, "query": 20, "fraction": 0.8, "under": 110},
            "keep": "prior",  # prior | last_user (what the released program saves)
            "iterations_per_dispatch": 1,
            "strategy": "auto",  # how the users run: auto | vmap | map | unroll
            "chunk": 1,  # of map: how many users at once
            "save_every": 100,
            "log_every": 1,
        }
    )
    config.adapt = _section(
        {
            # finetune | ridge (closed form, on features) | nu_svr | bayesian_ridge | blend
            "kind": "finetune",
            # nu_svr, bayesian_ridge: columns, target; c, nu, ...: personalize.regressors
            # blend: of personalize.Blend, and strangers: of personalize.hyper_prior
            "options": {},
            "strength": 1.0,  # of ridge
            "learned": False,  # whether training learns it, or a blend's hyper-prior
            "steps": 20,
            "rates": ((".*", 1e-5),),  # () keeps the inner loop's
            "dropout": False,
        }
    )
    config.evaluate = _section(
        {"shots": (10, 100), "repeats": 50, "strategy": "auto", "seed": 0}
    )
    config.pam = _section(
        {
            # scripts/pam.py, on the run config.prior; of table1, table3, table4,
            # figure3, figure4, figure5a, figure5b, figure6, figure7
            "protocols": (),
            "svr": {},  # of personalize.NuSVR: c, nu, gamma, ...
            "bayesian_ridge": {},  # of personalize.BayesianRidge
            "fpmf": {},  # of personalize.factorization.fit_factorization
            # of figure7: name -> what differs from the run's config.data
            "databases": {},
            "figure3": {"users": 3, "shots": 100},  # of cli.pam_albums.figure3
            "figure4": {
                "images": (50, 150, 500, 1500),
                "noises": (0.1, 0.2, 0.3),
                "above": 150,  # ratings of a training rater who counts
            },
            # machine: c, nu; album: kind, gamma, visual_weight, visual
            # (a block of cli.pam_features). Also strategies, together, split.
            "active": {
                "machine": {},
                "album": {},
                "first": 10,
                "last": 100,
                "trials": 10,
                "held_out": 0,
            },
        }
    )
    return config
