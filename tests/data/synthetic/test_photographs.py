"""Each attribute, moved alone from low to high, moves its own measure in the pixels."""

import dataclasses

import numpy as np
import pytest

from jiaa.data.synthetic import photographs, world
from jiaa.data.synthetic.world import ATTRIBUTES, CONTENTS

SIZE = 48


def facts_with(images=30, *, content=None, **attributes):
    facts = photographs.draw_facts(images, seed=5, group="train")
    values = facts.attributes.copy()
    for name, value in attributes.items():
        values[:, ATTRIBUTES.index(name)] = value
    classes = facts.content
    if content is not None:
        classes = np.full(images, CONTENTS.index(content), np.int32)
    return dataclasses.replace(facts, attributes=values, content=classes)


def render(facts, **options):
    options = {"seed": 5, "size": SIZE, "workers": 2} | options
    return photographs.photograph(facts, **options)


def pair(attribute, **others):
    """The same pictures with the attribute low and high, as floats in [0, 1]."""
    return [
        render(facts_with(**{attribute: value}, **others)) / 255.0
        for value in (-0.9, 0.9)
    ]


def gray(images):
    return images.mean(-1)


def chroma(images):
    return images.max(-1) - images.min(-1)


def mirror_correlation(images):
    flat = gray(images).reshape(len(images), -1)
    mirrored = gray(images)[:, :, ::-1].reshape(len(images), -1)
    return np.array(
        [np.corrcoef(a, b)[0, 1] for a, b in zip(flat, mirrored, strict=True)]
    )


