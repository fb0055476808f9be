import re
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from safetensors.numpy import save_file

from jiaa.models.backbones import BACKBONES, create_backbone
from jiaa.models.pretrained import (
    SPECS,
    convert_state_dict,
    load_pretrained,
    variable_shapes,
)
from jiaa.models.torch_names import targets

SMALL = {"num_classes": 5, "width": 4}


@pytest.fixture(scope="module")
def backbone():
    return create_backbone("resnet18", **SMALL)


@pytest.fixture(scope="module")
def state(backbone):
    """Noise of the right shapes under torchvision's names."""
    rng = np.random.default_rng(0)
    return {
        name: rng.normal(size=target.torch_shape).astype(np.float32)
        for name, target in targets("resnet18", variable_shapes(backbone)).items()
    }


def assert_equal_trees(a, b):
    jax.tree.map(np.testing.assert_array_equal, a, b)


@pytest.mark.parametrize("name", BACKBONES)
def test_the_table_names_each_parameter_once_and_gives_the_spec_its_width(name):
    module = create_backbone(name)
    shapes = variable_shapes(module)
    found = targets(name, shapes)
    assert len({t.path for t in found.values()}) == len(jax.tree.leaves(shapes))
    images = jax.ShapeDtypeStruct(
        (2, SPECS[name].image_size, SPECS[name].image_size, 3), "float32"
    )
    outputs = jax.eval_shape(module.apply, shapes, images)
    assert outputs["pooled"].shape == (2, SPECS[name].feature_dim)
    assert outputs["logits"].shape == (2, SPECS[name].num_classes)


def test_inception_undoes_the_normalisation_that_torchvision_adds():
    # transform_input after ImageNet's normalisation, channel by channel.
    pixel, imagenet = np.array([0.1, 0.5, 0.9]), SPECS["resnet18"]
    seen = (pixel - imagenet.mean) / imagenet.std
    transformed = (
        seen * (np.array(imagenet.std) / 0.5) + (np.array(imagenet.mean) - 0.5) / 0.5
    )
    ours = (pixel - SPECS["inception_v3"].mean) / SPECS["inception_v3"].std
    np.testing.assert_allclose(ours, transformed, atol=1e-12)


def test_a_safetensors_file_gives_params_and_running_statistics(
    tmp_path, backbone, state
):
    save_file(state, tmp_path / "net.safetensors")
    variables = load_pretrained(tmp_path / "net.safetensors", backbone)
    kernel = state["layer2.0.downsample.0.weight"]
    found = variables["params"]["stage2_block1"]["shortcut"]["conv"]["kernel"]
    np.testing.assert_array_equal(found[0, 0], kernel[:, :, 0, 0].T)
    np.testing.assert_array_equal(
        variables["batch_stats"]["stem"]["norm"]["var"], state["bn1.running_var"]
    )
    expected = variable_shapes(backbone)
    assert jax.tree.structure(variables) == jax.tree.structure(expected)
    assert jax.tree.map(jnp.shape, variables) == jax.tree.map(jnp.shape, expected)


def test_a_backbone_without_batch_norm_has_empty_running_statistics():
    module = create_backbone("squeezenet", num_classes=3)
    expected = targets("squeezenet", variable_shapes(module))
    state = {n: np.zeros(t.torch_shape, np.float32) for n, t in expected.items()}
    variables = convert_state_dict(state, module)
    assert variables["batch_stats"] == {}


@pytest.mark.parametrize("suffix", [".pth", ".pt"])
def test_a_torch_file_gives_what_the_safetensors_file_gives(
    torch, tmp_path, backbone, state, suffix
):
    tensors = {name: torch.from_numpy(array) for name, array in state.items()}
    tensors["bn1.num_batches_tracked"] = torch.tensor(7)
    path = tmp_path / f"net{suffix}"
    torch.save(tensors, path)
    expected = convert_state_dict(state, backbone)
    assert_equal_trees(load_pretrained(path, backbone), expected)
    wrapped = {f"module.{name}": tensor for name, tensor in tensors.items()}
    torch.save({"state_dict": wrapped, "epoch": 3}, path)
    assert_equal_trees(load_pretrained(path, backbone), expected)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_is_read_into_float32(torch, tmp_path, backbone, state, dtype):
    from safetensors.torch import save_file as save_torch

    half = {n: torch.from_numpy(a).to(getattr(torch, dtype)) for n, a in state.items()}
    save_torch(half, tmp_path / "half.safetensors")
    torch.save(half, tmp_path / "half.pth")
    rounded = {name: tensor.float().numpy() for name, tensor in half.items()}
    expected = convert_state_dict(rounded, backbone)
    for name in ("half.safetensors", "half.pth"):
        variables = load_pretrained(tmp_path / name, backbone)
        assert {x.dtype.name for x in jax.tree.leaves(variables)} == {"float32"}
        assert_equal_trees(variables, expected)


