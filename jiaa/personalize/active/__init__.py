"""Which image to ask a user about next.

Active-PAM and its baselines (ICCV 2017), and experimental design, as in `jiaa rate`.
"""

from jiaa.personalize.active.album import Album, State, make_album
from jiaa.personalize.active.asker import Asker
from jiaa.personalize.active.design import Design
from jiaa.personalize.active.learner import ActiveLearner, LiveRater
from jiaa.personalize.active.strategies import STRATEGIES

__all__ = [
    "STRATEGIES",
    "ActiveLearner",
    "Album",
    "Asker",
    "Design",
    "LiveRater",
    "State",
    "make_album",
]
