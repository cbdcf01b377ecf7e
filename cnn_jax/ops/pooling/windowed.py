"""Pools over windows: any reducer, and the named ones in a fast form.

inputs [N, *spatial, C] with 1 to 3 spatial axes, as many as the window has sizes; N is
any number of leading axes, none included. Every pool works on each channel by itself.
As in flax, **no strides means stride 1**, not the size of the window.
"""

import functools
import math
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

from cnn_jax.ops.dtypes import accumulator, output_dtype
from cnn_jax.ops.pooling.frames import (
    Frame,
    fold,
    frame,
    limit,
)
from cnn_jax.ops.pooling.norms import (
    check_exponent,
    log_power,
    power,
    root,
    root_of_log,
    scale_of,
    scaled,
)
from cnn_jax.ops.pooling.sliding import extremes, sums
from cnn_jax.ops.windows import Padding, patches

Strides = int | Sequence[int] | None


def pool(
    reducer: Callable[[Array], Array],
    inputs: ArrayLike,
    window_shape: Sequence[int],
    *,
    strides: Strides = None,
    padding: Padding = "VALID",
    fill_value: ArrayLike = 0,
) -> Array:
    """Any function of a window, applied to every window of every channel.

        y[n, p, c] = reducer(inputs[n, s·p : s·p + k, c])

    The definition that the named pools below are faster forms of.

    Args:
      reducer: [*window] -> scalar; traced once and mapped over N, positions, channels.
      inputs: [..., *spatial, C].
      window_shape: k per spatial axis.
      strides: s; no strides means stride 1.
      padding: as in `conv`. The reducer sees the padded cells like any others.
      fill_value: what zero-type padding fills in (-inf suits a maximum).

    Returns:
      [..., *out, C] in the reducer's dtype.

    Raises:
      ValueError: the reducer returns no scalar, the window does not fit, or the
        arguments disagree in rank.
    """
    framed = frame(inputs, window_shape, strides, padding, fill_value)
    windows = patches(framed.padded, framed.window, strides=framed.strides)
    last_window_axis = windows.ndim - 2
    windows = jnp.moveaxis(windows, -1, last_window_axis + 1 - len(framed.window))
    shape = windows.shape[: -len(framed.window)]
    outputs = jax.vmap(reducer)(windows.reshape(math.prod(shape), *framed.window))
    if outputs.shape != (math.prod(shape),):
        raise ValueError(
            f"reducer: expected a scalar for a window of shape {framed.window}, "
            f"got shape {outputs.shape[1:]}"
        )
    return framed.restore(outputs.reshape(shape))


def max_pool(
    inputs: ArrayLike,
    window_shape: Sequence[int],
    strides: Strides = None,
    padding: Padding = "VALID",
) -> Array:
    """The largest value of each window.

        y[n, p, c] = max_w inputs[n, s·p + w, c]

    Ties: equal maxima share the gradient equally, axis by axis. First the rows of a
    window are compared in each column, then the columns; of [[2, 2], [2, 0]] the first
    column gets 1/4 and 1/4, the second 1/2. The shares always sum to 1. (flax.linen
    gives everything to the first.) A prime factor of both window and stride is compared
    by itself, first: a window of 4 at stride 4 is two of 2, and so is one that is alone
    along its axis, whatever the stride. NaN wins, with gradient 0.

    Args:
      inputs: [..., *spatial, C].
      window_shape: one size per spatial axis.
      strides: s; no strides means stride 1.
      padding: as in `conv`; cells outside count as -inf (the lowest integer).

    Returns:
      [..., *out, C] in the inputs' dtype.

    Raises:
      ValueError: the window does not fit, or the arguments disagree in rank.

    Reference:
      Ranzato, Huang, Boureau and LeCun, Unsupervised learning of invariant feature
      hierarchies with applications to object recognition, 2007.
    """
    inputs = jnp.asarray(inputs)
    framed = frame(inputs, window_shape, strides, padding, limit(inputs.dtype, "min"))
    pooled = extremes(jnp.maximum, framed.padded, framed.window, framed.strides)
    return framed.restore(pooled)


def min_pool(
    inputs: ArrayLike,
    window_shape: Sequence[int],
    strides: Strides = None,
    padding: Padding = "VALID",
) -> Array:
    """The smallest value of each window; otherwise as `max_pool`.

        y[n, p, c] = min_w inputs[n, s·p + w, c]

    Args:
      inputs: [..., *spatial, C].
      window_shape: one size per spatial axis.
      strides: s; no strides means stride 1.
      padding: as in `conv`; cells outside count as +inf (the highest integer).

    Returns:
      [..., *out, C] in the inputs' dtype.

    Raises:
      ValueError: the window does not fit, or the arguments disagree in rank.
    """
    inputs = jnp.asarray(inputs)
    framed = frame(inputs, window_shape, strides, padding, limit(inputs.dtype, "max"))
    pooled = extremes(jnp.minimum, framed.padded, framed.window, framed.strides)
    return framed.restore(pooled)


