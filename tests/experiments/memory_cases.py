"""Tasks of the long-range memory experiment, short."""

import jax
import jax.numpy as jnp
import numpy as np

from experiments.long_range_memory.tasks import adding, copy_memory

COPY, ADDING = copy_memory(100), adding(100)


def drawn(task, number):
    draws = np.random.RandomState(0).random_sample((number, task.num_draws))
    return jax.jit(task.make)(jnp.asarray(draws, jnp.float32), ())
