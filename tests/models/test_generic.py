import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jiaa.models.generic import TAPS, create_model, initialise, initialise_head

SMALL = {"width": 4, "num_classes": 6}
FEATURES = {"logits": 6, "pooled": 32, "logits+pooled": 38}


def small(head="released", **options):
    return create_model(
        backbone="resnet18",
        head=head,
        backbone_options=SMALL,
        head_options={"hidden": (8,)},
        **options,
    )


@pytest.fixture(scope="module")
def images():
    return jax.random.normal(jax.random.key(5), (4, 32, 32, 3))


@pytest.fixture(scope="module")
def variables(images):
    return initialise(small(tap="logits+pooled"), images, key=jax.random.key(0))


def test_params_are_a_backbone_and_a_head(variables):
    assert set(variables) == {"params", "batch_stats"}
    assert set(variables["params"]) == {"backbone", "head"}
    assert set(variables["batch_stats"]) == {"backbone", "head"}


@pytest.mark.parametrize("tap", TAPS)
def test_the_tap_chooses_what_the_head_reads(tap, images):
    model = small(tap=tap)
    shapes = jax.eval_shape(model.init, jax.random.key(0), images)
    kernel = shapes["params"]["head"]["dense1"]["kernel"]
    assert kernel.shape == (FEATURES[tap], 8)


def test_scoring_features_computed_once_is_scoring_the_images(images, variables):
    model = small(tap="logits+pooled")
    scores = jax.jit(model.apply)(variables, images)
    assert scores.shape == (4,)
    assert bool(((scores > 0) & (scores < 1)).all())
    compute = jax.jit(functools.partial(model.apply, method="features"))
    features = compute(variables, images)
    assert features.shape == (4, 38)
    head = {name: {"head": tree["head"]} for name, tree in variables.items()}
    alone = model.apply(head, features, method="score")
    np.testing.assert_allclose(alone, scores, rtol=1e-5)
    init = functools.partial(model.init, method="score")
    drawn = jax.eval_shape(init, jax.random.key(1), features)
    assert set(drawn["params"]) == {"head"}
    assert jax.tree.map(jnp.shape, drawn) == jax.tree.map(jnp.shape, head)


def test_padding_changes_nothing_through_the_whole_network(images, variables):
    model = small(tap="logits+pooled")

    def loss(params, images, mask):
        scores, changed = model.apply(
            {**variables, "params": params},
            images,
            mask=mask,
            batch_statistics=True,
            dropout=True,
            rngs={"dropout": jax.random.key(1)},
            mutable=["batch_stats"],
        )
        return jnp.sum(mask * scores), (scores[:4], changed)

    run = jax.jit(jax.grad(loss, has_aux=True))
    padded = jnp.concatenate([images, jnp.ones((3, *images.shape[1:]))])
    alone = run(variables["params"], images, jnp.ones(4, bool))
    together = run(variables["params"], padded, jnp.arange(7) < 4)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, atol=2e-5, rtol=1e-3),
        together,
        alone,
    )


def test_models_are_static_arguments(images, variables):
    traces = []

    @jax.jit(static_argnums=0)
    def score(model, variables, images):
        traces.append(model)
        return model.apply(variables, images)

    for _ in range(2):
        score(small(tap="logits+pooled"), variables, images)
    assert len(traces) == 1
    assert small() == small()
    assert hash(small()) == hash(small())
    assert small() != small("pooled")


def test_variables_have_both_collections_even_where_one_is_empty():
    model = create_model(backbone="squeezenet", head="pooled")
    images = jnp.zeros((1, 17, 17, 3))
    variables = jax.eval_shape(
        functools.partial(initialise, model, images), key=jax.random.key(0)
    )
    assert variables["batch_stats"] == {}
    assert variables["params"]["head"]["dense1"]["kernel"].shape == (1024, 512)


def test_heads_read_by_default_what_they_were_published_on():
    assert small("released").tap == "logits"
    assert small("pooled").tap == "pooled"


def test_unknown_names_are_answered_with_the_known_ones():
    with pytest.raises(ValueError, match=r"tap 'stage4'.*logits\+pooled"):
        small(tap="stage4")
    with pytest.raises(ValueError, match=r"backbone 'resnet19'.*resnet18"):
        create_model(backbone="resnet19", head="pooled")
    with pytest.raises(ValueError, match=r"head 'lined'.*pooled"):
        create_model(backbone="resnet18", head="lined")
    with pytest.raises(TypeError, match="depth"):
        create_model(backbone="resnet18", head="pooled", backbone_options={"depth": 1})


def test_a_head_alone_has_the_whole_networks_names_and_scores_features():
    model = small(tap="pooled")
    head = initialise_head(model, width=11, key=jax.random.key(0))
    assert set(head) == {"params", "batch_stats"}
    assert set(head["params"]) == {"head"}
    scores = model.apply(head, jnp.ones((3, 11)), method="score")
    assert scores.shape == (3,)
    linear = create_model(
        backbone="squeezenet", head="pooled", head_options={"hidden": ()}
    )
    assert initialise_head(linear, width=5, key=jax.random.key(0))["batch_stats"] == {}


def test_one_dtype_serves_the_whole_network_and_parts_may_differ():
    options = {"backbone": "squeezenet", "head": "warped", "tap": "logits"}
    assert create_model(**options).backbone.dtype is None
    model = create_model(**options, dtype="bfloat16")
    assert (model.backbone.dtype, model.head.dtype) == ("bfloat16", "bfloat16")
    mixed = create_model(**options, dtype="bfloat16", head_options={"dtype": "float32"})
    assert (mixed.backbone.dtype, mixed.head.dtype) == ("bfloat16", "float32")
