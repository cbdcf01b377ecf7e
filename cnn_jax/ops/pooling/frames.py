"""What all pools over windows share: the padded inputs and the folding of windows.

Shape letters as in `windows`: inputs [N, *spatial, C], N any number of leading axes.
"""

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple, TypeVar

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.typing import ArrayLike

from cnn_jax.ops.dtypes import accumulator
from cnn_jax.ops.windows import (
    Padding,
    canonical,
    output_size,
    pad,
    resolve_padding,
    span,
)

# One array, or several of the same spatial sizes that are reduced together.
Terms = TypeVar("Terms")


class Frame(NamedTuple):
    """Inputs made ready for windows.

    Attributes:
      padded: [N, *spatial, C] with exactly one batch axis.
      window: sizes of the window.
      strides: distance between windows.
      pairs: (low, high) padding per axis, already part of `padded`.
      mode: how it was filled, as `windows.resolve_padding` names it.
      batch_shape: the leading axes that N stands for.
    """

    padded: Array
    window: tuple[int, ...]
    strides: tuple[int, ...]
    pairs: tuple[tuple[int, int], ...]
    mode: str
    batch_shape: tuple[int, ...]

    def restore(self, outputs: Array) -> Array:
        """[N, *out, C] with the leading axes of the inputs."""
        return outputs.reshape(*self.batch_shape, *outputs.shape[1:])


def frame(
    inputs: ArrayLike,
    window_shape: Sequence[int],
    strides: int | Sequence[int] | None,
    padding: Padding,
    fill_value: ArrayLike = 0,
) -> Frame:
    """Checks the arguments of a pool, merges the batch axes and pads.

    Raises:
      ValueError: not 1 to 3 window sizes, an entry below 1, too few axes, a window
        larger than the padded inputs, or an unknown padding.
    """
    inputs = jnp.asarray(inputs)
    if not isinstance(window_shape, Sequence) or not 1 <= len(window_shape) <= 3:
        raise ValueError(
            "window_shape: expected 1 to 3 integers, one per spatial axis, "
            f"got {window_shape!r}"
        )
    rank = len(window_shape)
    window = canonical(window_shape, rank, "window_shape")
    steps = canonical(1 if strides is None else strides, rank, "strides")
    if inputs.ndim <= rank:
        raise ValueError(
            f"inputs: expected [..., {rank} spatial axes, C] for {rank} window sizes, "
            f"got shape {inputs.shape}"
        )
    batch_shape, image_shape = inputs.shape[: -rank - 1], inputs.shape[-rank - 1 :]
    merged = inputs.reshape(math.prod(batch_shape), *image_shape)
    mode, pairs = resolve_padding(padding, image_shape[:-1], window, steps, (1,) * rank)
    axes = zip(image_shape[:-1], window, steps, pairs, strict=True)
    out = [output_size(size, k, s, 1, *pair) for size, k, s, pair in axes]
    padded = pad(merged, pairs, mode, fill_value)
    for axis, num_windows in enumerate(out, start=1):
        if num_windows == 0:
            padded = lax.slice_in_dim(padded, 0, 0, axis=axis)
    return Frame(padded, window, steps, pairs, mode, batch_shape)


def slices(inputs: Array, axis: int, window: int, stride: int) -> list[Array]:
    """Entry j is every window's j-th element along one axis: inputs[s·i + j]."""
    out = output_size(inputs.shape[axis], window, stride, 1, 0, 0)
    if out == 0:
        return [lax.slice_in_dim(inputs, 0, 0, axis=axis)] * window
    reach = span(out, stride)
    return [
        lax.slice_in_dim(inputs, start, start + reach, stride, axis)
        for start in range(window)
    ]


def elements(inputs: Array, window: Sequence[int], strides: Sequence[int]) -> list:
    """Entry j is every window's j-th element, row-major: Π k arrays [N, *out, C]."""
    parts = [inputs]
    for axis, (k, s) in enumerate(zip(window, strides, strict=True), start=1):
        parts = [piece for part in parts for piece in slices(part, axis, k, s)]
    return parts


