"""How the effective field of random networks grows with depth.

The layers of one draw are scanned over and the depth is an argument, so that nets of
all depths, linear and rectified, are one program.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from cnn_jax.instruments import (
    bounding_box,
    effective_receptive_field,
    field_spread,
)
from cnn_jax.ops import conv
from experiments.harness.claims import Metrics, Shown
from experiments.harness.seeds import normals, over_seeds

DEPTHS = (4, 8, 16, 32)
WIDTH = 16
FRAME = 2 * max(DEPTHS) + 3  # the deepest field and a position on either side
NETS = ("linear", "ReLU")


class Stack(NamedTuple):
    """Random 1-D layers of 3 taps: kernels [L, 3, C, C], of which `depth` are used."""

    kernels: Array
    depth: Array
    rectified: Array


def apply(stack: Stack, inputs: Array) -> Array:
    """One channel behind `depth` layers, with a ReLU after each where `rectified`."""

    def layer(hidden: Array, each: tuple[Array, Array]) -> tuple[Array, None]:
        kernel, number = each
        outputs = conv(hidden, kernel)
        outputs = jnp.where(stack.rectified, jnp.maximum(outputs, 0), outputs)
        return jnp.where(number < stack.depth, outputs, hidden), None

    numbers = jnp.arange(len(stack.kernels))
    outputs, _ = jax.lax.scan(layer, inputs, (stack.kernels, numbers))
    return outputs[..., :1]


def closed_spread(depth: np.ndarray) -> np.ndarray:
    """√(2·depth / 3): a layer of 3 taps adds (3² − 1) / 12 to the squared spread."""
    return np.sqrt(2 * depth / 3)


def exponent(depths: np.ndarray, spreads: np.ndarray) -> np.ndarray:
    """Slope of log spread on log depth: depths [D], spreads [..., D] -> [...]."""
    place = np.log(depths) - np.log(depths).mean()
    return np.log(spreads) @ place / np.sum(place**2)


def random_spreads(keys: Array, draws: int) -> Metrics:
    """effective-is-smaller/random: exponents of spread and of field over depth.

    Returns:
        exponent/random [seeds]; field-exponent/random [1]: of the full field, which
        grows linearly; spread-over-closed-form [seeds], at the largest depth.
    """
    spreads, fields, maps = map(
        np.asarray, over_seeds(partial(_measure, draws=draws))(keys)
    )
    depths = np.asarray(DEPTHS, float)
    linear = spreads[:, 0]
    # Inner depths: a line through 2·depth + 1 bends where depths are small.
    return {
        "exponent/random": exponent(depths, linear),
        "field-exponent/random": exponent(depths, fields[:1, 0]),
        "spread-over-closed-form": linear[:, -1] / closed_spread(depths[-1]),
        "random-spreads": Shown(
            spreads,
            f"spread of the gradient map [seed; {', '.join(NETS)}; layers "
            f"{', '.join(map(str, DEPTHS))}]",
            "positions",
        ),
        "random-fields": Shown(
            fields[0, 0], f"full field [layers {', '.join(map(str, DEPTHS))}]"
        ),
        "random-maps": Shown(
            maps[:, 0].mean(0),
            "gradient map of random linear nets, mean of the seeds [layers; position]",
        ),
    }


def _measure(key: Array, draws: int) -> tuple[Array, Array, Array]:
    """One seed: spreads and fields [net, depth], maps [net, depth, position]."""
    shapes = (draws, max(DEPTHS), 3, WIDTH, WIDTH), (draws, 1, FRAME, WIDTH)
    kernels, inputs = normals(key, *shapes)

    def one(depth: Array, rectified: Array) -> Array:
        # Half of a ReLU's inputs pass: twice the variance keeps its gradients' size.
        gain = jnp.where(rectified, 2.0, 1.0) / (3 * WIDTH)

        def field(draw: tuple[Array, Array]) -> Array:
            stack = Stack(draw[0] * jnp.sqrt(gain), depth, rectified)
            return effective_receptive_field(apply, stack, draw[1])

        return jnp.mean(jax.lax.map(field, (kernels, inputs)), axis=0)

    rectified, depth = jnp.meshgrid(
        jnp.asarray([False, True]), jnp.asarray(DEPTHS), indexing="ij"
    )
    maps = jax.lax.map(lambda each: one(*each), (depth.ravel(), rectified.ravel()))
    spread = jax.vmap(field_spread)(maps)[:, 0]
    _, size = jax.vmap(bounding_box)(maps > 0)
    grid = depth.shape
    return spread.reshape(grid), size[:, 0].reshape(grid), maps.reshape(*grid, FRAME)
