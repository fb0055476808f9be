import os
import signal

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jiaa.data.loader import index_batches
from jiaa.train.checkpoint import CheckpointError, load_params
from jiaa.train.loop import fit
from jiaa.train.metrics_writer import read_metrics
from jiaa.train.optimizers import pull_to_start
from jiaa.train.state import create_train_state
from jiaa.train.workdir import Workdir, WorkdirError

OPTIMIZER = optax.sgd(0.1)
TARGETS = jnp.linspace(0.2, 1.0, 12)


@jax.jit
def step_of(state, batch):
    def loss(params):
        noise = jax.random.normal(jax.random.fold_in(state.key, state.step))
        return jnp.mean((params["mean"] - TARGETS[batch] + 0.1 * noise) ** 2)

    value, gradient = jax.value_and_grad(loss)(state.params)
    updates, opt_state = OPTIMIZER.update(gradient, state.opt_state)
    params = optax.apply_updates(state.params, updates)
    state = state.replace(params=params, opt_state=opt_state, step=state.step + 1)
    return state, {"loss": value}


def new_state():
    variables = {"params": {"mean": jnp.zeros(())}}
    return create_train_state(variables, optimizer=OPTIMIZER, key=jax.random.key(0))


def batches_of():
    return index_batches(12, batch_size=4, seed=0)


def run(path, num_steps, *, step=step_of, batches=None, state=None, **options):
    options = {"save_every": 4, "progress": False, **options}
    with Workdir(path) as workdir:
        return fit(
            state or new_state(),
            step,
            batches or batches_of(),
            num_steps=num_steps,
            workdir=workdir,
            **options,
        )


def steps_in(path):
    return sorted(int(p.name) for p in (path / "checkpoints").iterdir())


def test_training_finds_the_mean_and_records_every_step(tmp_path):
    state = run(tmp_path, 60)
    assert int(state.step) == 60
    np.testing.assert_allclose(state.params["mean"], 0.6, atol=0.1)
    assert [row["step"] for row in read_metrics(tmp_path)] == list(range(1, 61))


def test_an_interrupted_run_ends_like_an_undisturbed_one(tmp_path):
    expected = run(tmp_path / "whole", 12)

    def interrupted(state, batch):
        if int(state.step) == 10:
            raise KeyboardInterrupt
        return step_of(state, batch)

    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "cut", 12, step=interrupted)
    assert steps_in(tmp_path / "cut") == [4, 8]
    state = run(tmp_path / "cut", 12)
    np.testing.assert_array_equal(state.params["mean"], expected.params["mean"])
    assert read_metrics(tmp_path / "cut") == read_metrics(tmp_path / "whole")


def test_the_last_step_is_saved_and_a_finished_run_returns_at_once(tmp_path):
    state = run(tmp_path, 6)
    assert steps_in(tmp_path) == [4, 6]

    def never(state, batch):
        raise AssertionError("a finished run took a step")

    again = run(tmp_path, 6, step=never)
    np.testing.assert_array_equal(again.params["mean"], state.params["mean"])
    assert len(read_metrics(tmp_path)) == 6


def test_a_finished_run_can_be_made_longer(tmp_path):
    run(tmp_path / "two", 6)
    longer, whole = run(tmp_path / "two", 11), run(tmp_path / "one", 11)
    np.testing.assert_array_equal(longer.params["mean"], whole.params["mean"])


def test_donation_leaves_the_callers_state_valid(tmp_path):
    state = new_state()
    run(tmp_path, 5, step=jax.jit(step_of, donate_argnums=0), state=state)
    assert float(state.params["mean"]) == 0.0


def test_a_nan_loss_stops_with_the_step_and_is_not_saved(tmp_path):
    def breaking(state, batch):
        state, metrics = step_of(state, batch)
        loss = jnp.where(state.step >= 6, jnp.nan, metrics["loss"])
        return state, {"loss_total": loss}

    with pytest.raises(FloatingPointError) as caught:
        run(tmp_path, 20, step=breaking)
    message = str(caught.value)
    assert "loss_total = nan at step 6" in message
    assert str(tmp_path) in message
    assert "step 4 is kept" in message
    assert "learning rate" in message
    assert steps_in(tmp_path) == [4]


def test_a_nan_at_a_step_that_is_saved_stops_before_the_save(tmp_path):
    def breaking(state, batch):
        state, metrics = step_of(state, batch)
        return state, {"loss": jnp.where(state.step >= 8, jnp.inf, metrics["loss"])}

    with pytest.raises(FloatingPointError, match="loss = inf at step 8"):
        run(tmp_path, 20, step=breaking)
    assert steps_in(tmp_path) == [4]


