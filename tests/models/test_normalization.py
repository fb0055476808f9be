import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jiaa.models.normalization import BatchNorm, masked_moments

SHAPES = {"features": (10, 6), "maps": (10, 4, 3, 6)}


def trained(layer, variables, x, **options):
    return layer.apply(
        variables, x, batch_statistics=True, mutable=["batch_stats"], **options
    )


def variables_for(rng, channels=6):
    def draw(low, high):
        return jnp.asarray(rng.uniform(low, high, channels), jnp.float32)

    return {
        "params": {"scale": draw(0.5, 2), "bias": draw(-1, 1)},
        "batch_stats": {"mean": draw(-1, 1), "var": draw(0.5, 2)},
    }


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_three_training_steps_and_evaluation_agree_with_torch(torch, rng, shape):
    layer, variables = BatchNorm(epsilon=1e-3), variables_for(rng)
    kind = torch.nn.BatchNorm1d if len(shape) == 2 else torch.nn.BatchNorm2d
    theirs = kind(shape[-1], eps=1e-3)
    theirs.load_state_dict(
        {
            "weight": torch.from_numpy(np.array(variables["params"]["scale"])),
            "bias": torch.from_numpy(np.array(variables["params"]["bias"])),
            "running_mean": torch.from_numpy(
                np.array(variables["batch_stats"]["mean"])
            ),
            "running_var": torch.from_numpy(np.array(variables["batch_stats"]["var"])),
            "num_batches_tracked": torch.tensor(0),
        }
    )

    def their_output(x):
        out = theirs(torch.from_numpy(np.moveaxis(x, -1, 1).copy()))
        return np.moveaxis(out.detach().numpy(), 1, -1)

    for _ in range(3):
        x = rng.normal(3, 2, shape).astype(np.float32)
        out, changed = trained(layer, variables, jnp.asarray(x))
        np.testing.assert_allclose(out, their_output(x), atol=2e-5)
        variables = variables | changed
    running = variables["batch_stats"]
    np.testing.assert_allclose(running["mean"], theirs.running_mean, rtol=1e-5)
    np.testing.assert_allclose(running["var"], theirs.running_var, rtol=1e-5)
    theirs.eval()
    x = rng.normal(size=shape).astype(np.float32)
    found = layer.apply(variables, jnp.asarray(x))
    np.testing.assert_allclose(found, their_output(x), atol=2e-5)


def padded(x, rows, filling):
    return jnp.concatenate([x, jnp.full((rows, *x.shape[1:]), filling)])


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_padding_ten_images_to_sixteen_changes_nothing(rng, shape):
    layer, variables = BatchNorm(), variables_for(rng)
    x = jnp.asarray(rng.normal(1, 3, shape), jnp.float32)
    weights = jnp.asarray(rng.normal(size=shape), jnp.float32)
    mask = jnp.arange(16) < 10

    def loss(params, x, weights, mask):
        inputs = {"params": params, "batch_stats": variables["batch_stats"]}
        out, changed = trained(layer, inputs, x, mask=mask)
        return jnp.sum(out * weights), (out, changed)

    run = jax.jit(jax.value_and_grad(loss, argnums=(0, 1), has_aux=True))
    params = variables["params"]
    (_, (out, changed)), (grads, dx) = run(params, x, weights, None)
    (_, (out2, changed2)), (grads2, dx2) = run(
        params, padded(x, 6, 7.0), padded(weights, 6, 0.0), mask
    )
    np.testing.assert_allclose(out2[:10], out, atol=1e-5)
    np.testing.assert_allclose(dx2[:10], dx, atol=1e-5)
    np.testing.assert_array_equal(dx2[10:], 0)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5),
        (changed, grads),
        (changed2, grads2),
    )


