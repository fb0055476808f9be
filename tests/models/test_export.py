"""Weights under torchvision's names, and back."""

import functools

import jax
import numpy as np
import pytest

from jiaa.models import export, pretrained
from jiaa.models.backbones import BACKBONES, alexnet, create_backbone
from jiaa.models.torch_names import targets

NARROW = {"vgg16": {"dense": 32}, "resnet18": {"width": 8}}


@pytest.fixture(params=sorted(set(BACKBONES) & set(pretrained.SPECS)))
def backbone(request, monkeypatch):
    """Every published backbone; narrow, and its shapes found out once."""
    name = request.param
    shapes = functools.cache(pretrained.variable_shapes)
    for module in (pretrained, export):
        monkeypatch.setattr(module, "variable_shapes", shapes)
    monkeypatch.setattr(alexnet, "DENSE", 32)
    return name, create_backbone(name, num_classes=3, **NARROW.get(name, {}))


def numbered_state(name, module):
    """A state dict of torchvision's shapes in which no two values are alike."""
    expected = targets(name, pretrained.variable_shapes(module))
    start, state = 0, {}
    for key, target in expected.items():
        size = int(np.prod(target.torch_shape))
        values = np.arange(start, start + size, dtype=np.float32)
        state[key] = values.reshape(target.torch_shape)
        start += 1  # large arrays may not repeat one another exactly
    return state


def test_export_undoes_import(backbone):
    name, module = backbone
    state = numbered_state(name, module)
    variables = pretrained.convert_state_dict(state, module)
    back = export.to_state_dict(variables, module)
    assert back.keys() == state.keys()
    for key, array in state.items():
        np.testing.assert_array_equal(back[key], array, err_msg=key)


def test_a_saved_file_is_loaded_as_it_was(tmp_path):
    module = create_backbone("squeezenet", num_classes=3)
    variables = pretrained.convert_state_dict(
        numbered_state("squeezenet", module), module
    )
    path = tmp_path / "new" / "trunk.safetensors"
    export.save_state_dict(path, variables, module)
    loaded = pretrained.load_pretrained(path, module)
    jax.tree.map(np.testing.assert_array_equal, loaded, dict(variables))


def test_variables_of_a_whole_network_are_refused():
    module = create_backbone("squeezenet", num_classes=3)
    whole = {"params": {"head": {"slow": np.zeros(3)}}}
    with pytest.raises(ValueError, match="params/classifier/bias"):
        export.to_state_dict(whole, module)
