import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jiaa.models.heads import (
    HEADS,
    PooledHead,
    PReLU,
    ReleasedHead,
    WarpedHead,
    create_head,
    warp_features,
)


def released_in_torch(torch, width):
    """The released program's head, from its description in the slides and the paper."""
    return torch.nn.Sequential(
        torch.nn.Linear(width, 1024),
        torch.nn.BatchNorm1d(1024),
        torch.nn.PReLU(),
        torch.nn.Dropout(0.5),
        torch.nn.Linear(1024, 512),
        torch.nn.BatchNorm1d(512),
        torch.nn.PReLU(),
        torch.nn.Dropout(0.5),
        torch.nn.Linear(512, 1),
        torch.nn.Sigmoid(),
    )


def variables_from_torch(model):
    """Our variables from the layers of `released_in_torch`."""
    state = {name: value.numpy() for name, value in model.state_dict().items()}
    params, batch_stats = {}, {}
    for dense, norm, prelu, i in ((0, 1, 2, 1), (4, 5, 6, 2)):
        params[f"dense{i}"] = {
            "kernel": state[f"{dense}.weight"].T,
            "bias": state[f"{dense}.bias"],
        }
        params[f"norm{i}"] = {
            "scale": state[f"{norm}.weight"],
            "bias": state[f"{norm}.bias"],
        }
        params[f"prelu{i}"] = {"slope": state[f"{prelu}.weight"][0]}
        batch_stats[f"norm{i}"] = {
            "mean": state[f"{norm}.running_mean"],
            "var": state[f"{norm}.running_var"],
        }
    params["score"] = {"kernel": state["8.weight"].T, "bias": state["8.bias"]}
    return jax.tree.map(jnp.asarray, {"params": params, "batch_stats": batch_stats})


def test_the_released_head_agrees_with_torch_in_training_and_evaluation(torch, rng):
    torch.manual_seed(0)
    theirs = released_in_torch(torch, 1000)
    theirs[3].p = theirs[7].p = 0.0
    features = jnp.asarray(rng.normal(1, 2, (8, 1000)), jnp.float32)
    variables = variables_from_torch(theirs)
    head = ReleasedHead()
    drawn = jax.eval_shape(head.init, jax.random.key(0), features)
    assert jax.tree.map(jnp.shape, drawn) == jax.tree.map(jnp.shape, variables)
    for _ in range(2):
        expected = theirs(torch.from_numpy(np.array(features))).detach().numpy()[:, 0]
        found, changed = head.apply(
            variables,
            features,
            batch_statistics=True,
            mutable=["batch_stats"],
        )
        np.testing.assert_allclose(found, expected, atol=1e-5)
        variables = variables | changed
    theirs.eval()
    expected = theirs(torch.from_numpy(np.array(features))).detach().numpy()[:, 0]
    np.testing.assert_allclose(head.apply(variables, features), expected, atol=1e-5)
    after = variables_from_torch(theirs)["batch_stats"]
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, atol=1e-4),
        variables["batch_stats"],
        after,
    )


def test_prelu_starts_at_a_quarter_and_learns_from_negative_inputs():
    x = jnp.asarray([[-2.0, 4.0]])
    variables = PReLU().init(jax.random.key(0), x)
    np.testing.assert_array_equal(PReLU().apply(variables, x), [[-0.5, 4.0]])
    grads = jax.grad(lambda v: jnp.sum(PReLU().apply(v, x)))(variables)
    assert float(grads["params"]["slope"]) == -2.0


HEADS_WITH_NORM = {
    "released": ReleasedHead(hidden=(16, 8)),
    "pooled": PooledHead(hidden=(16,), batch_norm=True, dropout=0.3),
}


