import jax
import jax.numpy as jnp
import optax
import pytest

from jiaa.train.parts import leaf_paths, merge, partition, path_mask, values_by_path

PARAMS = {
    "backbone": {
        "conv1": {"kernel": jnp.ones((3, 3, 3, 4))},
        "bn1": {"scale": jnp.ones(4), "bias": jnp.zeros(4)},
    },
    "head": {
        "BatchNorm_0": {"scale": jnp.ones(8), "bias": jnp.zeros(8)},
        "Dense_2": {"kernel": jnp.ones((8, 8)), "bias": jnp.zeros(8)},
        "Dense_10": {"kernel": jnp.ones((8, 1)), "bias": jnp.zeros(1)},
        "PReLU_0": {"slope": jnp.ones(())},
    },
}


def chosen_paths(pattern):
    chosen, _ = partition(PARAMS, pattern)
    return {
        path
        for path, leaf in zip(
            leaf_paths(chosen), jax.tree.leaves(chosen, is_leaf=_none), strict=True
        )
        if leaf is not None
    }


def _none(leaf):
    return leaf is None


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("all", set(leaf_paths(PARAMS))),
        ("head", {p for p in leaf_paths(PARAMS) if p.startswith("head/")}),
        (
            "batch_norm",
            {
                f"{module}/{leaf}"
                for module in ("backbone/bn1", "head/BatchNorm_0")
                for leaf in ("scale", "bias")
            },
        ),
        ("last", {"head/Dense_10/kernel", "head/Dense_10/bias"}),
        (".*/kernel", {p for p in leaf_paths(PARAMS) if p.endswith("/kernel")}),
        ("head/Dense_2/bias", {"head/Dense_2/bias"}),
    ],
)
def test_a_pattern_chooses_the_paths_that_it_names(pattern, expected):
    assert chosen_paths(pattern) == expected


@pytest.mark.parametrize("pattern", ["all", "head", "batch_norm", "last", ".*bias"])
def test_merging_the_two_parts_gives_the_parameters_back(pattern):
    merged = merge(*partition(PARAMS, pattern))
    assert jax.tree.structure(merged) == jax.tree.structure(PARAMS)
    assert all(jax.tree.leaves(jax.tree.map(lambda a, b: a is b, merged, PARAMS)))


def test_a_pattern_must_match_the_whole_path():
    with pytest.raises(ValueError, match=r"'Dense_2'.*head/Dense_2/kernel"):
        path_mask(PARAMS, "Dense_2")


def test_a_pattern_means_the_same_in_a_part_as_in_the_whole():
    head, _ = partition(PARAMS, "head")
    rates = values_by_path(head, [("backbone/.*", 1.0), (".*", 2.0)])
    assert set(jax.tree.leaves(rates)) == {2.0}
    assert jax.tree.structure(rates) == jax.tree.structure(head)


def test_the_first_pattern_that_names_a_leaf_gives_its_value():
    values = values_by_path(PARAMS, [("last", 1), ("head", 2), (".*", 3)])
    assert values["head"]["Dense_10"] == {"kernel": 1, "bias": 1}
    assert values["head"]["Dense_2"]["kernel"] == 2
    assert values["backbone"]["conv1"]["kernel"] == 3


def test_a_leaf_without_a_value_is_an_error_that_names_it():
    with pytest.raises(ValueError, match=r"names 'backbone/bn1/bias'.*'\.\*'"):
        values_by_path(PARAMS, [("head", 1)])


def test_merging_overlapping_parts_is_an_error_that_names_the_leaf():
    head, _ = partition(PARAMS, "head")
    with pytest.raises(ValueError, match=r"both trees have.*head/BatchNorm_0/bias"):
        merge(head, PARAMS)
    with pytest.raises(ValueError, match=r"neither tree has.*backbone/bn1/bias"):
        merge(head, head)


def test_parts_are_trained_by_optax_under_jit_grad_and_vmap(next_key):
    users = 3
    inputs = jax.random.normal(next_key(), (users, 5, 8))
    targets = jax.random.normal(next_key(), (users, 5))
    optimizer = optax.adam(0.1)

    def loss(chosen, rest, x, y):
        dense = merge(chosen, rest)["head"]
        hidden = x @ dense["Dense_2"]["kernel"]
        return jnp.mean((hidden @ dense["Dense_10"]["kernel"])[:, 0] - y) ** 2

    @jax.jit
    def adapt(params, x, y):
        chosen, rest = partition(params, "last")
        opt_state = optimizer.init(chosen)
        gradient = jax.grad(loss)(chosen, rest, x, y)
        updates, _ = optimizer.update(gradient, opt_state, chosen)
        return optax.apply_updates(chosen, updates)

    adapted = jax.vmap(adapt, in_axes=(None, 0, 0))(PARAMS, inputs, targets)
    assert adapted["head"]["Dense_10"]["kernel"].shape == (users, 8, 1)
    assert adapted["head"]["Dense_2"]["kernel"] is None
    assert len(jax.tree.leaves(adapted)) == 2


def test_a_pattern_that_names_nothing_is_answered_with_a_few_paths():
    params = {f"layer{i}": {"kernel": 0} for i in range(60)}
    with pytest.raises(ValueError, match="50 more") as caught:
        path_mask(params, "haed")
    assert str(caught.value).count("/kernel") == 10
