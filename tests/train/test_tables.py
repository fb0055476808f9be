"""Tables over two and eight fake devices give the numbers of one device."""

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
meshes = (None, user_mesh(jax.devices()[:2]), user_mesh())
for mesh in meshes:
    state = create_train_state({"params": params}, optimizer=optimizer,
                               key=jax.random.key(0))
    state = tables.spread(state, mesh, large=0)
    placed = replicate(jax.tree.map(jnp.asarray, material), mesh)
    for _ in range(3):
        state, _ = steps.train_step(state, np.arange(5), placed, network=network,
                                    objective=objective, optimizer=optimizer,
                                    mesh=mesh, large=0)
    table = state.params["user_table"]["embedding"]
    moment = state.opt_state[0].mu["user_table"]["embedding"]
    devices = 1 if mesh is None else mesh.size
    for leaf in (table, moment):
        held = {shard.data.shape[0] for shard in leaf.addressable_shards}
        assert held == {8 // devices}, (held, devices)
    assert state.step.sharding.is_fully_replicated
    results.append(np.asarray(table))
for found in results[1:]:
    np.testing.assert_allclose(found, results[0], atol=1e-6)
state = tables.spread(state, meshes[-1], large=10**6)  # small ones stay whole
assert state.params["user_table"]["embedding"].sharding.is_fully_replicated
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
