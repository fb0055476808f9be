"""The raters: Big-Five traits, tastes of known form, and how they use the stars.

A rater's taste for an image is

    COMMON_SD * common(image) + PERSONAL_SD * personal(rater, image)

where `common` is what all raters share, a fixed function of the image's attributes and
content with unit variance, and `personal` has mean zero over raters and unit mean
variance. The personal part is linear in 24 features of the image; its weights come from
five traits, three hidden factors and, for the least part, from the rater alone, so that
it lies near a space of eight dimensions that can be learned from other raters.
"""

import dataclasses

import numpy as np
from jaxtyping import Float

from jiaa.data.synthetic import world
from jiaa.data.synthetic.photographs import Facts, draw_facts

COMMON_SD = 0.65
PERSONAL_SD = 0.62
NOISE_SD = 0.38
CENTRE_STARS = 3.1

# How the personal weights divide, in variance: traits, hidden factors, the rater alone.
PERSONAL_SHARES = (0.45, 0.35, 0.2)

INTERACTIONS = ("light_x_vivid", "blur_x_subject", "order_x_made", "vivid_squared")
FEATURES = (*world.ATTRIBUTES, *world.CONTENTS, *INTERACTIONS)

# Photographs with one clear subject, and pictures of made things: `features`.
_SUBJECTS = ("animal", "portrait", "flower", "food")
_MADE = ("city", "night", "still_life")

Weights = dict[str, float]

COMMON: Weights = {
    "interesting_content": 0.55,
    "light": 0.5,
    "color_harmony": 0.4,
    "object": 0.4,
    "vivid_color": 0.35,
    "depth_of_field": 0.25,
    "rule_of_thirds": 0.2,
    "balancing_elements": 0.15,
    "symmetry": 0.1,
    "repetition": 0.1,
    "landscape": 0.3,
    "seaside": 0.35,
    "flower": 0.15,
    "night": 0.1,
    "city": -0.1,
    "sport": -0.35,
    "food": -0.2,
    "still_life": -0.25,
    "light_x_vivid": 0.35,
    "blur_x_subject": 0.4,
    "order_x_made": 0.3,
    "vivid_squared": -0.5,
}

TRAIT_TASTE: dict[str, Weights] = {
    "openness": {
        "interesting_content": 0.5,
        "night": 0.9,
        "still_life": 0.8,
        "city": 0.5,
        "sport": -0.9,
        "color_harmony": -0.4,
        "rule_of_thirds": -0.4,
        "repetition": 0.5,
        "vivid_squared": 0.4,
    },
    "conscientiousness": {
        "symmetry": 0.8,
        "balancing_elements": 0.5,
        "repetition": 0.4,
        "color_harmony": 0.5,
        "city": 0.6,
        "food": 0.4,
        "night": -0.7,
        "order_x_made": 0.5,
    },
    "extraversion": {
        "vivid_color": 0.8,
        "light": 0.5,
        "portrait": 1.0,
        "sport": 1.1,
        "food": 0.5,
        "landscape": -0.8,
        "still_life": -0.9,
        "light_x_vivid": 0.4,
    },
    "agreeableness": {
        "animal": 1.2,
        "flower": 0.9,
        "portrait": 0.6,
        "city": -0.8,
        "sport": -0.5,
        "light": 0.4,
        "blur_x_subject": 0.4,
        "object": 0.3,
    },
    "neuroticism": {
        "light": -0.8,
        "vivid_color": -0.6,
        "depth_of_field": 0.6,
        "night": 0.9,
        "seaside": 0.5,
        "sport": -0.6,
        "animal": 0.4,
        "interesting_content": -0.4,
    },
}

FACTOR_TASTE: dict[str, Weights] = {
    "bokeh": {
        "depth_of_field": 0.9,
        "object": 0.7,
        "interesting_content": -0.6,
        "flower": 0.6,
        "portrait": 0.5,
        "landscape": -0.8,
        "blur_x_subject": 0.5,
    },
    "graphic": {
        "repetition": 0.8,
        "symmetry": 0.7,
        "vivid_color": 0.6,
        "color_harmony": -0.5,
        "city": 0.8,
        "food": 0.6,
        "seaside": -0.7,
        "animal": -0.7,
    },
    "outdoors": {
        "landscape": 1.0,
        "seaside": 0.9,
        "sport": 0.6,
        "food": -0.9,
        "still_life": -0.7,
        "night": -0.6,
        "light": 0.5,
        "rule_of_thirds": 0.4,
    },
}

# Measured once, on 200,000 images: what centres the interactions, and the standard
# deviations over images of `common` and of each personal part at unit coefficients.
_FEATURE_MEANS = {"light_x_vivid": 0.068, "vivid_squared": 0.356}
_COMMON_SD = 0.808
_PART_SDS = (1.020, 1.525, 2.219)


@dataclasses.dataclass(frozen=True, eq=False)
class Raters:
    """Some raters of one group; `weights` are over `FEATURES`.

    `bias` is in stars, `spread` in stars per unit of taste. `reliability` is the chance
    that an answer follows the taste at all; otherwise it is any star.
    """

    group: world.Group
    traits: Float[np.ndarray, "rater 5"]
    weights: Float[np.ndarray, "rater feature"]
    bias: Float[np.ndarray, " rater"]
    spread: Float[np.ndarray, " rater"]
    reliability: Float[np.ndarray, " rater"]

    def __len__(self) -> int:
        """The number of raters."""
        return len(self.bias)


