"""Pools to a given number of outputs, whatever the size of the inputs.

inputs [..., *spatial, C] with as many spatial axes as `output_shape` has entries. The
regions that an axis is cut into may differ in size by one or two positions.
"""

import math
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jax.typing import ArrayLike

from cnn_jax.ops.dtypes import accumulator, output_dtype
from cnn_jax.ops.pooling.frames import frame, largest, limit, tree
from cnn_jax.ops.windows import canonical


def adaptive_max_pool(inputs: ArrayLike, output_shape: Sequence[int]) -> Array:
    """The largest value of each of o regions per axis.

        y[n, i, c] = max_p inputs[n, p, c],   ⌊i·size/o⌋ <= p < ⌈(i + 1)·size/o⌉

    Regions overlap by a position where o does not divide the size, and none is empty:
    o may exceed the size. Equal maxima share the gradient equally, axis by axis. NaN
    wins, with gradient 0.

    Args:
      inputs: [..., *spatial, C].
      output_shape: o per spatial axis.

    Returns:
      [..., *output_shape, C] in the inputs' dtype.

    Raises:
      ValueError: not 1 to 3 sizes, one below 1, too few axes, or an empty one.
    """
    return _adaptive(jnp.asarray(inputs), output_shape, largest)


def adaptive_avg_pool(inputs: ArrayLike, output_shape: Sequence[int]) -> Array:
    """The mean of each of o regions per axis, those of `adaptive_max_pool`.

        y[n, i, c] = mean_p inputs[n, p, c],   ⌊i·size/o⌋ <= p < ⌈(i + 1)·size/o⌉

    Args:
      inputs: [..., *spatial, C].
      output_shape: o per spatial axis.

    Returns:
      [..., *output_shape, C] in the inputs' dtype, float32 for integers. Sums are held
      in at least float32.

    Raises:
      ValueError: not 1 to 3 sizes, one below 1, too few axes, or an empty one.
    """
    inputs = jnp.asarray(inputs)
    wide = inputs.astype(accumulator(inputs.dtype))
    means = _adaptive(wide, output_shape, jnp.mean)
    return means.astype(output_dtype(inputs.dtype))


def _adaptive(
    inputs: Array, output_shape: Sequence[int], reducer: Callable[..., Array]
) -> Array:
    sizes = _output_shape(inputs, output_shape)
    for axis, num_regions in enumerate(sizes, start=inputs.ndim - 1 - len(sizes)):
        inputs = _reduce_regions(inputs, axis, num_regions, reducer)
    return inputs


def _output_shape(inputs: Array, output_shape: Sequence[int]) -> tuple[int, ...]:
    if not isinstance(output_shape, Sequence) or not 1 <= len(output_shape) <= 3:
        raise ValueError(
            "output_shape: expected 1 to 3 integers, one per spatial axis, "
            f"got {output_shape!r}"
        )
    sizes = canonical(output_shape, len(output_shape), "output_shape")
    spatial = inputs.shape[-len(sizes) - 1 : -1]
    if len(spatial) != len(sizes) or 0 in spatial:
        raise ValueError(
            f"inputs: expected [..., {len(sizes)} spatial axes, C] with no empty one "
            f"for {len(sizes)} output sizes, got shape {inputs.shape}"
        )
    return sizes


def _reduce_regions(
    inputs: Array, axis: int, num_regions: int, reducer: Callable[..., Array]
) -> Array:
    """One axis. Regions repeat with period size / gcd, and none straddles two."""
    size = inputs.shape[axis]
    periods = math.gcd(size, num_regions)
    length, parts = size // periods, num_regions // periods
    before, after = inputs.shape[:axis], inputs.shape[axis + 1 :]
    split = inputs.reshape(*before, periods, length, *after)
    reduced = []
    for part in range(parts):
        start, end = part * length // parts, -(-(part + 1) * length // parts)
        region = lax.slice_in_dim(split, start, end, axis=axis + 1)
        reduced.append(reducer(region, axis + 1))
    stacked = jnp.stack(reduced, axis=axis + 1)
    return stacked.reshape(*before, num_regions, *after)


def spatial_pyramid_pool(
    inputs: ArrayLike,
    levels: Sequence[int] = (1, 2, 4),
    *,
    pool: Callable[[ArrayLike, Sequence[int]], Array] = adaptive_max_pool,
) -> Array:
    """Adaptive pools to several sizes, as one vector of fixed length per image.

        y[n] = concatenation over l in levels of pool(inputs, (l, …, l))[n]

    level by level, positions row-major, channels last. The reference takes windows of
    ⌈size/l⌉ at strides of ⌊size/l⌋, which may leave positions out; these regions hold
    them all.

    Args:
      inputs: [N, *spatial, C], exactly one batch axis and 1 to 3 spatial ones.
      levels: l, regions per axis.
      pool: (inputs, output_shape) -> outputs.

    Returns:
      [N, Σ_l l^rank · C].

    Raises:
      ValueError: no level, one below 1, or inputs of another rank.

    Reference:
      He, Zhang, Ren and Sun, Spatial pyramid pooling in deep convolutional networks for
      visual recognition, 2014.
    """
    inputs = jnp.asarray(inputs)
    if not 3 <= inputs.ndim <= 5:
        raise ValueError(
            "inputs: expected [N, *spatial, C] with 1 to 3 spatial axes, "
            f"got shape {inputs.shape}"
        )
    if not isinstance(levels, Sequence) or not levels:
        raise ValueError(f"levels: expected integers, at least one, got {levels!r}")
    numbers = canonical(levels, len(levels), "levels")
    pooled = [pool(inputs, (level,) * (inputs.ndim - 2)) for level in numbers]
    return jnp.concatenate(
        [each.reshape(len(each), math.prod(each.shape[1:])) for each in pooled], axis=1
    )


