"""Whether a pool is a convolution: one kernel and linearity, both for all inputs."""

import jax.numpy as jnp
import numpy as np
from jax import Array

from cnn_jax.instruments import relative_error
from cnn_jax.ops import avg_pool, depthwise_conv, max_pool
from experiments.harness.claims import Grid, Metrics, Shown
from experiments.harness.compilation import brief
from experiments.harness.seeds import normals, over_seeds

SIZES = (2, 3, 4, 8)
SHAPE = (8, 24, 24, 3)  # of normal inputs, edges that every size divides
FACTOR = 2.5


def convolution_errors(keys: Array) -> Metrics:
    """pooling-is-convolution, windows of k at stride k without padding.

        uniform     f(x) against the depthwise convolution with kernel 1 / k²
        additivity  f(x + y) against f(x) + f(y), x and y normal
        homogeneity f(c·x) against c·f(x), c = 2.5

    Args:
      keys: [seeds].

    Returns:
      relative errors, of the worst image: convolution/avg, convolution/max and
      additivity/avg, additivity/max [seed, k]; "homogeneity" [seed, k], of the maximum.
    """
    found = over_seeds(_errors, brief)(keys)
    axes = {"k": SIZES}
    uniform, additivity, homogeneity = (
        np.asarray(each, np.float64) for each in found
    )  # [seed, k, pool]
    metrics: dict = {
        f"{name}/{pool}": Grid(each[..., row], axes)
        for name, each in (("convolution", uniform), ("additivity", additivity))
        for row, pool in enumerate(("avg", "max"))
    }
    return metrics | {
        "homogeneity": Shown(
            homogeneity[..., 1],
            f"max pooling: f(c·x) against c·f(x) [seed; k: {SIZES}]",
        )
    }


def _errors(key: Array) -> tuple[Array, Array, Array]:
    """Three kinds of error [k, pool]."""
    first, second = normals(key, SHAPE, SHAPE)
    rows = [_errors_of_size(first, second, size) for size in SIZES]
    uniform, additivity, homogeneity = zip(*rows, strict=True)
    return jnp.stack(uniform), jnp.stack(additivity), jnp.stack(homogeneity)


def _errors_of_size(first: Array, second: Array, size: int) -> tuple[Array, ...]:
    window = (size, size)
    kernel = jnp.full((*window, 1, SHAPE[-1]), 1 / size**2)
    convolved = depthwise_conv(
        first, kernel, strides=size, padding="VALID", algorithm="direct"
    )
    every = []
    for pool in (avg_pool, max_pool):
        one, two, both, scaled = (
            pool(inputs, window, window)
            for inputs in (first, second, first + second, FACTOR * first)
        )
        sides = (one, convolved), (both, one + two), (scaled, FACTOR * one)
        every.append([jnp.max(relative_error(*pair)) for pair in sides])
    return tuple(jnp.stack(each) for each in zip(*every, strict=True))