def test_without_the_mask_padding_would_change_the_outputs(rng):
    layer, variables = BatchNorm(), variables_for(rng)
    x = jnp.asarray(rng.normal(size=(10, 6)), jnp.float32)
    out, _ = trained(layer, variables, x)
    unmasked, _ = trained(layer, variables, padded(x, 6, 7.0))
    assert float(jnp.abs(unmasked[:10] - out).max()) > 0.1


def test_a_batch_without_a_real_image_is_finite_and_moves_nothing(rng):
    layer, variables = BatchNorm(), variables_for(rng)
    x = jnp.asarray(rng.normal(size=(4, 6)), jnp.float32)

    def loss(x):
        out, changed = trained(layer, variables, x, mask=jnp.zeros(4, bool))
        return jnp.sum(out**2), changed

    grads, changed = jax.grad(loss, has_aux=True)(x)
    assert bool(jnp.isfinite(grads).all())
    jax.tree.map(
        np.testing.assert_array_equal, changed["batch_stats"], variables["batch_stats"]
    )


def test_layers_without_a_real_image_do_not_overflow_one_after_another(rng):
    layer, variables = BatchNorm(), variables_for(rng)
    x = jnp.asarray(rng.normal(size=(4, 6)), jnp.float32)

    def loss(scale, mask):
        params = {**variables["params"], "scale": scale}

        def deeper(x, _):
            return trained(layer, {**variables, "params": params}, x, mask=mask)[0], ()

        out, _ = jax.lax.scan(deeper, x, length=20)
        return jnp.sum(jnp.where(mask[:, None], out, 0.0) ** 2)

    grads = jax.grad(loss)(variables["params"]["scale"], jnp.zeros(4, bool))
    np.testing.assert_array_equal(grads, 0)


def test_one_image_alone_is_normalised_to_the_bias(rng):
    layer, variables = BatchNorm(), variables_for(rng)
    x = jnp.asarray(rng.normal(size=(1, 6)), jnp.float32)
    out, changed = trained(layer, variables, x)
    np.testing.assert_allclose(out[0], variables["params"]["bias"], atol=1e-6)
    assert bool(jnp.isfinite(changed["batch_stats"]["var"]).all())


def test_a_large_mean_does_not_spoil_the_variance(rng):
    x = rng.normal(1000, 1, (64, 3))
    _, variance, count = masked_moments(jnp.asarray(x, jnp.float32), None)
    np.testing.assert_allclose(variance, x.var(0), rtol=1e-3)
    assert float(count) == 64


def test_no_gradient_flows_through_the_running_values(rng):
    layer, variables = BatchNorm(), variables_for(rng)
    x = jnp.asarray(rng.normal(size=(5, 6)), jnp.float32)

    def running(x):
        _, changed = trained(layer, variables, x)
        return sum(jnp.sum(v) for v in jax.tree.leaves(changed))

    np.testing.assert_array_equal(jax.grad(running)(x), 0)


def test_batch_statistics_can_be_used_without_moving_the_running_values(rng):
    layer, variables = BatchNorm(), variables_for(rng)
    x = jnp.asarray(rng.normal(size=(5, 6)), jnp.float32)
    still = layer.apply(variables, x, batch_statistics=True)
    np.testing.assert_array_equal(still, trained(layer, variables, x)[0])


def test_users_batched_by_vmap_keep_their_own_statistics(rng):
    layer, variables = BatchNorm(), variables_for(rng)
    x = jnp.asarray(rng.normal(size=(3, 8, 6)), jnp.float32)
    mask = jnp.arange(8)[None] < jnp.asarray([8, 5, 2])[:, None]
    run = jax.vmap(lambda x, m: trained(layer, variables, x, mask=m))
    together = jax.jit(run)(x, mask)
    for user, size in enumerate((8, 5, 2)):
        out, changed = trained(layer, variables, x[user, :size])
        np.testing.assert_allclose(together[0][user, :size], out, atol=1e-5)
        for name, values in together[1]["batch_stats"].items():
            alone = changed["batch_stats"][name]
            np.testing.assert_allclose(values[user], alone, rtol=1e-4)