def limit(dtype: jnp.dtype, which: str) -> float | int:
    """The "min" or "max" end of a dtype's range: what never wins the other way."""
    if jnp.issubdtype(dtype, jnp.floating):
        return -math.inf if which == "min" else math.inf
    if dtype == jnp.bool_:
        return which == "max"
    return getattr(jnp.iinfo(dtype), which)


@partial(jax.custom_jvp, nondiff_argnums=(1,))
def largest(inputs: Array, axis: int) -> Array:
    """jnp.max along one axis; equal maxima share the gradient, and a NaN has none.

    jnp.max looks for inputs equal to the maximum. Where a compiler computes the inputs
    once for either, rounding may differ and none is: then it is the place of the first.
    """
    return jnp.max(inputs, axis)


@largest.defjvp
def _largest_jvp(axis: int, primals, tangents):
    (inputs,), (tangent,) = primals, tangents
    outputs = largest(inputs, axis)
    place = jnp.expand_dims(jnp.argmax(inputs, axis), axis)
    first = place == lax.broadcasted_iota(place.dtype, inputs.shape, axis)
    ours = (inputs == jnp.expand_dims(outputs, axis)) | first
    # Counted in a wide type: float16 ends at 65,504 equal ones.
    number = jnp.sum(ours, axis, dtype=accumulator(inputs.dtype))
    total = jnp.sum(jnp.where(ours, tangent, 0), axis)
    moved = (total.astype(number.dtype) / number).astype(inputs.dtype)
    return outputs, jnp.where(outputs == outputs, moved, 0)


def tree(operation: Callable[[Terms, Terms], Terms], terms: list[Terms]) -> Terms:
    """Neighbors combined in pairs, the results in pairs again, down to one."""
    while len(terms) > 1:
        pairs = [
            operation(*pair) for pair in zip(terms[::2], terms[1::2], strict=False)
        ]
        terms = pairs + terms[len(terms) - len(terms) % 2 :]
    return terms[0]


def fold(
    operation: Callable[[Terms, Terms], Terms],
    inputs: Terms,
    window: Sequence[int],
    strides: Sequence[int],
) -> Terms:
    """Each window reduced by an associative and commutative operation.

    Args:
      inputs: [N, *spatial, C], padded; or a pytree of such arrays with the same
        spatial sizes, which the operation combines together.
      window: sizes.
      strides: distance between windows.

    Returns:
      [N, *out, C], or a pytree of them.
    """
    leaves, structure = jax.tree.flatten(inputs)
    for axis, size, stride in stages(leaves[0].shape, window, strides):
        shifted = [slices(leaf, axis, size, stride) for leaf in leaves]
        terms = [structure.unflatten(parts) for parts in zip(*shifted, strict=True)]
        leaves = jax.tree.leaves(tree(operation, terms))
    return structure.unflatten(leaves)


def stages(
    shape: Sequence[int], window: Sequence[int], strides: Sequence[int]
) -> list[tuple[int, int, int]]:
    """(axis, window, stride) of steps along one axis each that make up the windows.

    One axis at a time, and large windows in stages: k_h + k_w slices or fewer do for
    k_h·k_w elements. A prime factor f of window and stride is a stage (f, f) of its
    own: (28, 28) is (2, 2), (2, 2), (7, 7), eleven slices of shrinking arrays for 28;
    (3, 2) stays as it is.
    """
    steps = []
    for axis, (k, s) in enumerate(zip(window, strides, strict=True), start=1):
        only_one = shape[axis] - k < min(k, s)
        size, stride = k, k if only_one else s
        while (common := math.gcd(size, stride)) > 1:
            factor = next(f for f in range(2, common + 1) if common % f == 0)
            steps.append((axis, factor, factor))
            size, stride = size // factor, stride // factor
        if (size, stride) != (1, 1):
            steps.append((axis, size, stride))
    return steps
