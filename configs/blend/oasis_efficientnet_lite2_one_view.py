"""The blended taste on OASIS with one view a photograph: what the built-in prior sees.

The experiment of configs/blend/oasis_efficientnet_lite2.py, whose features are means over
three sizes, with the photograph once, at a short side of 288: under a third of the time.

    python scripts/train.py    --config configs/blend/oasis_efficientnet_lite2_one_view.py --workdir runs/lite/one_view --config.data.root=FOLDER
    python scripts/evaluate.py --config configs/blend/oasis_efficientnet_lite2_one_view.py --workdir runs/lite/one_view --config.data.root=FOLDER

Measured SROCC, 145 raters, 10 splits: .587 +- .002 with 10 ratings, .637 +- .007 with 100 (generic .577, .571).
Half a minute of features, then one to three minutes each to train and to evaluate, on one shared CPU core.
"""

from configs.blend import oasis_efficientnet_lite2

# Of a person's photographs: 1:1, 5:4, 4:3, 3:2 and 16:9, both ways. A shape that occurs is
# one compilation.
LONG = (360, 384, 432, 512)
SHAPES = ((288, 288), *((288, x) for x in LONG), *((x, 288) for x in LONG))


def get_config():
    config = oasis_efficientnet_lite2.get_config()
    config.trunk.sizes = ()
    config.trunk.shapes = SHAPES
    return config
