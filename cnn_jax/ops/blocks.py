"""The classical block: convolution, activation and maximum pooling, as one function.

A convolution's outputs are computed sorted by their place in the pooling windows, with
channels first and images last: [*place, O, *pooled, N]. One matrix product gives them
so, of a kernel that is shifted to each place and the windows that all places of a
pooling window see together. Pooling is then a maximum over the leading axes. Where
channels are few, loops over the last axis of [N, *spatial, C] fill no vector register,
and training a block is faster so on a CPU: see `benchmarks.blocks`.

A block is computed so on CPUs, in float32 and float64, of at most MOST_CHANNELS and
MOST_FEATURES, with an elementwise activation and pooling windows of sizes up to 3 that
tile the outputs of a convolution without strides, dilations or groups.

Letters: inputs [N, *spatial, C], kernel [*window, C, O].
"""

import itertools
import math
from collections.abc import Callable, Sequence
from typing import NamedTuple, Unpack

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.lax import PrecisionLike
from jax.typing import ArrayLike

from cnn_jax.ops.arguments import check_bias, check_inputs, check_kernel, promote
from cnn_jax.ops.convolution import Options, conv
from cnn_jax.ops.platforms import on_cpu
from cnn_jax.ops.pooling import max_pool
from cnn_jax.ops.pooling.sliding import window_extreme
from cnn_jax.ops.windows import Padding, canonical, pad, resolve_padding

