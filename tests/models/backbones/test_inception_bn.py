"""Inception-BN: the widths that the papers' tables give, and its maps' sizes."""

import jax
import jax.numpy as jnp
import pytest

from jiaa.models.backbones import InceptionBN

CHANNELS = {  # Ioffe and Szegedy, Table of Sec. 4.2.1 (4c and 4d: the sums of branches)
    "stem": 192,
    "inception_3a": 256,
    "inception_3b": 320,
    "inception_3c": 576,
    "inception_4a": 576,
    "inception_4b": 576,
    "inception_4c": 608,
    "inception_4d": 608,
    "inception_4e": 1056,
    "inception_5a": 1024,
}
SIDES = {"stem": 28, "inception_3c": 14, "inception_4e": 7, "inception_5b": 7}


@pytest.mark.parametrize(("trimmed", "width"), [(False, 1024), (True, 176)])
def test_maps_have_the_published_sizes(trimmed, width):
    images = jax.ShapeDtypeStruct((2, 224, 224, 3), jnp.float32)
    model = InceptionBN(num_classes=7, trimmed=trimmed)
    found, _ = jax.eval_shape(model.init_with_output, jax.random.key(0), images)
    stages = found["stages"]
    assert {name: stages[name].shape[-1] for name in CHANNELS} == CHANNELS
    for name, side in SIDES.items():
        assert stages[name].shape[1:3] == (side, side)
    assert stages["inception_5b"].shape[-1] == width
    assert found["pooled"].shape == (2, width)
    assert found["logits"].shape == (2, 7)


def test_the_trimmed_block_is_table_2_of_pam():
    shapes = jax.eval_shape(
        InceptionBN(trimmed=True).init, jax.random.key(0), jnp.zeros((1, 32, 32, 3))
    )["params"]["inception_5b"]
    widths = {name: layer["conv"]["kernel"].shape[-1] for name, layer in shapes.items()}
    assert widths == {
        "1x1": 88,
        "double_3x3_reduce": 192,
        "double_3x3_1": 224,
        "double_3x3_2": 56,
        "pool_proj": 32,
    }
