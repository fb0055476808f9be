"""PAM's residual by Bayesian ridge on OASIS: what a practitioner would try first.

configs/pam/oasis_squeezenet.py with another regressor of the offsets, whose strengths
are the evidence's, held to those of training raters by the weight of ten ratings.

Measured SROCC, 145 raters, 10 splits, tuned trunk: .551 +- .002 with 10 ratings, .596 +-
.008 with 100 (generic .536, .531). 35 s to evaluate on one core, features in the cache.

    python scripts/train.py    --config configs/pam/oasis_bayesian_ridge.py --workdir runs/pam_ridge --config.data.root=FOLDER --config.model.weights=runs/trunk/trunk.safetensors
    python scripts/evaluate.py --config configs/pam/oasis_bayesian_ridge.py --workdir runs/pam_ridge --config.data.root=FOLDER --config.model.weights=runs/trunk/trunk.safetensors
"""

from configs.pam import oasis_squeezenet


def get_config():
    config = oasis_squeezenet.get_config()
    config.adapt.kind = "bayesian_ridge"
    config.adapt.options = {"weight": 10.0, "noise": 0.03, "prior": 0.025}
    return config
