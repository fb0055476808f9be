"""What every view of the synthetic world shares: its version, words and random streams.

The world is a test bench with known truth. Its taste and noise were fixed in version
1, by the oracles of `oracle.py` alone, before any learning method was measured on it.
Views may be added; a change in this package that alters a bit of an existing view needs
a new `VERSION`.
"""

from typing import Literal

import numpy as np

VERSION = 1

# The ten attributes of PAM (ICCV 2017, Sec. 4.1), in the column order of AADB's files;
# AADB's eleventh column, motion blur, is not one of them.
ATTRIBUTES = (
    "balancing_elements",
    "color_harmony",
    "interesting_content",
    "depth_of_field",
    "light",
    "object",
    "repetition",
    "rule_of_thirds",
    "symmetry",
    "vivid_color",
)
CONTENTS = (
    "landscape",
    "seaside",
    "city",
    "animal",
    "portrait",
    "flower",
    "food",
    "night",
    "sport",
    "still_life",
)
TRAITS = (
    "openness",
    "conscientiousness",
    "extraversion",
    "agreeableness",
    "neuroticism",
)

# Streams are named by meaning; the numbers are part of the version. Groups "owner"
# (REAL-CUR), "liker" (PsychoFlickr) and "crowd" (AVA) are kept for those views.
_KINDS = {"facts": 1, "pixels": 2, "rater": 3, "rating": 4, "deal": 5, "gold_rating": 6}
_GROUPS = {"train": 1, "test": 2, "gold": 3, "owner": 4, "liker": 5, "crowd": 6}

Kind = Literal["facts", "pixels", "rater", "rating", "deal", "gold_rating"]
Group = Literal["train", "test", "gold", "owner", "liker", "crowd"]


def stream(seed: int, kind: Kind, group: Group, index: int = 0) -> np.random.Generator:
    """The random numbers of one thing: image or rater `index` of a group of one seed.

    Nothing depends on how many others were generated, so a small world is a prefix of a
    large one, and any image or rater can be made again alone.
    """
    return np.random.default_rng([VERSION, seed, _KINDS[kind], _GROUPS[group], index])
