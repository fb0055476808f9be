import contextlib
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jiaa.data.loader import index_batches
from jiaa.train import optimizers
from jiaa.train.checkpoint import CheckpointError, Checkpoints, load_params
from jiaa.train.state import create_train_state


def make_state(width=3, *, optimizer=None, seed=0):
    key = jax.random.key(seed)
    params = {
        "trunk": {"kernel": jax.random.normal(key, (2, width))},
        "head": {"kernel": jax.random.normal(key, (width, 1)), "unused": None},
    }
    stats = {"bn": {"mean": jnp.arange(float(width))}}
    optimizer = optimizer or optimizers.by_path({"head/kernel": 1e-3}, default=None)
    return create_train_state(
        {"params": params, "batch_stats": stats}, optimizer=optimizer, key=key
    )


@pytest.fixture
def checkpoints(tmp_path):
    with contextlib.closing(Checkpoints(tmp_path)) as checkpoints:
        yield checkpoints


def numbers(batches, count):
    return [next(batches).tolist() for _ in range(count)]


def batches_of(seed=0):
    return index_batches(10, batch_size=5, seed=seed)


def assert_same(one, two):
    assert jax.tree.structure(one) == jax.tree.structure(two)
    for ours, theirs in zip(jax.tree.leaves(one), jax.tree.leaves(two), strict=True):
        assert ours.dtype == theirs.dtype
        assert bool(jnp.all(ours == theirs))


def test_state_key_and_position_in_the_data_come_back(checkpoints):
    state, batches = make_state(seed=1), batches_of()
    state = state.replace(step=jnp.int32(7))
    numbers(batches, 3)
    checkpoints.save(7, state, batches)
    following = numbers(batches, 4)
    again = batches_of()
    restored, step = checkpoints.restore(make_state(seed=2), again)
    assert step == 7
    assert_same(restored, state)
    assert numbers(again, 4) == following
    assert restored.key.dtype == state.key.dtype


def test_a_restored_state_is_as_free_to_move_as_a_fresh_one(checkpoints):
    checkpoints.save(1, make_state(), batches_of())
    restored, _ = checkpoints.restore(make_state(), batches_of())
    assert not any(leaf.committed for leaf in jax.tree.leaves(restored))


def test_without_a_checkpoint_there_is_nothing_to_restore(checkpoints):
    assert checkpoints.latest is None
    assert checkpoints.restore(make_state(), batches_of()) is None


def test_only_the_last_two_checkpoints_stay(checkpoints, tmp_path):
    for step in (1, 2, 3, 4):
        checkpoints.save(step, make_state(), batches_of())
    names = sorted(path.name for path in (tmp_path / "checkpoints").iterdir())
    assert names == ["3", "4"]


def test_a_half_written_checkpoint_is_ignored_and_cleaned_away(tmp_path):
    first = Checkpoints(tmp_path)
    first.save(1, make_state(), batches_of())
    first.save(2, make_state(), batches_of())
    first.close()
    folder = tmp_path / "checkpoints"
    torn = folder / "3.orbax-checkpoint-tmp"
    shutil.copytree(folder / "2", torn)
    shutil.rmtree(torn / "variables")
    assert load_params(tmp_path)["params"]
    with contextlib.closing(Checkpoints(tmp_path)) as second:
        assert second.latest == 2
        _, step = second.restore(make_state(), batches_of())
        assert step == 2
    assert not torn.exists()


def test_a_half_deleted_checkpoint_is_cleaned_away(tmp_path, caplog):
    first = Checkpoints(tmp_path)
    for step in (2, 3):
        first.save(step, make_state(), batches_of())
    first.close()
    folder = tmp_path / "checkpoints"
    shutil.copytree(folder / "2", folder / "1")
    (folder / "1" / "_CHECKPOINT_METADATA").unlink()
    with contextlib.closing(Checkpoints(tmp_path)) as second:
        assert second.latest == 3
    assert sorted(path.name for path in folder.iterdir()) == ["2", "3"]
    assert not caplog.records


def test_another_models_checkpoint_is_refused_by_names_and_shapes(
    checkpoints, tmp_path
):
    checkpoints.save(4, make_state(3), batches_of())
    with pytest.raises(CheckpointError) as caught:
        checkpoints.restore(make_state(5), batches_of())
    message = str(caught.value)
    assert str(tmp_path) in message
    assert "step 4" in message
    expected = "variables/params/trunk/kernel is float32[2, 3] there and float32[2, 5]"
    assert expected in message
    assert "another workdir" in message


