"""The classical block: convolution, activation and maximum pooling, as one function.

A convolution's outputs are computed sorted by their place in the pooling windows, with
channels first and images last: [*place, O, *pooled, N]. One matrix product gives them
so, of a kernel that is shifted to each place and the windows that all places of a
pooling window see together. Pooling is then a maximum over the leading axes. Where
channels are few, which is where a loop over the last axis of [N, *spatial, C] fills no
vector register, a training step of the block takes half the time on a CPU.

Letters: inputs [N, *spatial, C], kernel [*window, C, O].
"""

import itertools
import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.lax import PrecisionLike
from jax.typing import ArrayLike

from cnn_jax.ops.arguments import (
    check_bias,
    check_channels,
    check_inputs,
    check_kernel,
    promote,
)
from cnn_jax.ops.convolution import conv
from cnn_jax.ops.platforms import on_cpu
from cnn_jax.ops.pooling import max_pool
from cnn_jax.ops.pooling.sliding import window_extreme
from cnn_jax.ops.windows import Padding, canonical, output_size, pad, resolve_padding

MOST_CHANNELS: int = 8  # where training is faster, see benchmarks/README.md
MOST_FEATURES: int = 16


class _Axis(NamedTuple):
    """How windows lie along a spatial axis.

    Attributes:
      size: of the padded inputs.
      taps: of the kernel.
      pool: k of the pooling windows.
    """

    size: int
    taps: int
    pool: int

    @property
    def out(self) -> int:
        return self.size - self.taps + 1

    @property
    def pooled(self) -> int:
        return self.out // self.pool

    @property
    def steps(self) -> int:
        """Steps of k positions that all places of a pooling window see together."""
        return -(-(self.taps + self.pool - 1) // self.pool)


def conv_max_pool(
    inputs: ArrayLike,
    kernel: ArrayLike,
    bias: ArrayLike | None = None,
    *,
    window_shape: int | Sequence[int],
    activation: Callable[[Array], Array] | None = None,
    padding: Padding = "SAME",
    precision: PrecisionLike = None,
) -> tuple[Array, Array, Array]:
    """Convolution, activation and the maximum over windows that do not overlap.

        z = conv(inputs, kernel, bias)
        a = activation(z)
        y = max_pool(a, window_shape, strides=window_shape)

    In a jitted program z and a cost nothing where they are not used. Of finite inputs
    numbers are those of `conv` and `max_pool` up to rounding, derivatives of ties
    included; an infinity or NaN reaches all outputs of the pooling windows that see it,
    as NaN.

    Args:
      inputs: [N, *spatial, C], one to three spatial axes.
      kernel: [*window, C, O].
      bias: [O], or none.
      window_shape: of the pooling, k, one integer or one per axis.
      activation: of z, or none. One that is not elementwise is left to the parts.
      padding: of the convolution, as in `conv`.
      precision: of the products, as in jax.lax.

    Returns:
      z and a [N, *out, O], y [N, *⌊out / k⌋, O].

    Raises:
      ValueError: as `conv` and `max_pool`.

    Reference:
      LeCun, Bottou, Bengio and Haffner, Gradient-based learning applied to document
      recognition, 1998.
    """
    inputs, kernel, bias = promote(inputs, kernel, bias)
    check_inputs(inputs)
    check_kernel(inputs, kernel)
    check_channels(inputs.shape[-1], kernel, 1)
    *taps, _, features = kernel.shape
    pools = canonical(window_shape, len(taps), "window_shape")
    spatial, ones = inputs.shape[1:-1], (1,) * len(taps)
    mode, pairs = resolve_padding(padding, spatial, taps, ones, ones)
    for size, tap, pair in zip(spatial, taps, pairs, strict=True):
        output_size(size, tap, 1, 1, *pair)
    sizes = [
        low + size + high for size, (low, high) in zip(spatial, pairs, strict=True)
    ]
    axes = [_Axis(*each) for each in zip(sizes, taps, pools, strict=True)]
    activate = activation or (lambda outputs: outputs)
    if not (_serves(inputs, features, axes) and _is_elementwise(activate, inputs)):
        outputs = conv(inputs, kernel, bias, padding=padding, precision=precision)
        active = activate(outputs)
        return outputs, active, max_pool(active, pools, pools)
    channels_first = jnp.moveaxis(inputs, (0, -1), (-1, 0))
    windows = _windows(pad(channels_first, pairs, mode), axes)
    places = jnp.dot(_shifted(kernel, axes), windows, precision=precision)
    places = places.reshape(*pools, features, *(each.pooled for each in axes), -1)
    if bias is not None:
        check_bias(bias, [(features,)])
        places += bias.reshape(*ones, features, *ones, 1)
    # What is returned is what y is computed from, so that derivatives to it are right;
    # putting it in order and back is nothing to a compiler.
    outputs = _in_order(places)
    active = _in_order(activate(_by_place(outputs, pools)))
    return outputs, active, _largest(_by_place(active, pools))


def _serves(inputs: Array, features: int, axes: Sequence[_Axis]) -> bool:
    """Whether windows tile the outputs and, as measured, training is faster so."""
    tiles = all(each.pool <= 3 and each.out % each.pool == 0 for each in axes)
    is_empty = 0 in inputs.shape or 0 in (features, *(each.out for each in axes))
    is_narrow = inputs.shape[-1] <= MOST_CHANNELS and features <= MOST_FEATURES
    is_real = inputs.dtype in (jnp.float32, jnp.float64)
    return tiles and is_narrow and is_real and not is_empty and on_cpu()


def _is_elementwise(activate: Callable[[Array], Array], inputs: Array) -> bool:
    """Whether it takes a number to a real one; what looks along channels does not."""
    try:
        found = jax.eval_shape(activate, jax.ShapeDtypeStruct((), inputs.dtype))
    except Exception:  # whatever it says to a number that has no channels
        return False
    return found.shape == () and not jnp.issubdtype(found.dtype, jnp.complexfloating)


def _windows(inputs: Array, axes: Sequence[_Axis]) -> Array:
    """[C, *size, N] to [steps * pool * C, pooled * N], all axes' product each."""
    ends = [(each.pooled - 1 + each.steps) * each.pool - each.size for each in axes]
    edges = [(0, 0, 0), *((0, end, 0) for end in ends), (0, 0, 0)]
    inputs = lax.pad(inputs, jnp.zeros((), inputs.dtype), edges)
    rank, (channels, *_, images) = len(axes), inputs.shape
    split = [
        size for axis in axes for size in (axis.pooled - 1 + axis.steps, axis.pool)
    ]
    blocks = inputs.reshape(channels, *split, images)
    order = (*range(2, 2 * rank + 1, 2), 0, *range(1, 2 * rank, 2), 2 * rank + 1)
    blocks = blocks.transpose(order)  # [*pool, C, *blocks, N]
    seen = [
        blocks[(..., *map(slice, first, _ends(first, axes)), slice(None))]
        for first in itertools.product(*(range(each.steps) for each in axes))
    ]
    rows = math.prod(each.steps * each.pool for each in axes) * channels
    return jnp.stack(seen).reshape(rows, -1)


def _ends(first: Sequence[int], axes: Sequence[_Axis]) -> list[int]:
    return [start + each.pooled for start, each in zip(first, axes, strict=True)]


def _shifted(kernel: Array, axes: Sequence[_Axis]) -> Array:
    """[*taps, C, O] to [places * O, steps * pool * C]: a kernel for every place."""
    rank, (channels, features) = len(axes), kernel.shape[-2:]
    shifted = []
    for place in itertools.product(*(range(each.pool) for each in axes)):
        ends = [
            each.steps * each.pool - each.taps - start
            for start, each in zip(place, axes, strict=True)
        ]
        edges = [*zip(place, ends, (0,) * rank, strict=True), (0, 0, 0), (0, 0, 0)]
        shifted.append(lax.pad(kernel, jnp.zeros((), kernel.dtype), edges))
    split = [size for axis in axes for size in (axis.steps, axis.pool)]
    kernels = jnp.stack(shifted).reshape(-1, *split, channels, features)
    steps, pools = range(1, 2 * rank, 2), range(2, 2 * rank + 1, 2)
    kernels = kernels.transpose(0, 2 * rank + 2, *steps, *pools, 2 * rank + 1)
    return kernels.reshape(len(shifted) * features, -1)


def _in_order(places: Array) -> Array:
    """[*pool, O, *pooled, N] to [N, *out, O]."""
    rank = (places.ndim - 2) // 2
    pools, (features, *pooled, images) = places.shape[:rank], places.shape[rank:]
    axes = [each for axis in range(rank) for each in (rank + 1 + axis, axis)]
    out = [size * k for size, k in zip(pooled, pools, strict=True)]
    return places.transpose(-1, *axes, rank).reshape(images, *out, features)


def _by_place(outputs: Array, pools: Sequence[int]) -> Array:
    """[N, *out, O] to [*pool, O, *pooled, N]."""
    rank, (images, *out, features) = len(pools), outputs.shape
    split = [size for n, k in zip(out, pools, strict=True) for size in (n // k, k)]
    outputs = outputs.reshape(images, *split, features)
    steps, places = range(1, 2 * rank, 2), range(2, 2 * rank + 1, 2)
    return outputs.transpose(*places, 2 * rank + 1, *steps, 0)


def _largest(places: Array) -> Array:
    """[*pool, O, *pooled, N] to [N, *pooled, O]: the rows first, as `max_pool` does."""
    rank = (places.ndim - 2) // 2
    for axis in range(rank):
        if (k := places.shape[axis]) > 1:
            places = window_extreme(jnp.maximum, places, axis, k, k)
    largest = places.reshape(places.shape[rank:])
    return jnp.moveaxis(largest, (-1, 0), (0, -1))
