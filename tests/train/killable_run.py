"""A small training run for the tests to kill: `python killable_run.py WORKDIR STEPS`.

Everything that has to survive is in it: BatchNorm, dropout, augmentation, Adam with two
groups, shuffled batches. The network is large enough for a save to take a while.
"""

import functools
import hashlib
import sys

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from jiaa import losses
from jiaa.data.loader import index_batches
from jiaa.train import optimizers
from jiaa.train.loop import fit
from jiaa.train.state import create_train_state
from jiaa.train.steps import CrowdScores, train_step
from jiaa.train.workdir import Workdir
from jiaa.types import ImageStore

IMAGES, BATCH = 48, 8


class Network(nn.Module):
    """A convolution and a head, with BatchNorm and dropout."""

    @nn.compact
    def __call__(self, x, *, mask=None, batch_statistics=False, dropout=False):
        x = nn.Conv(8, (3, 3), strides=2, name="conv")(x)
        x = nn.BatchNorm(not batch_statistics, momentum=0.9)(x, mask=mask)
        x = nn.relu(x).reshape(x.shape[0], -1)
        x = nn.relu(nn.Dense(256, name="hidden")(x))
        x = nn.Dropout(0.5, deterministic=not dropout)(x)
        return nn.sigmoid(nn.Dense(1, name="head")(x))[:, 0]


def prepare(content, *, key):
    """Images flipped at random, in [-1, 1]."""
    flip = jax.random.bernoulli(key, shape=(content.shape[0], 1, 1, 1))
    return jnp.where(flip, content[:, :, ::-1], content) / 127.5 - 1.0


def initial_variables(network, size, rng):
    """NumPy's numbers, because compiling an initialiser takes seconds."""
    image = jnp.zeros((1, size, size, 3))
    shapes = jax.eval_shape(network.init, jax.random.key(0), image)
    variables = jax.tree.map(
        lambda leaf: 1e-1 * rng.standard_normal(leaf.shape, np.float32), shapes
    )
    ones = jax.tree.map(np.ones_like, variables["batch_stats"])
    return {**variables, "batch_stats": ones}


def make_run(*, rate=1e-3):
    """(state, step, batches) of the run's beginning."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (IMAGES, 32, 32, 3), np.uint8)
    scores = rng.uniform(0.2, 1.0, IMAGES).astype(np.float32)
    weights = rng.integers(1, 9, IMAGES).astype(np.float32)
    network = Network()
    optimizer = optimizers.by_path({"head/.*": 10 * rate}, default=rate)
    variables = initial_variables(network, 32, rng)
    state = create_train_state(variables, optimizer=optimizer, key=jax.random.key(2))
    step = functools.partial(
        train_step,
        crowd=CrowdScores(np.arange(IMAGES, dtype=np.int32), scores, weights),
        store=ImageStore(images=images),
        apply=network.apply,
        prepare=prepare,
        loss=losses.squared_error,
        optimizer=optimizer,
    )
    return state, step, index_batches(IMAGES, batch_size=BATCH, seed=3)


def spread(state):
    """An evaluator: the standard deviation of the first kernel."""
    yield "kernel", jnp.std(state.params["conv"]["kernel"])


def main(path, num_steps, *, save_every=4):
    """Trains to the end, or resumes, and prints a hash of all the state's bits."""
    state, step, batches = make_run()
    with Workdir(path, config={"num_steps": num_steps}) as workdir:
        state = fit(
            state,
            step,
            batches,
            num_steps=num_steps,
            workdir=workdir,
            save_every=save_every,
            eval_every=6,
            evaluators={"spread": spread},
            progress=False,
        )
    state = state.replace(key=jax.random.key_data(state.key))
    bits = b"".join(np.asarray(leaf).tobytes() for leaf in jax.tree.leaves(state))
    print("final", hashlib.sha256(bits).hexdigest())


if __name__ == "__main__":
    # tensorboardX would import torch, where it is installed: that takes seconds.
    sys.modules.setdefault("torch", None)  # type: ignore[arg-type]
    main(sys.argv[1], int(sys.argv[2]))