def avg_pool(
    inputs: ArrayLike,
    window_shape: Sequence[int],
    strides: Strides = None,
    padding: Padding = "VALID",
    count_include_pad: bool = True,
) -> Array:
    """The mean of each window.

        y[n, p, c] = Σ_w inputs[n, s·p + w, c] / Π k

    Args:
      inputs: [..., *spatial, C].
      window_shape: k per spatial axis.
      strides: s; no strides means stride 1.
      padding: as in `conv`; cells outside are zeros.
      count_include_pad: divide by all cells of the window (as flax does), or only by
        those inside the inputs; NaN where there are none.

    Returns:
      [..., *out, C] in the inputs' dtype, float32 for integers. Sums are held in at
      least float32.

    Raises:
      ValueError: the window does not fit, or the arguments disagree in rank.

    Reference:
      LeCun et al., Handwritten digit recognition with a back-propagation network, 1989.
    """
    inputs = jnp.asarray(inputs)
    wide = inputs.astype(accumulator(inputs.dtype))
    framed = frame(wide, window_shape, strides, padding)
    total = sums(framed.padded, framed.window, framed.strides)
    if count_include_pad or framed.mode != "zeros":
        means = total / math.prod(framed.window)
    else:
        means = total / jnp.asarray(_cells_inside(framed), total.dtype)
    return framed.restore(means).astype(output_dtype(inputs.dtype))


def lp_pool(
    inputs: ArrayLike,
    p: float,
    window_shape: Sequence[int],
    strides: Strides = None,
    padding: Padding = "VALID",
) -> Array:
    """The p-norm of each window: p = 1 sums |values|, a large p nears their maximum.

        m[n, c] = max_q |inputs[n, q, c]|
        y[n, p', c] = m · (Σ_w (|inputs[n, s·p' + w, c]| / m)^p)^(1/p)

    Dividing by m changes no value and keeps the powers within range: in float32 values
    below 1e-9·m may count as 0. For p > 4, where that would not be enough, the sum is
    taken in logarithms, which is several times slower. The least and the largest images
    are computed as exactly as others, but what a device takes for 0 counts as 0: on
    CPUs values below the least normal number, 1.2e-38 in float32.

    The gradient is 0 where a window is all zeros, and where a value is 0 (p = 1
    included): never NaN while the inputs are finite and what is propagated back is
    below 1e9. Second derivatives at a zero value are exact for p >= 2; below 2, where
    they do not exist, they come out as 0. Others overflow in float32 where a window's
    norm is far below m: for p up to 4, but for 1 and 2, below 1e-19^(1/p)·m (5e-7·m at
    p = 3), above 4 below about 1e-18·m.

    Args:
      inputs: [..., *spatial, C].
      p: exponent, 1 <= p < ∞; need not be an integer.
      window_shape: one size per spatial axis.
      strides: s; no strides means stride 1.
      padding: as in `conv`; cells outside are zeros.

    Returns:
      [..., *out, C], at least 0, in the inputs' dtype, float32 for integers.

    Raises:
      ValueError: p below 1 or infinite, the window does not fit, or the arguments
        disagree in rank.

    Reference:
      Sermanet, Chintala and LeCun, Convolutional neural networks applied to house
      numbers digit classification, 2012.
    """
    check_exponent(p)
    inputs = jnp.asarray(inputs)
    wide = inputs.astype(accumulator(inputs.dtype))
    framed = frame(wide, window_shape, strides, padding)
    spatial_axes = tuple(range(1, framed.padded.ndim - 1))
    largest = jnp.max(abs(framed.padded), axis=spatial_axes, keepdims=True, initial=0)
    norms = functools.partial(_norms, p, framed.window, framed.strides)
    pooled = scaled(norms, framed.padded, scale_of(largest))
    return framed.restore(pooled).astype(output_dtype(inputs.dtype))


def _norms(
    p: float, window: tuple[int, ...], strides: tuple[int, ...], values: Array
) -> Array:
    """[N, *spatial, C], padded, of values up to about 1, to [N, *out, C]."""
    if p <= 4:
        return root(sums(power(values, p), window, strides), p)
    return root_of_log(fold(jnp.logaddexp, log_power(values, p), window, strides), p)


def _cells_inside(framed: Frame) -> np.ndarray:
    """[1, *out, 1]: how many cells of each window are no padding."""
    counts = []
    sizes = framed.padded.shape[1:-1]
    axes = zip(sizes, framed.window, framed.strides, framed.pairs, strict=True)
    for n, k, s, (low, high) in axes:
        starts = np.arange(0, n - k + 1, s) - low
        ends = np.minimum(starts + k, n - low - high)
        counts.append(np.maximum(ends - np.maximum(starts, 0), 0))
    return functools.reduce(np.multiply.outer, counts)[None, ..., None]
