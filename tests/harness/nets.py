"""A small experiment that trains nets whose batches devices may share."""

SOURCE = '''"""Do nets train?

Small nets learn labels drawn at random, or digits that are read as they are needed;
shown are their params.
"""

import dataclasses
from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from cnn_jax import layers
from cnn_jax.training import Config as TrainingConfig
from cnn_jax.training import Data, chunk, chunk_in_order, init
from experiments.harness.compilation import brief
from experiments.harness.metrics import Shown
from experiments.harness.seeds import over_seeds

DATA = ("digits",)
STREAMS = True
QUICK = {}
CLAIMS = ()
BATCH = 16


@dataclasses.dataclass(frozen=True)
class Config:
    """What can be changed."""

    chunks: int = 1  # of ten steps each
    algorithm: str = "auto"  # of the convolution


class Net(nn.Module):
    algorithm: str

    @nn.compact
    def __call__(self, images):
        conv = layers.Conv(4, (3, 3), algorithm=self.algorithm)
        maps = nn.relu(conv(images))
        return nn.Dense(4)(maps.reshape(len(maps), -1)), {}


def run(keys, config, lab):
    given = training_config(config.algorithm)
    states = over_seeds(partial(init, config=given), brief)(keys)
    known, asked = examples(10 * config.chunks), {"num_chunks": config.chunks}
    if lab.is_streaming:
        over = over_seeds(partial(in_order, known))
        sizes = {"batch_size": BATCH, "steps": 10}
        with lab.stream(states.key, **sizes) as stream:
            chunked = lambda states, item: over((item, states))
            states = lab.fit(chunked, states, stream, label="streamed", **asked)
    else:
        over = over_seeds(partial(chunk, config=given), batch_size=BATCH)
        states = lab.fit(over, states, known, label="net", **asked)
    return {"params": Shown(flat(states.params), "params by seed")}


def training_config(algorithm="auto"):
    return TrainingConfig(Net(algorithm), (8, 8, 1), batch_size=BATCH, chunk_steps=10)


def in_order(known, given):
    (images, labels), state = given
    visited = known._replace(images=images, labels=labels % 4)
    return chunk_in_order(state, visited, training_config())


def examples(steps):
    random = np.random.RandomState(0)
    images = jnp.asarray(random.randn(72, 8, 8, 1), jnp.float32)
    labels = jnp.asarray(random.randint(4, size=72))
    return Data(images, labels, jnp.asarray(1), jnp.asarray(steps))


def flat(params):
    leaves = [np.asarray(each) for each in jax.tree.leaves(params)]
    return np.concatenate([each.reshape(len(each), -1) for each in leaves], 1)


def plot(metrics):
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5, 3))
    figure.subplots().plot(metrics["params"].values.T)
    return {"params": figure}
'''
