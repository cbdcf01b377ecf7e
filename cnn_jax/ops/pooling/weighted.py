"""Pools that weight or draw the values of a window, and mixtures of pools.

Shapes, strides and paddings as in `windowed`.
"""

import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

from cnn_jax.ops.dtypes import accumulator, output_dtype
from cnn_jax.ops.pooling.frames import Frame, elements, frame
from cnn_jax.ops.pooling.norms import scale_of, scaled
from cnn_jax.ops.pooling.sliding import sums, weigh
from cnn_jax.ops.pooling.windowed import Strides, avg_pool, max_pool
from cnn_jax.ops.windows import Padding


def gaussian_pool(
    inputs: ArrayLike,
    window_shape: Sequence[int],
    strides: Strides = None,
    padding: Padding = "VALID",
    *,
    sigma: float | Sequence[float] | None = None,
) -> Array:
    """A mean of each window, weighted by the distance from its center.

        y[n, p, c] = Σ_w g[w] · inputs[n, s·p + w, c]
        g[w] ∝ exp(−Σ_i (w_i − (k_i − 1)/2)² / (2σ_i²)),   Σ_w g[w] = 1

    A very large σ is `avg_pool`, a very small one subsampling at the center.

    Args:
      inputs: [..., *spatial, C].
      window_shape: k per spatial axis.
      strides: s; no strides means stride 1.
      padding: as in `conv`; cells outside are zeros, and their weights count.
      sigma: standard deviation in pixels, > 0, one or one per spatial axis; a quarter
        of the window by default.

    Returns:
      [..., *out, C] in the inputs' dtype, float32 for integers. Sums are held in at
      least float32.

    Raises:
      ValueError: a sigma that is not positive, the window does not fit, or the
        arguments disagree in rank.

    Reference:
      Goodfellow, Bengio and Courville, Deep learning, section 9.3, 2016.
    """
    inputs = jnp.asarray(inputs)
    wide = inputs.astype(accumulator(inputs.dtype))
    framed = frame(wide, window_shape, strides, padding)
    taps = [
        _gaussian(size, width)
        for size, width in zip(
            framed.window, _widths(sigma, framed.window), strict=True
        )
    ]
    means = weigh(framed.padded, taps, framed.strides)
    return framed.restore(means).astype(output_dtype(inputs.dtype))


def _widths(
    sigma: float | Sequence[float] | None, window: tuple[int, ...]
) -> Sequence[float]:
    if sigma is None:
        return [size / 4 for size in window]
    try:
        widths = np.asarray(sigma, float)
    except (TypeError, ValueError):
        widths = np.zeros(())
    if widths.shape not in ((), (len(window),)) or not np.all(widths > 0):
        raise ValueError(
            f"sigma: expected one number > 0 or {len(window)} of them, got {sigma!r}"
        )
    return np.broadcast_to(widths, len(window)).tolist()


def _gaussian(size: int, sigma: float) -> list[float]:
    """g along one axis; the nearest taps count even where all exp would be 0."""
    distances = [abs(tap - (size - 1) / 2) for tap in range(size)]
    nearest = min(distances)
    weights = [
        math.exp((nearest - far) / sigma * ((nearest + far) / sigma) / 2)
        for far in distances
    ]
    return [weight / math.fsum(weights) for weight in weights]


def stochastic_pool(
    inputs: ArrayLike,
    window_shape: Sequence[int],
    strides: Strides = None,
    padding: Padding = "VALID",
    *,
    key: Array | None = None,
) -> Array:
    """One value of each window, drawn in proportion to itself, or the mean of draws.

        a[w] = inputs[n, s·p + w, c] >= 0,   P(w) = a[w] / Σ_v a[v]
        y[n, p, c] = a[w],  w ~ P         with a key, for training
                     Σ_w P(w) · a[w]      without one, for testing

    The second is the contraharmonic mean Σa² / Σa, between mean and maximum. A window
    of zeros gives 0 with gradient 0. Windows are drawn independently; the gradient of a
    draw flows to the drawn value alone. Every value of the window is a step of the
    compiled program: keep windows of draws below some hundred.

    Args:
      inputs: [..., *spatial, C], not negative, finite and with finite sums of a
        window. Negative ones are looked for where values are known, outside of `jit`
        and other transformations; inside of them they count as 0.
      window_shape: one size per spatial axis.
      strides: s; no strides means stride 1.
      padding: as in `conv`; cells outside are zeros, which are never drawn.
      key: typed PRNG key.

    Returns:
      [..., *out, C] in the inputs' dtype, float32 for integers.

    Raises:
      ValueError: a negative value, the window does not fit, or the arguments disagree
        in rank.

    Reference:
      Zeiler and Fergus, Stochastic pooling for regularization of deep convolutional
      neural networks, 2013.
    """
    inputs = jnp.asarray(inputs)
    _check_not_negative(inputs)
    wide = inputs.astype(accumulator(inputs.dtype))
    framed = frame(jnp.where(wide < 0, 0, wide), window_shape, strides, padding)
    pooled = _contraharmonic_mean(framed) if key is None else _draw(framed, key)
    return framed.restore(pooled).astype(output_dtype(inputs.dtype))


