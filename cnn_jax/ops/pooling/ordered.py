"""Pools of the largest values of a sequence, in the order in which they came."""

import operator

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.typing import ArrayLike

MOST_LAYERS = 2**31


def k_max_pool(inputs: ArrayLike, k: int, axis: int = -2) -> Array:
    """The k largest values along an axis, of each channel, in their own order.

        y[..., j, c] = inputs[..., t_j, c],   t_1 < … < t_k the places of the k largest

    Of equal values the first are kept, and -0 equals 0. The gradient flows to the kept
    values. NaN is larger than all, with gradient 0, as in `max_pool`.

    Args:
      inputs: [..., T, C].
      k: from 1 to T.
      axis: along which; the last but one by default.

    Returns:
      The inputs' shape with k in place of T, in the inputs' dtype.

    Raises:
      ValueError: no such axis, or a k that is no integer or out of range.

    Reference:
      Kalchbrenner, Grefenstette and Blunsom, A convolutional neural network for
      modelling sentences, 2014.
    """
    inputs = jnp.asarray(inputs)
    length = _length(inputs, axis)
    k = _up_to(length, k, f"k: expected an integer from 1 to the axis's size {length}")
    rows = jnp.moveaxis(inputs, axis, -1)
    flat = rows.reshape(-1, length) if rows.size else rows.reshape(0, length)
    _, places = lax.top_k(_ranked(lax.stop_gradient(flat)), k)
    kept = jax.vmap(_pick)(flat, jnp.sort(places, axis=1))
    kept = jnp.where(kept == kept, kept, lax.stop_gradient(kept))
    return jnp.moveaxis(kept.reshape(*rows.shape[:-1], k), -1, axis)


def _ranked(values: Array) -> Array:
    """What `lax.top_k` orders as comparisons do.

    It orders by sign and bits: -0 before 0, and a NaN with its sign on, which is what
    0 / 0 gives on x86, before everything.
    """
    if not jnp.issubdtype(values.dtype, jnp.floating):
        return values
    return jnp.where(values == values, jnp.where(values == 0, 0, values), jnp.nan)


def _pick(row: Array, places: Array) -> Array:
    # Known to be unique, the gradient needs no atomic sums.
    return row.at[places].get(
        unique_indices=True, indices_are_sorted=True, mode="promise_in_bounds"
    )


def dynamic_k_max_pool(
    inputs: ArrayLike, layer: int, num_layers: int, k_top: int, axis: int = -2
) -> Array:
    """`k_max_pool` with a k that shrinks with depth and grows with the sentence.

        k = max(k_top, ⌈(L − l) / L · T⌉)

    Args:
      inputs: [..., T, C]; T is the length of the sentence, from which k is made.
      layer: l, from 1 to L.
      num_layers: L, convolutional layers of the net.
      k_top: k of the topmost layer, from 1 to T.
      axis: that of T.

    Returns:
      The inputs' shape with k in place of T, in the inputs' dtype.

    Raises:
      ValueError: no such axis, or a number that is no integer or out of range.

    Reference:
      Kalchbrenner, Grefenstette and Blunsom, A convolutional neural network for
      modelling sentences, 2014.
    """
    inputs = jnp.asarray(inputs)
    length = _length(inputs, axis)
    layers = _up_to(MOST_LAYERS, num_layers, "num_layers: expected an integer >= 1")
    layer = _up_to(layers, layer, f"layer: expected an integer from 1 to {layers}")
    expected = f"k_top: expected an integer from 1 to the axis's size {length}"
    k_top = _up_to(length, k_top, expected)
    share = -(-(layers - layer) * length // layers)
    return k_max_pool(inputs, max(k_top, share), axis)


def _length(inputs: Array, axis: int) -> int:
    try:
        return inputs.shape[operator.index(axis)]
    except (TypeError, IndexError):
        raise ValueError(
            f"axis: expected one of inputs of shape {inputs.shape}, got {axis!r}"
        ) from None


def _up_to(last: int, value: int, expected: str) -> int:
    number = _index(value)
    if not 1 <= number <= last:
        raise ValueError(f"{expected}, got {value!r}")
    return number


def _index(value: int) -> int:
    """A whole number of any integer type as an int; 0, never right here, if it is none.

    2.0 is equal to 2 and no index.
    """
    try:
        return operator.index(value)
    except TypeError:
        return 0
