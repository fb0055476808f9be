"""Tables over eight fake devices give the numbers of one device."""

import os
import subprocess
import sys
from pathlib import Path

RUN = """
import jax, jax.numpy as jnp, numpy as np, optax
from jiaa.data.interactions import Labels, make_pairs
from jiaa.models.ranking import Ranking
from jiaa.train import collaborative as steps, tables
from jiaa.train.mesh import replicate, user_mesh
from jiaa.train.state import create_train_state

rng = np.random.default_rng(0)
pairs = make_pairs(user=np.arange(40) % 7, image=np.arange(40) % 9,
                   good=rng.random(40) < 0.5, users=7)
material = steps.make_material(pairs, Labels(np.zeros(9, int), np.zeros(9)))
network = Ranking(users=7, images=9, width=4, table_multiple=8)
params = network.init(jax.random.key(0), jnp.zeros(1, int), jnp.zeros(1, int))["params"]
optimizer, objective = optax.adam(0.1), steps.Objective(pairwise=True, penalty=0.01)
results = []
for mesh in (None, user_mesh()):
    state = create_train_state({"params": params}, optimizer=optimizer,
                               key=jax.random.key(0))
    state = tables.spread(state, mesh, large=0)
    placed = replicate(jax.tree.map(jnp.asarray, material), mesh)
    for _ in range(3):
        state, _ = steps.train_step(state, np.arange(5), placed, network=network,
                                    objective=objective, optimizer=optimizer,
                                    mesh=mesh, large=0)
    table = state.params["user_table"]["embedding"]
    results.append(np.asarray(table))
rows = {shard.data.shape[0] for shard in table.addressable_shards}
moment = state.opt_state[0].mu["user_table"]["embedding"]
assert rows == {1} and {s.data.shape[0] for s in moment.addressable_shards} == {1}
assert state.step.sharding.is_fully_replicated
np.testing.assert_allclose(*results, atol=1e-6)
"""


def test_spread_tables_learn_the_same():
    flags = os.environ.get("XLA_FLAGS", "")
    environment = {
        **os.environ,
        "JAX_PLATFORMS": "cpu",
        "XLA_FLAGS": f"{flags} --xla_force_host_platform_device_count=8",
    }
    subprocess.run(
        [sys.executable, "-c", RUN],
        check=True,
        env=environment,
        cwd=Path(__file__).parents[2],
    )