def test_another_optimizers_checkpoint_is_refused(checkpoints):
    checkpoints.save(4, make_state(), batches_of())
    other = make_state(optimizer=optax.sgd(1e-3, momentum=0.9))
    with pytest.raises(
        CheckpointError, match=r"training/opt_state/\S+ is nothing there"
    ):
        checkpoints.restore(other, batches_of())


def damage(folder, how, part):
    """Loses a part of a checkpoint, its index, its arrays, or a half of these."""
    arrays = max(
        (x for x in (folder / part).rglob("*") if x.is_file()),
        key=lambda file: file.stat().st_size,
    )
    if how == "part":
        shutil.rmtree(folder / part)
    elif how == "index":
        (folder / part / "manifest.ocdbt").write_bytes(b"")
    elif how == "arrays":
        arrays.write_bytes(b"")
    else:
        arrays.write_bytes(arrays.read_bytes()[: arrays.stat().st_size // 2])


@pytest.mark.parametrize("part", ["variables", "training"])
@pytest.mark.parametrize("how", ["part", "index", "arrays", "half"])
def test_a_damaged_checkpoint_is_set_aside_for_the_one_before(
    checkpoints, tmp_path, caplog, how, part
):
    # Wide: small arrays are kept inside the index.
    wide, batches = make_state(400), batches_of()
    checkpoints.save(3, wide.replace(step=jnp.int32(3)), batches)
    following = numbers(batches, 2)
    checkpoints.save(4, wide.replace(step=jnp.int32(4)), batches)
    damage(tmp_path / "checkpoints" / "4", how, part)
    again = batches_of()
    restored, step = checkpoints.restore(make_state(400), again)
    assert (step, int(restored.step)) == (3, 3)
    assert numbers(again, 2) == following
    assert "step 4 is damaged" in caplog.text
    assert "going on from step 3" in caplog.text
    assert (tmp_path / "checkpoints" / "4.damaged").is_dir()
    checkpoints.save(4, wide.replace(step=jnp.int32(4)), batches)
    assert checkpoints.restore(make_state(400), batches_of())[1] == 4


def test_damaged_checkpoints_alone_are_an_error_with_the_remedy(checkpoints, tmp_path):
    for step in (3, 4):
        checkpoints.save(step, make_state(), batches_of())
        damage(tmp_path / "checkpoints" / str(step), "part", "training")
    with pytest.raises(
        CheckpointError, match=r"(?s)step 4 is damaged.*step 3 is damaged.*delete"
    ) as caught:
        checkpoints.restore(make_state(), batches_of())
    assert "Traceback" not in str(caught.value)
    assert len(str(caught.value)) < 1000
    assert (tmp_path / "checkpoints" / "4").is_dir(), "nothing is set aside for nothing"


def test_params_of_a_damaged_checkpoint_are_an_error_that_names_it(
    checkpoints, tmp_path
):
    checkpoints.save(4, make_state(), batches_of())
    damage(tmp_path / "checkpoints" / "4", "index", "variables")
    with pytest.raises(CheckpointError, match=r"4 cannot be read: step 4 is damaged"):
        load_params(tmp_path)


def test_batches_without_a_position_are_refused(checkpoints):
    with pytest.raises(CheckpointError, match=r"list_iterator.*grain"):
        checkpoints.save(1, make_state(), iter([1, 2]))
    checkpoints.save(1, make_state(), None)
    assert checkpoints.restore(make_state(), None)[1] == 1


def test_params_load_without_knowing_the_optimizer(checkpoints, tmp_path):
    state = make_state(seed=3)
    checkpoints.save(4, make_state(), batches_of())
    checkpoints.save(10, state, batches_of())
    loaded = load_params(tmp_path)
    expected = {"params": state.params, "batch_stats": state.batch_stats}
    assert jax.tree.structure(loaded) == jax.tree.structure(expected)
    jax.tree.map(np.testing.assert_array_equal, loaded, expected)


def test_loading_from_an_unfinished_or_missing_run_names_the_folder(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere/checkpoints holds no check"):
        load_params(tmp_path / "nowhere")
    assert not (tmp_path / "nowhere").exists()