def test_parameters_that_are_not_finite_are_not_saved_under_a_finite_loss(tmp_path):
    def breaking(state, batch):
        state, metrics = step_of(state, batch)
        mean = jnp.where(state.step >= 4, jnp.nan, state.params["mean"])
        return state.replace(params={"mean": mean}), metrics

    with pytest.raises(FloatingPointError, match=r"params/mean .*at step 4.*no checkp"):
        run(tmp_path, 20, step=breaking)
    assert steps_in(tmp_path) == []


def test_a_metric_that_is_no_loss_may_be_nan(tmp_path):
    def undefined(state, batch):
        state, metrics = step_of(state, batch)
        return state, {**metrics, "srocc": jnp.float32(jnp.nan)}

    run(tmp_path, 2, step=undefined)
    assert read_metrics(tmp_path)[0]["srocc"] is None


def test_sigterm_saves_and_leaves_with_143(tmp_path):
    before = signal.getsignal(signal.SIGTERM)

    def terminated(state, batch):
        if int(state.step) == 5:
            os.kill(os.getpid(), signal.SIGTERM)
        return step_of(state, batch)

    with pytest.raises(SystemExit) as caught:
        run(tmp_path / "cut", 12, step=terminated)
    assert caught.value.code == 143
    assert steps_in(tmp_path / "cut") == [4, 6]
    assert signal.getsignal(signal.SIGTERM) is before
    state, whole = run(tmp_path / "cut", 12), run(tmp_path / "whole", 12)
    np.testing.assert_array_equal(state.params["mean"], whole.params["mean"])
    assert read_metrics(tmp_path / "cut") == read_metrics(tmp_path / "whole")


def test_evaluators_see_the_state_of_their_step_and_of_the_last(tmp_path):
    def held_out(state):
        yield "steps", state.step
        yield "mean", state.params["mean"]

    final = run(tmp_path, 7, eval_every=3, evaluators={"held_out": held_out})
    rows = [row for row in read_metrics(tmp_path) if "held_out/steps" in row]
    assert [row["step"] for row in rows] == [3, 6, 7]
    assert [row["held_out/steps"] for row in rows] == [3, 6, 7]
    assert rows[-1]["held_out/mean"] == float(final.params["mean"])


def test_metrics_of_a_step_are_read_after_the_next_one_is_dispatched(tmp_path):
    events = []

    class Loss:
        dtype, shape = jnp.float32, ()

        def __init__(self, step):
            self.step = step

        def __float__(self):
            events.append(("read", self.step))
            return 0.0

    def recording(state, batch):
        state, _ = step_of(state, batch)
        events.append(("dispatched", int(state.step)))
        return state, {"loss": Loss(int(state.step))}

    run(tmp_path, 3, step=recording)
    assert events == [
        ("dispatched", 1),
        ("dispatched", 2),
        ("read", 1),
        ("dispatched", 3),
        ("read", 2),
        ("read", 3),
    ]


def test_rows_are_thinned_but_every_loss_is_looked_at(tmp_path):
    run(tmp_path / "a", 10, log_every=5)
    assert [row["step"] for row in read_metrics(tmp_path / "a")] == [5, 10]

    def breaking(state, batch):
        state, metrics = step_of(state, batch)
        return state, {"loss": jnp.where(state.step == 3, jnp.nan, metrics["loss"])}

    with pytest.raises(FloatingPointError, match="step 3"):
        run(tmp_path / "b", 10, step=breaking, log_every=5)


def test_batches_that_end_too_early_are_an_error_with_the_step(tmp_path):
    batches = index_batches(12, batch_size=4, seed=0, epochs=1)
    with pytest.raises(ValueError, match=r"ended before step 4.*num_steps=9"):
        run(tmp_path, 9, batches=batches)


def test_a_step_that_does_not_count_is_an_error(tmp_path):
    def stuck(state, batch):
        return state, {"loss": jnp.zeros(())}

    with pytest.raises(CheckpointError, match=r"state\.step is 0 after 4 steps"):
        run(tmp_path, 9, step=stuck)


def test_a_workdir_that_is_not_open_is_refused(tmp_path):
    with pytest.raises(WorkdirError, match=r"not open.*with Workdir"):
        fit(
            new_state(),
            step_of,
            batches_of(),
            num_steps=1,
            workdir=Workdir(tmp_path / "closed"),
            save_every=1,
        )
    assert not (tmp_path / "closed").exists()