@pytest.mark.parametrize("head", HEADS_WITH_NORM.values(), ids=HEADS_WITH_NORM)
def test_padding_changes_neither_scores_nor_statistics_nor_gradients(head, rng):
    features = jnp.asarray(rng.normal(size=(10, 12)), jnp.float32)
    variables = jax.jit(head.init)(jax.random.key(0), features)

    def loss(params, features, mask):
        scores, changed = head.apply(
            {**variables, "params": params},
            features,
            mask=mask,
            batch_statistics=True,
            dropout=True,
            rngs={"dropout": jax.random.key(1)},
            mutable=["batch_stats"],
        )
        real = jnp.ones(len(scores)) if mask is None else mask
        return jnp.sum(real * scores**2), (scores[:10], changed)

    run = jax.jit(jax.value_and_grad(loss, has_aux=True))
    padded = jnp.concatenate([features, jnp.full((6, 12), 3.0)])
    alone = run(variables["params"], features, None)
    together = run(variables["params"], padded, jnp.arange(16) < 10)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5), together, alone
    )


def test_dropout_draws_only_when_asked(rng):
    features = jnp.asarray(rng.normal(size=(4, 6)), jnp.float32)
    for head in (ReleasedHead(hidden=(8,)), PooledHead((), dropout=0.5)):
        variables = head.init(jax.random.key(0), features)
        still = head.apply(variables, features)
        np.testing.assert_array_equal(still, head.apply(variables, features))
        drawn = head.apply(
            variables, features, dropout=True, rngs={"dropout": jax.random.key(2)}
        )
        assert not np.allclose(still, drawn)


def test_a_linear_head_is_a_weighted_sum(rng):
    features = jnp.asarray(rng.normal(size=(4, 6)), jnp.float32)
    head = PooledHead(hidden=(), output="linear")
    variables = head.init(jax.random.key(0), features)
    params = variables["params"]["score"]
    expected = features @ params["kernel"][:, 0] + params["bias"][0]
    np.testing.assert_allclose(head.apply(variables, features), expected, rtol=1e-5)
    squashed = PooledHead(hidden=()).apply(variables, features)
    np.testing.assert_allclose(squashed, jax.nn.sigmoid(expected), rtol=1e-5)


def test_unknown_names_are_answered_with_the_known_ones():
    with pytest.raises(ValueError, match=str(sorted(HEADS)).replace("[", r"\[")):
        create_head("cosine")
    features = jnp.zeros((1, 3))
    with pytest.raises(ValueError, match=r"activation 'swish'.*relu"):
        PooledHead(activation="swish").init(jax.random.key(0), features)
    with pytest.raises(ValueError, match=r"output 'softmax'.*linear.*sigmoid"):
        PooledHead(output="softmax").init(jax.random.key(0), features)
    with pytest.raises(TypeError, match="depth"):
        create_head("pooled", depth=3)


def warped(rng, *, shared=4, spread=0.5, width=6, images=5):
    """(head, features, params): random slow weights, the rest as initialised."""
    head = WarpedHead(shared=shared, spread=spread)
    features = jnp.asarray(rng.normal(size=(images, width)), jnp.float32)
    params = head.init(jax.random.key(0), features)["params"]
    slow = jnp.asarray(rng.normal(size=params["slow"].shape), jnp.float32)
    return head, features, {**params, "slow": slow, "bias": jnp.float32(0.3)}


def test_a_warped_head_without_fast_weights_gives_the_generic_score(rng):
    head, features, params = warped(rng)
    expected = 0.3 + 0.5 * np.asarray(features)[:, :4] @ params["slow"]
    found = head.apply({"params": params}, features)
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_through_the_identity_fast_weights_act_on_all_features_directly(rng):
    head, features, params = warped(rng)
    fast = jnp.asarray(rng.normal(size=6), jnp.float32)
    generic = head.apply({"params": params}, features)
    found = head.apply({"params": {**params, "fast": fast}}, features)
    np.testing.assert_allclose(found - generic, 0.5 * features @ fast, atol=1e-5)