MOST_CHANNELS: int = 8  # where training is faster, see benchmarks/README.md
MOST_FEATURES: int = 16
_PLAIN = {
    "strides": 1,
    "input_dilation": 1,
    "kernel_dilation": 1,
    "feature_group_count": 1,
    "preferred_element_type": None,
    "algorithm": "auto",
}


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
    def is_tiled(self) -> bool:
        """Whether pooling windows tile the outputs, in one stage of `max_pool`."""
        return self.out > 0 and self.pool <= 3 and self.out % self.pool == 0

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
    **options: Unpack[Options],
) -> tuple[Array, Array, Array]:
    """Convolution, activation and the maximum over windows that do not overlap.

        z = conv(inputs, kernel, bias)
        a = activation(z)
        y = max_pool(a, window_shape, strides=window_shape)

    In a jitted program z and a cost nothing where they are not used. What is not
    computed as one block, see above, is computed by the three. Of finite inputs numbers
    are theirs up to rounding, derivatives of ties included; an infinity or NaN reaches
    all outputs of the pooling windows that see it, as NaN.

    Args:
      inputs: [N, *spatial, C], one to three spatial axes.
      kernel: [*window, C // groups, O].
      bias: [O], or none.
      window_shape: of the pooling, k, one integer or one per axis.
      activation: of z, or none.
      **options: every keyword of `conv`, with its meaning and default.

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
    pools = canonical(window_shape, inputs.ndim - 2, "window_shape")
    activate = activation or (lambda outputs: outputs)
    if _serves(inputs, kernel, options) and _is_elementwise(activate, inputs):
        padding = options.get("padding", "SAME")
        padded, axes = _padded(inputs, kernel.shape[:-2], pools, padding)
        if all(each.is_tiled for each in axes):
            places = _places(padded, kernel, bias, axes, options.get("precision"))
            # What is returned is what y is computed from, so that derivatives to it are
            # right; putting it in order and back is nothing to a compiler.
            outputs = _in_order(places)
            active = _in_order(activate(_by_place(outputs, pools)))
            return outputs, active, _largest(_by_place(active, pools))
    outputs = conv(inputs, kernel, bias, **options)
    active = activate(outputs)
    return outputs, active, max_pool(active, pools, pools)


def _serves(inputs: Array, kernel: Array, options: Options) -> bool:
    """Whether it is the plain convolution that a block is, and faster in training."""
    *_, channels, features = kernel.shape
    ones = (1,) * (inputs.ndim - 2)
    is_plain = channels == inputs.shape[-1] and all(
        options.get(name, plain) in (plain, ones) for name, plain in _PLAIN.items()
    )
    is_narrow = 0 < channels <= MOST_CHANNELS and 0 < features <= MOST_FEATURES
    is_real = inputs.dtype in (jnp.float32, jnp.float64)
    return is_plain and is_narrow and is_real and 0 not in inputs.shape and on_cpu()


def _is_elementwise(activate: Callable[[Array], Array], inputs: Array) -> bool:
    """Whether it takes a number to a real one; what looks along channels does not."""
    try:
        found = jax.eval_shape(activate, jax.ShapeDtypeStruct((), inputs.dtype))
    except Exception:  # whatever it says to a number that has no channels
        return False
    return found.shape == () and not jnp.issubdtype(found.dtype, jnp.complexfloating)


def _padded(
    inputs: Array, taps: Sequence[int], pools: Sequence[int], padding: Padding
) -> tuple[Array, list[_Axis]]:
    """[N, *spatial, C] to [C, *size, N]: padding that moves no channels is faster."""
    ones = (1,) * len(taps)
    mode, pairs = resolve_padding(padding, inputs.shape[1:-1], taps, ones, ones)
    padded = pad(jnp.moveaxis(inputs, (0, -1), (-1, 0)), pairs, mode)
    return padded, [
        _Axis(*each) for each in zip(padded.shape[1:-1], taps, pools, strict=True)
    ]


def _places(
    padded: Array,
    kernel: Array,
    bias: Array | None,
    axes: Sequence[_Axis],
    precision: PrecisionLike,
) -> Array:
    """[C, *size, N] to [*pool, O, *pooled, N], the bias added."""
    features, ones = kernel.shape[-1], (1,) * len(axes)
    windows = _windows(padded, axes)
    places = jnp.dot(_shifted(kernel, axes), windows, precision=precision)
    pools, pooled = [each.pool for each in axes], [each.pooled for each in axes]
    places = places.reshape(*pools, features, *pooled, -1)
    if bias is None:
        return places
    check_bias(bias, [(features,)])
    return places + bias.reshape(*ones, features, *ones, 1)


def _windows(padded: Array, axes: Sequence[_Axis]) -> Array:
    """[C, *size, N] to [steps * pool * C, pooled * N], all axes' product each."""
    blocks = [each.pooled - 1 + each.steps for each in axes]
    sizes = zip(blocks, axes, strict=True)
    ends = [number * each.pool - each.size for number, each in sizes]
    edges = [(0, 0, 0), *((0, end, 0) for end in ends), (0, 0, 0)]
    padded = lax.pad(padded, jnp.zeros((), padded.dtype), edges)
    rank, (channels, *_, images) = len(axes), padded.shape
    split = padded.reshape(channels, *_alternating(blocks, axes), images)
    order = (*range(2, 2 * rank + 1, 2), 0, *range(1, 2 * rank, 2), 2 * rank + 1)
    split = split.transpose(order)  # [*pool, C, *blocks, N]
    seen = []
    for first in itertools.product(*(range(each.steps) for each in axes)):
        last = [start + each.pooled for start, each in zip(first, axes, strict=True)]
        seen.append(split[(..., *map(slice, first, last), slice(None))])
    rows = math.prod(each.steps * each.pool for each in axes) * channels
    return jnp.stack(seen).reshape(rows, -1)


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
    split = _alternating([each.steps for each in axes], axes)
    kernels = jnp.stack(shifted).reshape(-1, *split, channels, features)
    steps, pools = range(1, 2 * rank, 2), range(2, 2 * rank + 1, 2)
    kernels = kernels.transpose(0, 2 * rank + 2, *steps, *pools, 2 * rank + 1)
    return kernels.reshape(len(shifted) * features, -1)


def _alternating(steps: Sequence[int], axes: Sequence[_Axis]) -> list[int]:
    """Steps and places within them, axis by axis."""
    sizes = zip(steps, axes, strict=True)
    return [size for number, axis in sizes for size in (number, axis.pool)]


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
