"""How each method learns one user; all follow `jiaa.types.Personalizer`."""

from jiaa.personalize.blend import Blend
from jiaa.personalize.collaborative import NewUser
from jiaa.personalize.finetune import Finetune
from jiaa.personalize.fusion import RidgeFusion
from jiaa.personalize.regressors import REGRESSORS, BayesianRidge, NuSVR
from jiaa.personalize.residual import Residual
from jiaa.personalize.ridge import Ridge

__all__ = [
    "REGRESSORS",
    "BayesianRidge",
    "Blend",
    "Finetune",
    "NewUser",
    "NuSVR",
    "Residual",
    "Ridge",
    "RidgeFusion",
]
