"""Steps of recurrent networks and Jacobians to measure."""

import jax
import jax.numpy as jnp
import numpy as np

SIZE = 5


def draw(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def orthogonal(seed=0, size=SIZE):
    return np.linalg.qr(draw(size, size, seed=seed))[0]


def repeated(matrix, num_steps):
    matrix = jnp.asarray(matrix, jnp.float32)
    return jnp.broadcast_to(matrix, (num_steps, *matrix.shape))


def tanh_step(params, carry, inputs):
    carry = jnp.tanh(params @ carry + inputs)
    return carry, carry


def two_part_step(params, carry, inputs):
    """A carry of two parts that act on each other; the output is of another shape."""
    cell, hidden = carry["cell"], carry["hidden"]
    cell = cell * jax.nn.sigmoid(hidden) + inputs["drive"]
    hidden = jnp.tanh(params["kernel"] @ cell + inputs["bias"] * hidden)
    return {"cell": cell, "hidden": hidden}, jnp.stack([hidden @ cell, jnp.sum(cell)])


def two_parts():
    params = {"kernel": draw(3, 3)}
    carry = {"cell": draw(3, seed=1), "hidden": draw(3, seed=2)}
    inputs = {"drive": draw(6, 3, seed=3), "bias": draw(6, seed=4)}
    return params, carry, inputs