def test_progress_names_the_run_and_goes_to_stderr(tmp_path, capsys):
    run(tmp_path, 5, name="prior", progress=True)
    captured = capsys.readouterr()
    assert "prior 5/5" in captured.err
    assert not captured.out


def test_params_of_a_finished_run_load_for_later_stages(tmp_path):
    state = run(tmp_path, 5)
    loaded = load_params(tmp_path)
    assert loaded["batch_stats"] == {}
    np.testing.assert_array_equal(loaded["params"]["mean"], state.params["mean"])


def triples_of():
    """Batches of three steps each."""
    return index_batches(12, batch_size=12, seed=0)


@jax.jit
def three_steps(state, batch):
    losses = []
    for rows in batch.reshape(3, 4):
        state, metrics = step_of(state, rows)
        losses.append(metrics["loss"])
    return state, {"loss": jnp.mean(jnp.stack(losses))}


def test_several_steps_a_call_count_save_and_resume_as_steps(tmp_path):
    calls = []

    def counted(state, batch):
        calls.append(int(state.step))
        return three_steps(state, batch)

    options = {"step": counted, "steps_per_call": 3, "save_every": 6, "log_every": 3}
    run(tmp_path / "cut", 12, batches=triples_of(), **options)
    assert calls == [0, 3, 6, 9]
    assert steps_in(tmp_path / "cut") == [6, 12]
    assert [row["step"] for row in read_metrics(tmp_path / "cut")] == [3, 6, 9, 12]
    longer = run(tmp_path / "cut", 18, batches=triples_of(), **options)
    assert calls == [0, 3, 6, 9, 12, 15]
    whole = run(tmp_path / "whole", 18, batches=triples_of(), **options)
    np.testing.assert_array_equal(longer.params["mean"], whole.params["mean"])


def test_several_steps_a_call_end_where_single_steps_end(tmp_path):
    batches, expected = triples_of(), new_state()
    for batch in np.concatenate([next(batches), next(batches)]).reshape(6, 4):
        expected, _ = step_of(expected, batch)
    found = run(
        tmp_path,
        6,
        step=three_steps,
        batches=triples_of(),
        steps_per_call=3,
        save_every=3,
        log_every=3,
    )
    np.testing.assert_allclose(found.params["mean"], expected.params["mean"], rtol=1e-6)


@pytest.mark.parametrize(
    "odd", [{"num_steps": 10}, {"save_every": 4}, {"log_every": 2}, {"eval_every": 5}]
)
def test_numbers_of_steps_that_calls_do_not_divide_are_refused(tmp_path, odd):
    numbers = {"num_steps": 12, "save_every": 6, "log_every": 3, **odd}
    number = next(iter(odd.values()))
    with pytest.raises(ValueError, match=rf"=3 does not divide \[{number}\].*Round"):
        run(
            tmp_path,
            step=three_steps,
            batches=triples_of(),
            steps_per_call=3,
            **numbers,
        )


def test_a_run_with_a_pull_on_some_parameters_resumes_to_the_same_result(tmp_path):
    pull = pull_to_start([("mean", 0.5)])
    optimizer = optax.chain(pull, optax.sgd(0.1))
    variables = {"params": {"mean": jnp.ones(()), "free": jnp.ones(2)}}

    def step(state, batch):
        def loss(params):
            return jnp.mean((params["mean"] - TARGETS[batch]) ** 2) + jnp.sum(
                params["free"] ** 2
            )

        value, gradient = jax.value_and_grad(loss)(state.params)
        updates, opt_state = optimizer.update(gradient, state.opt_state, state.params)
        params = optax.apply_updates(state.params, updates)
        state = state.replace(params=params, opt_state=opt_state, step=state.step + 1)
        return state, {"loss": value}

    def start():
        key = jax.random.key(0)
        return create_train_state(variables, optimizer=optimizer, key=key)

    whole = run(tmp_path / "whole", 8, step=jax.jit(step), state=start())
    run(tmp_path / "cut", 4, step=jax.jit(step), state=start())
    cut = run(tmp_path / "cut", 8, step=jax.jit(step), state=start())
    jax.tree.map(np.testing.assert_array_equal, cut.params, whole.params)
    assert [x.shape for x in jax.tree.leaves(cut.opt_state)] == [()]
