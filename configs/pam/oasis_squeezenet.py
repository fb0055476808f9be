"""PAM on OASIS: nu-SVR of each rater's offsets from the generic score.

The generic prior of configs/ba_piaa/oasis_squeezenet.py; SqueezeNet has no attributes,
so the machine reads the features of that prior, whose products are its kernel.

    python scripts/train.py    --config configs/pam/oasis_squeezenet.py --workdir runs/pam --config.data.root=FOLDER --config.model.weights=runs/trunk/trunk.safetensors
    python scripts/evaluate.py --config configs/pam/oasis_squeezenet.py --workdir runs/pam --config.data.root=FOLDER --config.model.weights=runs/trunk/trunk.safetensors
    python scripts/pam.py      --config configs/pam/oasis_squeezenet.py --workdir runs/pam/active --config.prior=runs/pam

The last command draws the curves of active selection, on 30 held-out images of each rater.

C was chosen on training raters (docs/pam.md). Measured SROCC, 145 raters, 10 splits,
tuned trunk: .549 +- .002 with 10 ratings, .591 +- .009 with 100 (generic .536, .531). With ImageNet's
own trunk and C = 0.1: .542 +- .002, .582 +- .009. Minutes to evaluate on a shared core.
"""

from configs.ba_piaa import oasis_squeezenet


def get_config():
    config = oasis_squeezenet.get_config()
    config.method = "pam"
    config.adapt.kind = "nu_svr"
    config.adapt.options = {"kernel": "linear", "c": (0.15,)}
    config.pam.protocols = ("figure6",)
    with config.unlocked():
        config.pam.active.update(
            {
                "machine": {"c": 0.15},
                "album": {"kind": "linear"},
                "strategies": ("random", "greedy", "active_pam"),
                "held_out": 30,
                "trials": 5,
            }
        )
    return config
