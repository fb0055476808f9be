"""The released program's order of things, followed in PyTorch user by user."""

import copy
import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from meta import tiny

from jiaa.data import tasks as data_tasks
from jiaa.meta.bilevel import Sampling
from jiaa.meta.inner import InnerLoop, InnerOptimizer
from jiaa.meta.sequential import SequentialStep

torch = pytest.importorskip("torch")

RATE = 0.01
SAMPLING = Sampling(support=8, query=4)
USERS = [2, 0, 3, 1, 1, 3]


class TorchNormed(torch.nn.Module):
    def __init__(self, params):
        super().__init__()
        self.hidden = torch.nn.Linear(tiny.FEATURES, 5, bias=False)
        self.norm = torch.nn.BatchNorm1d(5)
        self.head = torch.nn.Linear(5, 1)
        with torch.no_grad():
            for name in ("hidden", "head"):
                layer, values = getattr(self, name), params[name]
                layer.weight.copy_(torch.tensor(np.asarray(values["kernel"]).T))
                if "bias" in values:
                    layer.bias.copy_(torch.tensor(np.asarray(values["bias"])))

    def forward(self, x):
        return self.head(torch.tanh(self.norm(self.hidden(x))))[:, 0]


def to_tensors(part, store):
    features = torch.tensor(np.asarray(store.take(part.image_ids)))
    return features, torch.tensor(np.asarray(part.scores))


def released_program(params, episodes, store):
    """theta, the last user's network and the statistics, by the program's own steps."""
    net = TorchNormed(params).train()
    optimizer = torch.optim.Adam(net.parameters(), lr=RATE)
    theta = {k: v.detach().clone() for k, v in net.named_parameters()}
    start = copy.deepcopy(theta)
    for visited, episode in enumerate(episodes):
        epoch = visited // 4
        for group in optimizer.param_groups:
            group["lr"] = RATE * 0.9 ** (epoch * (epoch + 1) / 2)
        with torch.no_grad():
            for name, param in net.named_parameters():
                param.copy_(start[name])
        for part in (episode.support, episode.query):
            x, y = to_tensors(part, store)
            for _ in range(3):
                optimizer.zero_grad()
                torch.mean((net(x) - y) ** 2).backward()
                optimizer.step()
        user = {k: v.detach().clone() for k, v in net.named_parameters()}
        theta = {k: theta[k] + (user[k] - theta[k]) / 4 for k in theta}
        if (visited + 1) % 4 == 0:
            start = copy.deepcopy(theta)
    return theta, user, net.norm


@pytest.fixture(scope="module")
def walked():
    """(jiaa's state after all users, the released program's results)."""
    keys = jax.random.split(jax.random.key(0), 3)
    store = tiny.store_of(keys[0])
    tasks = tiny.tasks_of(keys[1], store, users=4)
    model = tiny.Normed()
    prior = tiny.prior_of(model, keys[2])
    loop = InnerLoop(
        model, optimizer=InnerOptimizer("adam", ((".*", RATE),)), batch_norm="carry"
    )
    step = SequentialStep(loop, users_per_epoch=4, steps=3, sampling=SAMPLING)
    state = step.init_state(prior, key=jax.random.key(3))
    episodes, sample = [], jax.jit(SAMPLING)
    for repeat, users in enumerate((USERS[:2], USERS[2:])):
        for user in users:
            key = data_tasks.episode_key(
                state.key, repeat=repeat, user_id=tasks.user_id[user]
            )
            episodes.append(sample(tasks[user], key=jax.random.fold_in(key, 0)))
    visit = jax.jit(step, donate_argnums=0)  # no buffer serves twice in the state
    for users in (USERS[:2], USERS[2:]):
        state, _ = visit(state, jnp.array(users), tasks, store)
    return step, state, released_program(prior["params"], episodes, store)


def check(params, torch_params, atol=2e-5):
    for name in ("hidden", "head"):
        weight = np.asarray(torch_params[f"{name}.weight"]).T
        np.testing.assert_allclose(params[name]["kernel"], weight, atol=atol, rtol=0)
    bias = torch_params["head.bias"]
    np.testing.assert_allclose(params["head"]["bias"], bias, atol=atol, rtol=0)


def test_prior_equals_the_released_programs_running_average(walked):
    _, state, (theta, _, _) = walked
    check(state.params, theta)


def test_last_users_network_is_what_the_released_program_saves(walked):
    step, state, (_, last, _) = walked
    check(step.last_user(state)["params"], last)


def test_batch_norm_statistics_are_never_put_back(walked):
    _, state, (_, _, norm) = walked
    stats = state.batch_stats["norm"]
    np.testing.assert_allclose(stats["mean"], norm.running_mean, atol=2e-5)
    np.testing.assert_allclose(stats["var"], norm.running_var, atol=2e-5)


def test_numbers_of_users_below_one_are_refused(walked):
    step, _, _ = walked
    for field in ("refresh", "users_per_epoch"):
        with pytest.raises(ValueError, match=f"{field}=0.*at least one user"):
            dataclasses.replace(step, **{field: 0})


def test_learning_rate_decay_compounds(walked):
    step, _, _ = walked
    scales = [float(step.rate_scale(jnp.int32(visited))) for visited in (0, 3, 4, 8)]
    np.testing.assert_allclose(scales, [1, 1, 0.9, 0.9**3], rtol=1e-6)


def test_every_user_counts_as_visited(walked):
    _, state, _ = walked
    assert int(state.opt_state["visited"]) == len(USERS)
