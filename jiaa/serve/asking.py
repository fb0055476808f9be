"""Who asks the questions of `jiaa rate`: one of the active learners."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Shaped

from jiaa.models.heads import warp_features
from jiaa.personalize.active import (
    ActiveLearner,
    Asker,
    Design,
    LiveRater,
    make_album,
)
from jiaa.serve.model import Model

DESIGN = "experimental_design"


def make_asker(
    strategy: str, model: Model, content: Shaped[np.ndarray, "image ..."]
) -> Asker:
    """What chooses among photographs whose content `model.encode` gave.

    Experimental design has a form of its own here, which takes one update of rank one a
    rating; the other strategies of `STRATEGIES` run Algorithm 1 with its nu-SVR.

    Raises:
      ValueError: an unknown strategy; lists the known ones.
    """
    features = learned_from(model, content)
    if strategy == DESIGN:
        return Design.of(features)
    learner = ActiveLearner(strategy)
    high = float(model.scale[1])
    generic = model.replace(adapted=None).score(content) / high
    mask = jnp.ones(len(content), bool)
    album = make_album(jnp.asarray(features), jnp.asarray(generic), mask=mask)
    return LiveRater(learner, album, high=high)


def learned_from(
    model: Model, content: Shaped[np.ndarray, "image ..."]
) -> Float[np.ndarray, "image feature"]:
    """What tells photographs apart for a model's way of learning a person.

    Of `model.encode`'s content: the features, warped where the head has learned a warp.
    """
    head = model.prior["params"].get("head", {})
    store = model.store(content)
    return np.asarray(warp_features(head, store.take(np.arange(len(store)))))