def features(facts: Facts) -> Float[np.ndarray, "image feature"]:
    """Attributes, centred content classes and centred interactions, per `FEATURES`."""
    values = {
        name: facts.attributes[:, k].astype(np.float64)
        for k, name in enumerate(world.ATTRIBUTES)
    }
    one_hot = np.eye(len(world.CONTENTS))[facts.content]
    contents = dict(zip(world.CONTENTS, one_hot.T, strict=True))
    subject = sum(contents[name] for name in _SUBJECTS)
    made = sum(contents[name] for name in _MADE)
    values |= {name: column - 0.1 for name, column in contents.items()}
    values["light_x_vivid"] = values["light"] * values["vivid_color"]
    values["blur_x_subject"] = values["depth_of_field"] * subject
    values["order_x_made"] = values["symmetry"] * made
    values["vivid_squared"] = values["vivid_color"] ** 2
    return np.stack(
        [values[name] - _FEATURE_MEANS.get(name, 0.0) for name in FEATURES], axis=1
    )


def _vector(weights: Weights) -> Float[np.ndarray, " feature"]:
    return np.array([weights.get(name, 0.0) for name in FEATURES])


def common_taste(facts: Facts) -> Float[np.ndarray, " image"]:
    """What raters share: mean 0 and variance 1 over images."""
    return features(facts) @ _vector(COMMON) / _COMMON_SD


def draw_raters(raters: int, *, seed: int, group: world.Group) -> Raters:
    """Raters 0..raters-1 of a group; a longer draw begins with a shorter."""
    parts = [
        np.stack([_vector(taste) for taste in TRAIT_TASTE.values()]),
        np.stack([_vector(taste) for taste in FACTOR_TASTE.values()]),
        np.eye(len(FEATURES)),
    ]
    scales = np.sqrt(PERSONAL_SHARES) / np.array(_PART_SDS)
    traits = np.empty((raters, len(world.TRAITS)))
    weights = np.empty((raters, len(FEATURES)))
    bias, spread, reliability = np.empty((3, raters))
    for r in range(raters):
        rng = world.stream(seed, "rater", group, r)
        traits[r] = np.tanh(0.8 * rng.standard_normal(len(world.TRAITS)))
        factors = rng.standard_normal(len(FACTOR_TASTE))
        alone = rng.standard_normal(len(FEATURES))
        weights[r] = sum(
            scale * (coefficient @ part)
            for scale, coefficient, part in zip(
                scales, (traits[r], factors, alone), parts, strict=True
            )
        )
        bias[r] = 0.3 * rng.standard_normal()
        spread[r] = 0.95 * np.exp(0.18 * rng.standard_normal())
        reliability[r] = max(1 - 0.03 * rng.standard_exponential(), 0.6)
    return Raters(group, traits, weights, bias, spread, reliability)


def taste(raters: Raters, facts: Facts) -> Float[np.ndarray, "rater image"]:
    """Each rater's liking of each image, before noise and the use of stars."""
    personal = raters.weights @ features(facts).T
    return COMMON_SD * common_taste(facts)[None] + PERSONAL_SD * personal


def true_stars(raters: Raters, facts: Facts) -> Float[np.ndarray, "rater image"]:
    """What raters would give without noise, rounding and the ends of the scale."""
    liking = taste(raters, facts)
    return CENTRE_STARS + raters.bias[:, None] + raters.spread[:, None] * liking


def give_stars(
    truth: Float[np.ndarray, " rating"],
    *,
    spread: float,
    reliability: float,
    rng: np.random.Generator,
) -> Float[np.ndarray, " rating"]:
    """One rater's observed stars, 1..5, for images whose true stars are given."""
    noisy = truth + spread * NOISE_SD * rng.standard_normal(len(truth))
    stars = np.clip(np.rint(noisy), 1, 5)
    careless = rng.random(len(truth)) >= reliability
    return np.where(careless, rng.integers(1, 6, len(truth)), stars).astype(np.float32)


def rater_names(raters: Raters) -> list[str]:
    """Names in the world, such as `train_007`."""
    return [f"{raters.group}_{r:03d}" for r in range(len(raters))]


def image_names(facts: Facts, suffix: str = ".png") -> list[str]:
    """File names in the world, such as `test_00012.png`."""
    return [f"{facts.group}_{i:05d}{suffix}" for i in facts.index]


def obvious_facts(images: int, *, seed: int) -> Facts:
    """Gold images: raters agree that those of even rows are good, of odd rows bad.

    The best of a pool are those that nine of ten raters of a crowd like most, the worst
    those that nine of ten like least.
    """
    pool = draw_facts(60 * images, seed=seed, group="gold")
    liking = taste(draw_raters(200, seed=seed, group="crowd"), pool)
    tenth, ninetieth = np.quantile(liking, (0.1, 0.9), axis=0)
    rows = np.empty(images, int)
    rows[::2] = np.argsort(-tenth, kind="stable")[: (images + 1) // 2]
    rows[1::2] = np.argsort(ninetieth, kind="stable")[: images // 2]
    return Facts("gold", pool.index[rows], pool.attributes[rows], pool.content[rows])
