"""The prior that comes with jiaa: all of OASIS, photographs and raters of both splits.

The experiment of configs/blend/oasis_efficientnet_lite2_one_view.py with nobody held out. It
is measured on other people and pictures (docs/own_photos.md).

    python scripts/built_in_prior.py --root FOLDER

A minute on one CPU core.
"""

from configs.blend import oasis_efficientnet_lite2_one_view


def get_config():
    config = oasis_efficientnet_lite2_one_view.get_config()
    config.data.test_users = ()
    return config