def _contraharmonic_mean(framed: Frame) -> Array:
    # Divided by each image's largest value, squares neither overflow nor vanish.
    axes = tuple(range(1, framed.padded.ndim - 1))
    scale = scale_of(jnp.max(framed.padded, axis=axes, keepdims=True, initial=0))

    def means(values: Array) -> Array:
        total = sums(values, framed.window, framed.strides)
        squares = sums(jnp.square(values), framed.window, framed.strides)
        empty = total == 0
        return jnp.where(empty, 0, squares / jnp.where(empty, 1, total))

    return scaled(means, framed.padded, scale)


def _draw(framed: Frame, key: Array) -> Array:
    """The first value at which the running sum exceeds u · Σ a, u ~ U[0, 1)."""
    values = elements(framed.padded, framed.window, framed.strides)
    reached = [jax.lax.stop_gradient(values[0])]
    for value in values[1:]:
        reached.append(reached[-1] + jax.lax.stop_gradient(value))
    total = reached[-1]
    threshold = jax.random.uniform(key, total.shape, total.dtype) * total
    drawn = jnp.zeros_like(total)
    for value, sum_so_far in zip(reversed(values), reversed(reached), strict=True):
        drawn = jnp.where(threshold < sum_so_far, value, drawn)
    return jnp.where(jnp.isnan(total), total, drawn)


def _check_not_negative(inputs: Array) -> None:
    if isinstance(inputs, jax.core.Tracer) or inputs.size == 0:
        return
    with jax.ensure_compile_time_eval():  # a constant inside of `jit` is known, too
        # Not the minimum of all, which is NaN where any value is.
        least = float(jnp.min(jnp.where(inputs < 0, inputs, 0)))
    if least < 0:
        raise ValueError(
            f"inputs: expected values >= 0 to draw in proportion to, got {least}"
        )


def mixed_pool(
    inputs: ArrayLike,
    share: ArrayLike,
    window_shape: Sequence[int],
    strides: Strides = None,
    padding: Padding = "VALID",
    *,
    key: Array | None = None,
) -> Array:
    """Between the mean and the maximum of each window.

        y = m · max_pool(inputs) + (1 − m) · avg_pool(inputs)
        m ~ Bernoulli(share) per image and channel   with a key
            share                                    without one

    Without a key the share can be learned, as Lee et al. do; with one, each image's
    channel is pooled by one of both at random, as Yu et al. do in training. To test
    without a key is to take the mean of draws; implementations of Yu et al. take the
    pool that was drawn more often instead, here a share of 1 or 0. A draw has no
    gradient to the share. A side whose m or 1 − m is 0 has no part in the output, an
    infinite one neither in the gradient to the share.

    Args:
      inputs: [..., *spatial, C].
      share: of the maximum, in [0, 1]; [], or [C] for one per channel. Values are
        checked where they are known, outside of `jit`.
      window_shape: one size per spatial axis.
      strides: s; no strides means stride 1.
      padding: as in `conv`; cells outside are -inf to the maximum and zeros to the
        mean.
      key: typed PRNG key.

    Returns:
      [..., *out, C] in the inputs' dtype, float32 for integers.

    Raises:
      ValueError: a share of another shape or outside [0, 1], the window does not fit,
        or the arguments disagree in rank.

    References:
      Yu, Wang, Chen and Wei, Mixed pooling for convolutional neural networks, 2014.
      Lee, Gallagher and Tu, Generalizing pooling functions in convolutional neural
      networks: mixed, gated, and tree, 2016.
    """
    inputs = jnp.asarray(inputs)
    dtype = output_dtype(inputs.dtype)
    share = jnp.asarray(share, accumulator(dtype))
    _check_share(share, inputs.shape[-1:])
    wide = inputs.astype(share.dtype)
    largest = max_pool(wide, window_shape, strides, padding)
    mean = avg_pool(wide, window_shape, strides, padding)
    rank = len(window_shape)
    share = share.reshape((1,) * (inputs.ndim - share.ndim) + share.shape)
    if key is not None:
        drawn = (*inputs.shape[: -rank - 1], *(1,) * rank, inputs.shape[-1])
        share = jax.random.bernoulli(key, share, drawn).astype(share.dtype)
    # An infinite side without a share, which padding may be, is no 0 · ∞.
    largest = jnp.where((share == 0) & jnp.isinf(largest), 0, largest)
    mean = jnp.where((share == 1) & jnp.isinf(mean), 0, mean)
    return (share * largest + (1 - share) * mean).astype(dtype)


def _check_share(share: Array, features: tuple[int, ...]) -> None:
    if share.shape not in ((), features):
        raise ValueError(
            f"share: expected shape () or {features}, one per channel, "
            f"got {share.shape}"
        )
    if isinstance(share, jax.core.Tracer):
        return
    with jax.ensure_compile_time_eval():
        within = bool(jnp.all((share >= 0) & (share <= 1)))
    if not within:
        raise ValueError(f"share: expected values from 0 to 1, got {share}")