def fractional_max_pool(
    inputs: ArrayLike,
    output_shape: Sequence[int],
    *,
    key: Array | None = None,
    overlapping: bool = True,
    pseudorandom: bool = True,
) -> Array:
    """The largest value of each of o random regions per axis.

        y[n, i, c] = max_p inputs[n, p, c],   b_i <= p < b_(i+1)
        b_i = ⌊α·(i + u)⌋ − ⌊α·u⌋,   α = size / o,   u ~ U[0, 1)

    so that b_0 = 0, b_o = size, and lengths are ⌊α⌋ or ⌈α⌉. One draw of u per axis
    serves all images and channels. Equal maxima share the gradient axis by axis, and
    along an axis in pairs: neighbors halve it, then pairs of neighbors, an odd one
    being left for the last; three equal ones get 1/4, 1/4 and 1/2. NaN wins, with
    gradient 0.

    Args:
      inputs: [..., *spatial, C].
      output_shape: o per spatial axis, at most its size.
      key: typed PRNG key; without one u is 0.
      overlapping: regions include the first position of the next one, b_(i+1), as the
        reference found better.
      pseudorandom: regions as above; otherwise the same lengths in random order, which
        distorts more. Without a key the longer ones come first.

    Returns:
      [..., *output_shape, C] in the inputs' dtype.

    Raises:
      ValueError: an output size above the inputs', not 1 to 3 of them, one below 1, or
        too few axes.

    Reference:
      Graham, Fractional max-pooling, 2014.
    """
    inputs = jnp.asarray(inputs)
    sizes = _output_shape(inputs, output_shape)
    spatial = inputs.shape[-len(sizes) - 1 : -1]
    if any(o > size for o, size in zip(sizes, spatial, strict=True)):
        raise ValueError(
            f"output_shape: expected at most the inputs' sizes {spatial}, got {sizes}"
        )
    framed = frame(inputs, (1,) * len(sizes), 1, "VALID")
    keys = [None] * len(sizes) if key is None else jax.random.split(key, len(sizes))
    pooled = framed.padded
    for axis, (o, each) in enumerate(zip(sizes, keys, strict=True), start=1):
        edges = _edges(pooled.shape[axis], o, each, pseudorandom)
        longest = -(-pooled.shape[axis] // o)
        pooled = _max_between(pooled, axis, edges, longest, overlapping)
    return framed.restore(pooled)


def _edges(size: int, num: int, key: Array | None, pseudorandom: bool) -> Array:
    """b, int32 [num + 1]; u = j / size with a whole j gives every sequence there is."""
    if pseudorandom:
        j = jnp.int32(0) if key is None else jax.random.randint(key, (), 0, size)
        return (size * jnp.arange(num + 1) + j) // num - j // num
    longer = size % num
    lengths = np.asarray([size // num + 1] * longer + [size // num] * (num - longer))
    lengths = jnp.asarray(lengths, jnp.int32)
    if key is not None:
        lengths = jax.random.permutation(key, lengths)
    return jnp.concatenate([jnp.zeros(1, jnp.int32), jnp.cumsum(lengths)])


def _max_between(
    inputs: Array, axis: int, edges: Array, longest: int, overlapping: bool
) -> Array:
    """max of inputs[edges[i] : edges[i + 1]] along an axis, or one position further."""
    lowest = limit(inputs.dtype, "min")
    ends = jnp.minimum(edges[1:] + int(overlapping), inputs.shape[axis])
    shape = (-1,) + (1,) * (inputs.ndim - axis - 1)
    values = []
    for offset in range(longest + int(overlapping)):
        places = edges[:-1] + offset
        # Known to be unique, the gradient needs no atomic sums.
        value = jnp.take(
            inputs,
            places,
            axis=axis,
            mode="fill",
            unique_indices=True,
            indices_are_sorted=True,
            fill_value=lowest,
        )
        outside = jnp.broadcast_to((places >= ends).reshape(shape), value.shape)
        values.append(jnp.where(outside, lowest, value))
    pooled = tree(jnp.maximum, values)
    # Whose derivative is a product: a NaN times the 0 that a NaN has would be NaN.
    return jnp.where(pooled == pooled, pooled, lax.stop_gradient(pooled))
