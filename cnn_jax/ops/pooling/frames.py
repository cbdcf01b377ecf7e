"""What all pools over windows share: the padded inputs and the folding of windows.

Shape letters as in `windows`: inputs [N, *spatial, C], N any number of leading axes.
"""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax.numpy as jnp
from jax import Array, lax
from jax.typing import ArrayLike

from cnn_jax.ops.windows import (
    Padding,
    canonical,
    output_size,
    pad,
    resolve_padding,
    span,
)


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


def tree(operation: Callable[[Array, Array], Array], terms: list[Array]) -> Array:
    """Neighbors combined in pairs, the results in pairs again, down to one."""
    while len(terms) > 1:
        pairs = [
            operation(*pair) for pair in zip(terms[::2], terms[1::2], strict=False)
        ]
        terms = pairs + terms[len(terms) - len(terms) % 2 :]
    return terms[0]


def fold(
    operation: Callable[[Array, Array], Array],
    inputs: Array,
    window: Sequence[int],
    strides: Sequence[int],
) -> Array:
    """Each window reduced by an associative and commutative operation.

    One axis at a time, and large windows in stages: k_h + k_w slices or fewer do for
    k_h·k_w elements. The gradient of a strided slice is a padding with zeros, which
    XLA fuses with the rest; its own gradient of a window maximum (select-and-scatter)
    is several times slower on CPU.

    Args:
      inputs: [N, *spatial, C], padded.
      window: sizes.
      strides: distance between windows.

    Returns:
      [N, *out, C].
    """
    for axis, (k, s) in enumerate(zip(window, strides, strict=True), start=1):
        only_one = inputs.shape[axis] - k < min(k, s)
        for size, stride in _stages(k, k if only_one else s):
            inputs = tree(operation, slices(inputs, axis, size, stride))
    return inputs


def _stages(window: int, stride: int) -> list[tuple[int, int]]:
    """Small windows and strides whose composition is the given one.

    A prime factor f of both is a stage (f, f) of its own: (28, 28) is (2, 2), (2, 2),
    (7, 7), eleven slices of shrinking arrays for 28. (3, 2) stays as it is.
    """
    stages = []
    while (common := math.gcd(window, stride)) > 1:
        factor = next(f for f in range(2, common + 1) if common % f == 0)
        stages.append((factor, factor))
        window, stride = window // factor, stride // factor
    return [*stages, (window, stride)] if (window, stride) != (1, 1) else stages
