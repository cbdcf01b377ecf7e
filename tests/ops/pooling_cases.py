"""The named pools, fast and by loops, and inputs to hold them against each other."""

import functools

import jax
import numpy as np

from cnn_jax import ops
from tests import reference_pooling as reference

NAMED = ("max", "min", "avg", "avg-inside", "l1", "l2", "l2.5", "l3", "l4", "l7.5")


def draw(shape, seed=0):
    """Normal values with some zeros among them."""
    generator = np.random.default_rng(seed)
    values = generator.normal(size=shape) * (generator.random(shape) > 0.1)
    return values.astype(np.float32)


def fast(name, *arguments):
    return _pool(ops, name, *arguments)


def looped(name, *arguments):
    return _pool(reference, name, *arguments)


def _pool(module, name, inputs, window, strides, padding):
    """The pool of a name, by `ops` or by its loops, which take pairs as padding."""
    match name:
        case "max":
            return module.max_pool(inputs, window, strides, padding)
        case "min":
            return module.min_pool(inputs, window, strides, padding)
        case "avg":
            return module.avg_pool(inputs, window, strides, padding)
        case "avg-inside":
            return module.avg_pool(inputs, window, strides, padding, False)
        case _:
            return module.lp_pool(inputs, float(name[1:]), window, strides, padding)


def explicit(padding, spatial, window, strides):
    if padding == "VALID":
        return [(0, 0)] * len(window)
    if padding == "SAME":
        return reference.same_pairs(spatial, window, strides)
    return padding


@functools.partial(jax.jit, static_argnames=("window", "strides", "padding"))
def all_named(inputs, window, strides, padding):
    """Every named pool in one compilation, by name."""
    return {name: fast(name, inputs, window, strides, padding) for name in NAMED}
