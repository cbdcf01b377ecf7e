"""Max pooling that tells where each maximum was, and the way back.

Shapes, strides and paddings as in `windowed`. A switch is the row-major index of a
position among the spatial axes of the unpadded inputs.
"""

import operator
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

from cnn_jax.ops.pooling.frames import Frame, elements, fold, frame, limit
from cnn_jax.ops.pooling.windowed import Strides
from cnn_jax.ops.windows import Padding

# Larger than any index, so that a padded cell loses against an equal value.
_NOWHERE = np.iinfo(np.int32).max


def max_pool_with_switches(
    inputs: ArrayLike,
    window_shape: Sequence[int],
    strides: Strides = None,
    padding: Padding = "VALID",
) -> tuple[Array, Array]:
    """The largest value of each window, and where it is.

        switches[n, p, c] = argmax_q inputs[n, q, c],   q in s·p + [0, k)

    Of equal values the first in row-major order wins and gets all of the gradient
    (unlike `max_pool`, where they share it). NaN wins, and here has the gradient too,
    which goes by the switches, as `max_unpool` does.

    Args:
      inputs: [..., *spatial, C].
      window_shape: k per spatial axis.
      strides: s; no strides means stride 1.
      padding: as in `conv`; cells outside count as -inf (the lowest integer).

    Returns:
      (outputs, switches), both [..., *out, C]: outputs in the inputs' dtype, switches
      int32, −1 where a window lies in the padding.

    Raises:
      ValueError: the window does not fit, or the arguments disagree in rank.

    Reference:
      Zeiler, Taylor and Fergus, Adaptive deconvolutional networks for mid and high
      level feature learning, 2011.
    """
    inputs = jnp.asarray(inputs)
    lowest = limit(inputs.dtype, "min")
    framed = frame(inputs, window_shape, strides, padding, lowest)
    places = _places(inputs.shape[-len(framed.window) - 1 : -1], framed, padding)
    places = jnp.broadcast_to(places, framed.padded.shape)
    both = (framed.padded, places)
    outputs, switches = fold(_larger, both, framed.window, framed.strides)
    switches = jnp.where(switches == _NOWHERE, -1, switches)
    return framed.restore(outputs), framed.restore(switches)


def _larger(left: tuple[Array, Array], right: tuple[Array, Array]) -> tuple:
    """(value, place) of the larger value; of equal ones that of the smaller place."""
    (value, place), (other, its_place) = left, right
    both_nan = (value != value) & (other != other)
    earlier = ((other == value) | both_nan) & (its_place < place)
    larger = (other > value) | ((other != other) & (value == value))
    wins = larger | earlier
    return jnp.where(wins, other, value), jnp.where(wins, its_place, place)


def max_unpool(
    inputs: ArrayLike,
    switches: ArrayLike,
    spatial_shape: Sequence[int],
    window_shape: Sequence[int],
    strides: Strides = None,
    padding: Padding = "VALID",
) -> Array:
    """Puts values back where the maxima were, among zeros.

        y[n, q, c] = Σ_p inputs[n, p, c] · [switches[n, p, c] = q]

    The adjoint of picking values by the switches, so it equals the gradient of
    `max_pool_with_switches`; where windows overlap, values for one position add up (of
    bool, any true one counts). A switch outside of its own window is nowhere, and its
    value is dropped. Every value of the window is a step of the compiled program.

    Args:
      inputs: [..., *out, C], as the pool returned them or after other layers.
      switches: [..., *out, C] integers, of `max_pool_with_switches`.
      spatial_shape: sizes of that pool's inputs.
      window_shape, strides, padding: that pool's.

    Returns:
      [..., *spatial_shape, C] in the inputs' dtype.

    Raises:
      ValueError: switches that are no integers or of another shape than the inputs, a
        shape that the pool would not have returned, or the arguments disagree in rank.

    Reference:
      Zeiler and Fergus, Visualizing and understanding convolutional networks, 2014.
    """
    inputs, switches = jnp.asarray(inputs), jnp.asarray(switches)
    if inputs.dtype == jnp.bool_:  # what is transposed below has to be numbers
        how = (switches, spatial_shape, window_shape, strides, padding)
        return max_unpool(inputs.astype(jnp.int32), *how) > 0
    if switches.shape != inputs.shape or not jnp.issubdtype(
        switches.dtype, jnp.integer
    ):
        raise ValueError(
            f"switches: expected integers of the inputs' shape {inputs.shape}, "
            f"got {switches.dtype} of shape {switches.shape}"
        )
    spatial_shape = _sizes(spatial_shape)
    rank = len(spatial_shape)
    if inputs.ndim <= rank:
        raise ValueError(
            f"inputs: expected [..., {rank} spatial axes, C] for a spatial_shape of "
            f"{rank}, got shape {inputs.shape}"
        )
    batch_shape = inputs.shape[: inputs.ndim - rank - 1]
    whole = jax.ShapeDtypeStruct(
        (*batch_shape, *spatial_shape, inputs.shape[-1]), inputs.dtype
    )

    def pick(image: Array) -> Array:
        framed = frame(image, window_shape, strides, padding)
        places = _places(spatial_shape, framed, padding)
        candidates = elements(framed.padded, framed.window, framed.strides)
        found = elements(places, framed.window, framed.strides)
        merged = switches.reshape(candidates[0].shape)
        picked = jnp.zeros_like(candidates[0])
        for value, place in zip(reversed(candidates), reversed(found), strict=True):
            here = jnp.broadcast_to(place, merged.shape) == merged
            picked = jnp.where(here, value, picked)
        return framed.restore(picked)

    expected = jax.eval_shape(
        lambda image: frame_outputs(image, window_shape, strides, padding), whole
    )
    if expected.shape != inputs.shape:
        raise ValueError(
            f"inputs: expected shape {expected.shape} for spatial_shape "
            f"{spatial_shape}, got {inputs.shape}"
        )
    return jax.linear_transpose(pick, whole)(inputs)[0]


def _sizes(spatial_shape: Sequence[int]) -> tuple[int, ...]:
    try:
        sizes = tuple(operator.index(size) for size in spatial_shape)
    except TypeError:
        sizes = (-1,)
    if min(sizes, default=-1) < 0:
        raise ValueError(
            "spatial_shape: expected integers >= 0, one per spatial axis, "
            f"got {spatial_shape!r}"
        )
    return sizes


def frame_outputs(
    inputs: Array, window_shape: Sequence[int], strides: Strides, padding: Padding
) -> Array:
    """The first value of every window: of the shape of a pool's outputs."""
    framed = frame(inputs, window_shape, strides, padding)
    return framed.restore(elements(framed.padded, framed.window, framed.strides)[0])


def _places(spatial: Sequence[int], framed: Frame, padding: Padding) -> Array:
    """[1, *padded, 1]: the row-major index of every cell, `_NOWHERE` in the padding."""
    indices = np.arange(np.prod(spatial, dtype=np.int64), dtype=np.int32)
    indices = jnp.asarray(indices.reshape(1, *spatial, 1))
    return frame(indices, framed.window, framed.strides, padding, _NOWHERE).padded