def test_one_message_lists_all_that_does_not_fit(tmp_path, backbone, state):
    wrong = dict(state)
    del wrong["conv1.weight"], wrong["layer4.1.bn2.running_var"]
    wrong["fc.weight"] = np.zeros((1000, 32), np.float32)
    wrong["fc.bias"] = np.zeros(5, np.int64)
    wrong["head.weight"] = np.zeros(3, np.float32)
    wrong["bn1.weight"] = np.full(4, np.nan, np.float32)
    save_file(wrong, tmp_path / "wrong.safetensors")
    with pytest.raises(ValueError, match="does not hold the weights of") as raised:
        load_pretrained(tmp_path / "wrong.safetensors", backbone)
    lines = str(raised.value).splitlines()
    assert lines[0].endswith("wrong.safetensors does not hold the weights of resnet18.")
    assert lines[1:] == [
        "missing (2): conv1.weight, layer4.1.bn2.running_var",
        "unexpected (1): head.weight",
        "misshapen (2): fc.bias (expected floats of shape (5,), found int64 of shape "
        "(5,)), fc.weight (expected floats of shape (5, 32), found float32 of shape "
        "(1000, 32))",
        "not finite (1): bn1.weight",
        "Use a state dict of torchvision's resnet18, and create the backbone with the "
        "num_classes and width that it was trained with.",
    ]


def test_densenets_older_names_are_todays():
    # torchvision's file has norm.1 and conv.2 where its module has norm1 and conv2.
    module = create_backbone("densenet121", num_classes=3, growth=4, blocks=(2, 1))
    rng = np.random.default_rng(0)
    expected = targets("densenet121", variable_shapes(module))
    today = {
        name: rng.normal(size=target.torch_shape).astype(np.float32)
        for name, target in expected.items()
    }

    def older(name):
        return re.sub(r"(denselayer\d+\.(?:norm|conv))([12])", r"\1.\2", name)

    old = {older(name): array for name, array in today.items()}
    assert len(set(old) - set(today)) == 3 * 2 * 5
    assert_equal_trees(
        convert_state_dict(old, module), convert_state_dict(today, module)
    )
    with pytest.raises(ValueError, match=r"unexpected \(30\): features\.denseblock1"):
        convert_state_dict({**today, **old}, module)


def test_another_backbones_weights_are_refused(tmp_path, state):
    save_file(state, tmp_path / "net.safetensors")
    with pytest.raises(ValueError, match=r"missing \(52\): classifier.1.bias"):
        load_pretrained(tmp_path / "net.safetensors", "squeezenet")


@pytest.mark.parametrize("kept", [0, 7, 500, -1])
@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_a_truncated_file_is_refused_by_name(
    torch, tmp_path, backbone, state, suffix, kept
):
    path = tmp_path / f"net{suffix}"
    if suffix == ".pth":
        torch.save({n: torch.from_numpy(a) for n, a in state.items()}, path)
    else:
        save_file(state, path)
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(ValueError, match=rf"net{suffix} (is no complete|holds more)"):
        load_pretrained(path, backbone)


def test_other_files_are_refused_with_the_reason(torch, tmp_path, backbone):
    with pytest.raises(FileNotFoundError, match="no such weights file"):
        load_pretrained(tmp_path / "absent.safetensors", backbone)
    with pytest.raises(ValueError, match=r"\.safetensors, \.pth, \.pt; found '\.onnx'"):
        load_pretrained(tmp_path / "net.onnx", backbone)
    torch.save(torch.nn.Linear(2, 2), tmp_path / "module.pth")
    with pytest.raises(ValueError, match="holds more than tensors"):
        load_pretrained(tmp_path / "module.pth", backbone)
    torch.save([torch.zeros(3)], tmp_path / "list.pth")
    with pytest.raises(ValueError, match="is no state dict"):
        load_pretrained(tmp_path / "list.pth", backbone)
    (tmp_path / "page.pth").write_text("<html>404 Not Found</html>")
    with pytest.raises(ValueError, match=r"page\.pth"):
        load_pretrained(tmp_path / "page.pth", backbone)


def test_a_pth_file_is_read_without_torch(tmp_path, backbone, state, torch):
    path = tmp_path / "net.pth"
    torch.save({name: torch.from_numpy(array) for name, array in state.items()}, path)
    program = (
        "import sys; sys.modules['torch'] = None\n"
        "from jiaa.models.torch_files import read_torch\n"
        f"print(len(read_torch({str(path)!r})))"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert int(ran.stdout) == len(state)
