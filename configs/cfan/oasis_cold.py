"""New raters and photographs of OASIS: BLG-PIAA's protocol for VBPR and CFN-1.

145 raters and 133 photographs that training never saw; a rater's factors are fitted to
10 or 100 ratings. Unseen photographs have the mean embedding, so that their content
tells them apart. BPR and CFN_pure have no content: all unseen photographs are alike to
them, and their SROCC is undefined (every user-repeat is counted as skipped).

    python scripts/train.py    --config configs/cfan/oasis_cold.py:cfn_1 --workdir runs/cfn_cold --config.data.root=FOLDER --config.trunk.weights=squeezenet1_1_imagenet.safetensors
    python scripts/evaluate.py --config configs/cfan/oasis_cold.py:cfn_1 --workdir runs/cfn_cold --config.data.root=FOLDER --config.trunk.weights=squeezenet1_1_imagenet.safetensors

Measured SROCC, 145 raters, 10 splits: CFN-1 .518 +- .001 with 10 ratings, .526 +- .012
with 100 (generic .514, .507), VBPR .527 +- .001 and .551 +- .012 (.522, .515); below ridge on residuals, see docs/cfan.md. Three minutes
to train and one to evaluate on one shared CPU core.
"""

from configs.cfan import oasis

VARIANTS = ("bpr", "vbpr", "cfn_1")


def get_config(method="cfn_1"):
    config = oasis.get_config(method)
    config.protocol = "users"
    return config