def test_a_users_gradient_is_stretched_by_the_warp_on_shared_features_alone(rng):
    head, features, params = warped(rng)
    warp = jnp.asarray(rng.normal(size=(4, 4)), jnp.float32)
    params = {**params, "warp": warp}
    pull = jnp.asarray(rng.normal(size=5), jnp.float32)
    gradient = jax.grad(lambda p: jnp.sum(pull * head.apply({"params": p}, features)))(
        params
    )["fast"]
    direct = 0.5 * np.asarray(features).T @ pull
    np.testing.assert_allclose(gradient[:4], warp.T @ direct[:4], atol=1e-5)
    np.testing.assert_allclose(gradient[4:], direct[4:], atol=1e-5)


def test_the_spread_scales_what_weights_say_and_not_the_bias(rng):
    _, features, params = warped(rng)
    params = {**params, "fast": jnp.ones(6)}
    one, twice = (
        WarpedHead(shared=4, spread=s).apply({"params": params}, features) - 0.3
        for s in (0.5, 1.0)
    )
    np.testing.assert_allclose(twice, 2 * one, atol=1e-5)


@pytest.mark.parametrize(("shared", "expected"), [(0, 6), (4, 4), (50, 6)])
def test_shared_features_are_the_first_ones_or_all(rng, shared, expected):
    params = warped(rng, shared=shared)[2]
    shapes = {name: np.shape(x) for name, x in params.items()}
    assert shapes == {
        "slow": (expected,),
        "warp": (expected, expected),
        "fast": (6,),
        "bias": (),
    }


@pytest.mark.parametrize("name", sorted(HEADS))
def test_every_head_is_called_alike(name, rng):
    first, *others = (
        [(p.name, p.kind, p.default) for p in signature.parameters.values()]
        for signature in (inspect.signature(head.__call__) for head in HEADS.values())
    )
    assert all(other == first for other in others)
    options = (
        {"hidden": (4,)}
        if "hidden" in inspect.signature(HEADS[name]).parameters
        else {}
    )
    head = create_head(name, **options)
    features = jnp.asarray(rng.normal(size=(5, 6)), jnp.float32)
    variables = head.init(jax.random.key(0), features)
    scores, _ = head.apply(
        variables,
        features,
        mask=jnp.arange(5) < 4,
        batch_statistics=True,
        dropout=True,
        rngs={"dropout": jax.random.key(1)},
        mutable=["batch_stats"],
    )
    assert scores.shape == (5,)


@pytest.mark.parametrize("name", sorted(HEADS))
def test_in_bfloat16_parameters_and_scores_stay_float32(name, rng):
    starts_at_zero = name in ("linear", "warped")
    options = {"spread": 0.1} if starts_at_zero else {"hidden": (16,)}
    features = jnp.asarray(rng.normal(size=(5, 6)), jnp.float32)
    exact = create_head(name, **options)
    rough = create_head(name, dtype="bfloat16", **options)
    variables = exact.init(jax.random.key(0), features)
    drawn = rough.init(jax.random.key(0), features)
    assert {x.dtype for x in jax.tree.leaves(drawn)} == {jnp.dtype("float32")}
    if starts_at_zero:
        slow = jnp.asarray(rng.normal(size=6), jnp.float32)
        variables = {"params": {**variables["params"], "slow": slow}}
    one, other = exact.apply(variables, features), rough.apply(variables, features)
    assert other.dtype == jnp.float32
    np.testing.assert_allclose(one, other, atol=2e-2)
    assert np.any(np.asarray(one) != np.asarray(other))


def test_a_warped_score_is_its_fast_weights_on_the_warped_features(rng):
    head, features, params = warped(rng)
    warp = jnp.asarray(rng.normal(size=(4, 4)), jnp.float32)
    fast = jnp.asarray(rng.normal(size=6), jnp.float32)
    params = {**params, "warp": warp}
    generic = head.apply({"params": params}, features)
    found = head.apply({"params": {**params, "fast": fast}}, features)
    expected = 0.5 * warp_features(params, features) @ fast
    np.testing.assert_allclose(found - generic, expected, atol=1e-5)
    np.testing.assert_array_equal(warp_features({}, features), features)
