import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from jiaa.models.backbones import BACKBONES, create_backbone
from jiaa.models.backbones.resnet import BasicBlock
from jiaa.models.generic import initialise
from jiaa.models.pretrained import SPECS, convert_state_dict, load_pretrained
from jiaa.models.torch_names import is_ignored

# Odd and not square; AlexNet's 6 x 6 map as it is, and adapted from 1 x 3.
PARITY = {
    "alexnet": [(224, 224), (63, 127)],
    "densenet121": [(45, 61)],
    "squeezenet": [(75, 50)],
    "resnet18": [(64, 45)],
    "inception_v3": [(75, 91)],
    "vgg16": [(33, 70)],
}
# The layer whose input is the pooled feature, or the map that SqueezeNet pools.
LAST = {
    "alexnet": "classifier.6",
    "densenet121": "classifier",
    "squeezenet": "classifier",
    "resnet18": "fc",
    "inception_v3": "fc",
    "vgg16": "classifier.6",
}


def randomise(torch, model, images):
    """Random weights with which the signal reaches the end, and fitting statistics."""
    torch.manual_seed(0)
    for layer in model.modules():
        if isinstance(layer, (torch.nn.Conv2d, torch.nn.Linear)):
            torch.nn.init.kaiming_normal_(layer.weight)
            if layer.bias is not None:
                torch.nn.init.normal_(layer.bias, std=0.1)
        if isinstance(layer, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(layer.weight, 0.5, 1.5)
            torch.nn.init.normal_(layer.bias, std=0.2)
            layer.momentum = 0.9
        if isinstance(layer, torch.nn.Dropout):
            layer.p = 0.0
    auxiliary, model.AuxLogits = getattr(model, "AuxLogits", None), None
    with torch.no_grad():
        model.train()(images)
    model.AuxLogits = auxiliary
    for layer in model.modules():
        layer.momentum = 0.1


def torch_model(torchvision, torch, name, **options):
    if name == "inception_v3":
        options |= {"init_weights": False, "transform_input": False}
    make = getattr(torchvision.models, SPECS[name].torchvision)
    model = narrow_vgg(torch, make) if name == "vgg16" else make(**options)
    # Large enough that no channel's variance comes from a handful of positions.
    images = torch.from_numpy(nchw(draw(0, 139)))
    randomise(torch, model, images)
    return model


VGG_DENSE = 32  # of 4,096: the same layers, a hundred million weights fewer


def narrow_vgg(torch, make):
    """VGG with narrow dense layers; the wide ones never exist."""
    with torch.device("meta"):
        model = make(init_weights=False)
        for layer, size in ((0, (512 * 49, VGG_DENSE)), (3, (VGG_DENSE, VGG_DENSE))):
            model.classifier[layer] = torch.nn.Linear(*size)
        model.classifier[6] = torch.nn.Linear(VGG_DENSE, 1000)
    return model.to_empty(device="cpu")


def draw(seed, *size, images=4):
    """Normalised images of that height and width."""
    shape = (images, size[0], size[-1], 3)
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def nchw(images):
    return np.ascontiguousarray(images.transpose(0, 3, 1, 2))


def arrays(state):
    return {name: tensor.detach().numpy().copy() for name, tensor in state.items()}


@pytest.mark.parametrize("name", PARITY)
def test_outputs_agree_with_torchvision_on_the_same_weights(torchvision, torch, name):
    model = torch_model(torchvision, torch, name).eval()
    inputs = []
    model.get_submodule(LAST[name]).register_forward_pre_hook(
        lambda layer, given: inputs.append(given[0].numpy())
    )
    narrow = {"dense": VGG_DENSE} if name == "vgg16" else {}
    module = create_backbone(name, **narrow)
    variables = convert_state_dict(arrays(model.state_dict()), module)
    apply = jax.jit(module.apply)
    for size in PARITY[name]:
        images = draw(1, *size)
        with torch.no_grad():
            logits = model(torch.from_numpy(nchw(images))).numpy()
        pooled = inputs.pop()
        if name == "squeezenet":
            pooled = np.concatenate([pooled.mean((2, 3)), pooled.max((2, 3))], axis=1)
        outputs = apply(variables, jnp.asarray(images))
        # The weights let images differ: agreement is no agreement on zero.
        assert logits.std(0).mean() > 0.02
        np.testing.assert_allclose(outputs["logits"], logits, atol=1e-4)
        np.testing.assert_allclose(outputs["pooled"], pooled, atol=1e-4)


def test_inception_leaves_out_only_its_auxiliary_classifier(torchvision, torch):
    with torch.device("meta"):
        model = torchvision.models.inception_v3(init_weights=False)
    left_out = [n for n in model.state_dict() if is_ignored("inception_v3", n)]
    others = {n for n in left_out if not n.endswith("num_batches_tracked")}
    assert others
    assert all(name.startswith("AuxLogits.") for name in others)
    assert not is_ignored("resnet18", "AuxLogits.fc.weight")


def test_a_training_pass_and_its_gradient_agree_with_torchvision(torchvision, torch):
    model = torch_model(torchvision, torch, "resnet18", num_classes=7).train()
    module = create_backbone("resnet18", num_classes=7)
    variables = convert_state_dict(arrays(model.state_dict()), module)
    # With these no value lies within rounding of a ReLU's kink, where either side's
    # float32 gradient may be the wrong one (seeds 2 to 4: PyTorch's in one of three).
    images = draw(5, 64, images=8)

    def loss(params):
        outputs, changed = module.apply(
            {**variables, "params": params},
            jnp.asarray(images),
            batch_statistics=True,
            mutable=["batch_stats"],
        )
        return jnp.mean(jnp.tanh(outputs["logits"])), changed["batch_stats"]

    grads, running = jax.jit(jax.grad(loss, has_aux=True))(variables["params"])
    model(torch.from_numpy(nchw(images))).tanh().mean().backward()
    expected = arrays(model.state_dict())
    expected |= arrays({n: p.grad for n, p in model.named_parameters()})
    expected = convert_state_dict(expected, module)

    def check(found, expected):
        scale = float(jnp.abs(expected).max())
        np.testing.assert_allclose(found, expected, atol=2e-3 * scale)

    jax.tree.map(check, grads, expected["params"])
    jax.tree.map(check, running, expected["batch_stats"])


@pytest.mark.parametrize("name", BACKBONES)
def test_every_backbone_has_the_same_interface(name):
    module = create_backbone(name, num_classes=11, dtype="bfloat16")
    size = module.minimum_size
    images = jax.ShapeDtypeStruct((2, size, size + 9, 3), jnp.float32)
    variables = jax.eval_shape(module.init, jax.random.key(0), images)
    assert {p.dtype.name for p in jax.tree.leaves(variables)} == {"float32"}
    apply = functools.partial(
        module.apply,
        mask=jnp.ones(2, bool),
        batch_statistics=True,
        dropout=True,
        rngs={"dropout": jax.random.key(1)},
        mutable=["batch_stats"],
    )
    outputs, _ = jax.eval_shape(apply, variables, images)
    assert outputs["logits"].shape == (2, 11)
    assert outputs["pooled"].shape == (2, SPECS[name].feature_dim)
    assert outputs["logits"].dtype == outputs["pooled"].dtype == jnp.float32
    for stage in outputs["stages"].values():
        assert stage.shape[0] == 2
        assert stage.ndim == 4
        assert stage.dtype == jnp.bfloat16
    assert hash(module) == hash(create_backbone(name, num_classes=11, dtype="bfloat16"))


@pytest.mark.parametrize("name", BACKBONES)
def test_images_too_small_for_the_architecture_are_refused(name):
    module = create_backbone(name)
    size = module.minimum_size - 1
    if size == 0:
        return
    images = jax.ShapeDtypeStruct((2, size, 300, 3), jnp.float32)
    with pytest.raises(ValueError, match=f"of at least {size + 1} x {size + 1} pixels"):
        jax.eval_shape(module.init, jax.random.key(0), images)


def test_vgg_maps_320_pixels_to_10_by_10_by_512():
    module = create_backbone("vgg16", num_classes=2)
    images = jax.ShapeDtypeStruct((1, 320, 320, 3), jnp.float32)
    variables = jax.eval_shape(module.init, jax.random.key(0), images)
    stages = jax.eval_shape(module.apply, variables, images)["stages"]
    assert stages["block5"].shape == (1, 10, 10, 512)


def test_squeezenet_shows_every_fire_module():
    module = create_backbone("squeezenet")
    images = jnp.asarray(draw(3, 40))
    variables = jax.eval_shape(module.init, jax.random.key(0), images)
    stages = jax.eval_shape(module.apply, variables, images)["stages"]
    assert list(stages) == ["conv1", *(f"fire{i}" for i in range(2, 10))]
    assert stages["fire9"].shape == (4, 2, 2, 512)


def test_bfloat16_computes_nearly_what_float32_does():
    maps = jnp.asarray(draw(4, 8))
    exact, fast = (BasicBlock(8, (2, 2), dtype=dtype) for dtype in (None, "bfloat16"))
    variables = initialise(exact, maps, key=jax.random.key(0))
    expected = jax.jit(exact.apply)(variables, maps)
    found = jax.jit(fast.apply)(variables, maps)
    assert found.dtype == jnp.bfloat16
    np.testing.assert_allclose(found.astype(jnp.float32), expected, atol=0.05)


def test_the_convolution_can_be_chosen_for_a_whole_backbone():
    images = jnp.asarray(draw(5, 32))
    shapes = {}
    for choice in ("patches", "library"):
        module = create_backbone("squeezenet", convolution=choice)
        variables = jax.eval_shape(module.init, jax.random.key(0), images)
        jaxpr = jax.make_jaxpr(module.apply)(variables, images)
        shapes[choice] = str(jaxpr).count("conv_general_dilated[")
    assert shapes == {"patches": 0, "library": 26}


def test_unknown_backbones_and_options_are_named():
    with pytest.raises(ValueError, match=r"'vgg'; known: \['alexnet'"):
        create_backbone("vgg")
    with pytest.raises(TypeError, match="depth"):
        create_backbone("resnet18", depth=50)


# ImageNet's numbers for what these photographs show.
PHOTOGRAPHS = {"Zebra1": 340, "Lion1": 291, "Tiger1": 292, "Volcano1": 980}


@pytest.mark.data
def test_real_weights_recognise_real_photographs(weights_root, oasis_root):
    spec, module = SPECS["squeezenet"], create_backbone("squeezenet")
    variables = load_pretrained(
        weights_root / "squeezenet1_1_imagenet.safetensors", module
    )
    size = (spec.image_size, spec.image_size)
    images = [
        np.asarray(
            Image.open(oasis_root / f"images/{name}.jpg").convert("RGB").resize(size)
        )
        for name in PHOTOGRAPHS
    ]
    normalised = (np.stack(images) / 255 - spec.mean) / spec.std
    outputs = jax.jit(module.apply)(variables, jnp.asarray(normalised, jnp.float32))
    found = dict(zip(PHOTOGRAPHS, outputs["logits"].argmax(1).tolist(), strict=True))
    assert found == PHOTOGRAPHS
