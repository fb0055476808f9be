"""New raters and photographs of OASIS: BLG-PIAA's protocol for VBPR and CFN-1.

145 raters and 133 photographs that training never saw; a rater's factors are fitted to
10 or 100 ratings. Unseen photographs have the mean embedding, so that their content
tells them apart. BPR and CFN_pure have no content: all unseen photographs are alike to
them, and their SROCC is undefined (every user-repeat is counted as skipped).

    python scripts/train.py    --config configs/cfan/oasis_cold.py:cfn_1 --workdir runs/cfn_cold --config.data.root=FOLDER --config.trunk.weights=squeezenet1_1_imagenet.safetensors
    python scripts/evaluate.py --config configs/cfan/oasis_cold.py:cfn_1 --workdir runs/cfn_cold --config.data.root=FOLDER --config.trunk.weights=squeezenet1_1_imagenet.safetensors

Measured SROCC, 145 raters, 10 splits, two seeds of training: CFN-1 .518 and .506 with 10
ratings, .526 and .518 with 100, VBPR .527 and .530, .551 and .552 (+- .001 with 10, .012
with 100 over splits); below ridge on residuals, see docs/cfan.md. One to three minutes to
train and to evaluate on one shared CPU core.
"""

from configs.cfan import oasis

VARIANTS = ("bpr", "vbpr", "cfn_1")


def get_config(method="cfn_1"):
    config = oasis.get_config(method)
    config.protocol = "users"
    return config
