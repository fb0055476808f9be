"""PAM on OASIS: nu-SVR of each rater's offsets from the generic score.

DRAFT
    python scripts/train.py --config configs/pam/oasis_squeezenet.py --workdir runs/pam --config.data.root=FOLDER --config.model.weights=squeezenet1_1_imagenet.safetensors
"""

from configs.ba_piaa import oasis_squeezenet


def get_config():
    config = oasis_squeezenet.get_config()
    config.method = "pam"
    config.adapt.kind = "nu_svr"
    config.adapt.options = {"kernel": "linear", "c": (0.1,), "gamma": (1.0,)}
    return config
