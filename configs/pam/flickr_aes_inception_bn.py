"""PAM on FLICKR-AES with the trimmed Inception-BN: PAM (ICCV 2017), Table 4.

The generic network is Inception-BN with block 5b trimmed to 176 features (Table 2),
dropout 0.5 and a linear score, from random weights where the paper has ImageNet's: SGD
of rate 0.001, momentum 0.9, weight decay 2e-4, the rate times 0.9 an epoch (the paper:
0.96, "periodically"). Its pooled
features, averaged over the image and its five crops, feed the nu-SVR; the attributes
and content of the paper need AADB's photographs and an ImageNet classifier.

    python scripts/train.py    --config configs/pam/flickr_aes_inception_bn.py --workdir runs/pam --config.data.root=FOLDER
    python scripts/evaluate.py --config configs/pam/flickr_aes_inception_bn.py --workdir runs/pam --config.data.root=FOLDER

Published change of SROCC: 0.006 +- 0.003 with 10 ratings, 0.039 +- 0.012 with 100. Never
run here: FLICKR-AES images are not available; so device and time are unknown.
"""

from configs.ba_piaa import flickr_aes_resnet18


def get_config():
    config = flickr_aes_resnet18.get_config()
    config.method = "pam"
    config.model.backbone = "inception_bn"
    config.model.backbone_options = {"trimmed": True}
    config.model.tap = "pooled"
    config.model.head = "pooled"
    config.model.head_options = {"hidden": (), "output": "linear", "dropout": 0.5}
    config.trunk.frozen = True
    config.trunk.five_crops = 224
    config.generic.optimizer = "sgd"
    config.generic.optimizer_options = {"momentum": 0.9, "weight_decay": 2e-4}
    config.generic.rates = ((".*", 1e-3),)
    config.generic.schedule = "exponential_epochs"
    config.inner.batch_norm = "frozen"
    config.adapt.kind = "nu_svr"
    config.adapt.options = {"c": (0.1, 0.3, 1.0), "nu": (0.5,), "gamma": (0.3, 1.0)}
    return config
