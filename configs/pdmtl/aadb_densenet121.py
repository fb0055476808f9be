"""PDMTL on AADB and PsychoFlickr: ICME 2019, Table 2 and Figures 4, 5.

SROCC .680, PLCC .702 (one task: .637, .668); the column RMSE, .016, cannot be a root, so
RMSE and MSE are both reported. configs/pdmtl/ava_densenet121.py on another database.

    python scripts/train.py --config configs/pdmtl/aadb_densenet121.py --workdir runs/pdmtl --config.data.root=AADB --config.second.root=PSYCHO_FLICKR --config.model.weights=densenet121.safetensors

Not run here: the photographs are not at hand.
"""

from configs.pdmtl import ava_densenet121


def get_config():
    config = ava_densenet121.get_config()
    config.dataset = "aadb"
    config.data.name = "aadb"
    config.generic.steps = 20 * 169
    config.generic.steps_per_epoch = 169
    return config
