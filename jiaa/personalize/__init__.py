"""How each method learns one user; all follow `jiaa.types.Personalizer`."""

from jiaa.personalize.finetune import Finetune
from jiaa.personalize.fusion import RidgeFusion
from jiaa.personalize.ridge import Ridge

__all__ = ["Finetune", "Ridge", "RidgeFusion"]