def detail(images):
    """Energy of differences of neighbours in the top third, per unit of contrast."""
    top = gray(images)[:, : SIZE // 3]
    return (np.diff(top, axis=1) ** 2).mean((1, 2)) / top.var((1, 2))


def periodicity(images):
    """Share of the horizontal spectrum at five to eight periods a picture."""
    power = abs(np.fft.rfft(gray(images), axis=2)) ** 2
    return power[:, :, 5:9].sum((1, 2)) / power[:, :, 1:].sum((1, 2))


def hue_concentration(images):
    """Length of the mean of doubled hue angles, weighted by chroma: 1 on one axis."""
    red, green, blue = np.moveaxis(images, -1, 0)
    angle = np.arctan2(np.sqrt(3) * (green - blue), 2 * red - green - blue)
    vectors = chroma(images) * np.exp(2j * angle)
    return abs(vectors.mean((1, 2))) / chroma(images).mean((1, 2))


def lamp_area(images):
    """Share of bright pixels: the subject of night pictures."""
    return (gray(images) > 0.6).mean((1, 2))


def colour_spots(images):
    """Spread of chroma in the upper half, where curiosities fly."""
    return chroma(images)[:, : SIZE // 2].std((1, 2))


def distance_from_thirds(images):
    """How far the brightest thing is from the nearer vertical third line."""
    light = gray(images) ** 6
    centres = (np.arange(SIZE) + 0.5) / SIZE
    x = (light.sum(1) * centres).sum(1) / light.sum((1, 2))
    return np.minimum(abs(x - 1 / 3), abs(x - 2 / 3))


@pytest.mark.parametrize(
    ("attribute", "measure", "sign", "others"),
    [
        ("vivid_color", lambda images: chroma(images).mean((1, 2)), 1, {}),
        ("light", lambda images: gray(images).mean((1, 2)), 1, {}),
        ("light", lambda images: gray(images).std((1, 2)), 1, {}),
        ("symmetry", mirror_correlation, 1, {}),
        ("depth_of_field", detail, -1, {"light": 0.5}),
        ("repetition", periodicity, 1, {}),
        ("color_harmony", hue_concentration, 1, {"vivid_color": 0.6}),
        ("object", lamp_area, 1, {"content": "night", "light": 0.5}),
    ],
)
def test_attribute_moves_its_measure(attribute, measure, sign, others):
    low, high = pair(attribute, **others)
    moved = sign * (measure(high) - measure(low))
    assert (moved > 0).mean() >= 0.8
    assert moved.mean() > 0.5 * moved.std()


def lanterns(thirds, **attributes):
    """Night pictures without curiosities, whose lamp is the brightest thing."""
    facts = facts_with(content="night", rule_of_thirds=thirds, **attributes)
    facts.attributes[:, ATTRIBUTES.index("interesting_content")] = -0.9
    return render(facts)


def test_rule_of_thirds_moves_the_subject_to_a_third():
    others = {"light": 0.5, "object": 0.8, "repetition": -0.9, "vivid_color": -0.9}
    low, high = (
        distance_from_thirds(lanterns(value, balancing_elements=-0.9, **others) / 255.0)
        for value in (-0.9, 0.9)
    )
    assert (high < low).mean() >= 0.8
    assert np.median(high) < 0.05 < np.median(low)


def test_interesting_content_puts_coloured_things_in_the_air():
    values = facts_with(light=0.5, vivid_color=0.5)
    column = ATTRIBUTES.index("interesting_content")
    images = []
    for level in (-0.9, 0.9):
        values.attributes[:, column] = level
        images.append(render(values) / 255.0)
    assert (colour_spots(images[1]) > colour_spots(images[0])).mean() >= 0.8


def test_balancing_element_appears_opposite_the_subject():
    others = {"light": 0.5, "object": 0.8, "repetition": -0.9, "vivid_color": -0.9}
    low, high = (
        lanterns(0.95, balancing_elements=value, **others) / 255.0
        for value in (-0.9, 0.9)
    )
    change = abs(high - low).sum((1, 3))
    lamp = (gray(low) ** 6).sum(1)
    left, right = np.s_[:, : SIZE // 2], np.s_[:, SIZE // 2 :]
    change_right = change[right].sum(1) > change[left].sum(1)
    lamp_right = lamp[right].sum(1) > lamp[left].sum(1)
    assert (change_right != lamp_right).mean() >= 0.9


def test_content_class_changes_the_picture_that_has_the_same_attributes():
    images = [render(facts_with(20, content=name)) / 255.0 for name in CONTENTS]
    gaps = [
        abs(a - b).mean((1, 2, 3)) for k, a in enumerate(images) for b in images[:k]
    ]
    assert np.min(np.mean(gaps, axis=1)) > 0.05


def test_pixels_do_not_depend_on_workers_batches_or_the_rest_of_the_world():
    facts = facts_with(40)
    images = render(facts, workers=1)
    np.testing.assert_array_equal(images, render(facts, workers=4))
    some = np.array([7, 31])
    alone = dataclasses.replace(
        facts,
        index=facts.index[some],
        attributes=facts.attributes[some],
        content=facts.content[some],
    )
    np.testing.assert_array_equal(images[some], render(alone))


def test_another_size_shows_the_same_scene():
    facts = facts_with(10)
    small, large = render(facts, size=32) / 255.0, render(facts, size=64) / 255.0
    halved = large.reshape(10, 32, 2, 32, 2, 3).mean((2, 4))
    assert abs(small - halved).mean() < 0.04


def test_seeds_and_groups_give_different_pictures():
    facts = facts_with(4)
    images = render(facts)
    assert (images != render(facts, seed=6)).mean() > 0.8
    assert (images != render(dataclasses.replace(facts, group="test"))).mean() > 0.8


def test_longer_draw_of_facts_begins_with_the_shorter():
    short = photographs.draw_facts(5, seed=1, group="test")
    long = photographs.draw_facts(9, seed=1, group="test")
    np.testing.assert_array_equal(short.attributes, long.attributes[:5])
    np.testing.assert_array_equal(short.content, long.content[:5])


def test_attributes_fill_their_range_and_covary_as_declared():
    facts = photographs.draw_facts(3000, seed=0, group="train")
    assert abs(facts.attributes).max() < 1
    assert abs(facts.attributes.mean(0)).max() < 0.05
    normal = np.arctanh(facts.attributes.astype(float)) / 0.9
    np.testing.assert_allclose(
        np.corrcoef(normal.T), photographs.attribute_covariance(), atol=0.07
    )
    assert set(facts.content) == set(range(len(world.CONTENTS)))


def test_too_small_pictures_are_refused():
    with pytest.raises(ValueError, match=r"size=8 .* Use >= 16"):
        render(facts_with(1), size=8)
