"""Downsampling that keeps track of where things are: blurring first, or choosing the
grid by the image.

inputs [..., *spatial, C]. As many spatial axes as `strides` has entries; a single
integer means every axis between the first and the last, so exactly one batch axis.
"""

import itertools
import math
from collections.abc import Sequence

import jax.numpy as jnp
from jax import Array, lax
from jax.typing import ArrayLike

from cnn_jax.ops.dtypes import accumulator, output_dtype
from cnn_jax.ops.pooling.frames import (
    frame,
    slices,
    tree,
)
from cnn_jax.ops.windows import Padding, canonical

MAX_TAPS = 7


def blur_pool(
    inputs: ArrayLike,
    strides: int | Sequence[int],
    *,
    taps: int = 3,
    padding: Padding = "SAME",
) -> Array:
    """A binomial blur of every channel, then every s-th position of it.

        y[n, p, c] = Σ_w b[w] · padded[n, s·p + w, c],   b[w] = C(t − 1, w) / 2^(t − 1)

    and b is the product of its axes' taps: 1 keeps the values (plain subsampling), 2
    averages neighbors, 3 is [1, 2, 1] / 4. The padding is that of the blur at stride 1,
    so "SAME", "REFLECT", "REPLICATE" and "CIRCULAR" give ⌈size / s⌉ positions, centered
    (odd t) on every s-th pixel from the first. With "CIRCULAR" a circular shift of the
    inputs by multiples of s shifts the outputs.

    Args:
      inputs: [..., *spatial, C].
      strides: s, one integer or one per spatial axis.
      taps: t, from 1 to 7, the same for all axes.
      padding: as in `conv`; "SAME" fills with zeros.

    Returns:
      [..., *out, C] in the inputs' dtype, float32 for integers. Sums are held in at
      least float32.

    Raises:
      ValueError: taps out of range, more taps than padded positions, or the arguments
        disagree in rank.

    Reference:
      Zhang, Making convolutional networks shift-invariant again, 2019.
    """
    if taps not in range(1, MAX_TAPS + 1):
        raise ValueError(f"taps: expected an integer from 1 to {MAX_TAPS}, got {taps}")
    inputs = jnp.asarray(inputs)
    steps = _strides(inputs, strides)
    wide = inputs.astype(accumulator(inputs.dtype))
    framed = frame(wide, (taps,) * len(steps), 1, padding)
    weights = [math.comb(taps - 1, tap) / 2 ** (taps - 1) for tap in range(taps)]
    blurred = framed.padded
    for axis, stride in enumerate(steps, start=1):
        shifted = slices(blurred, axis, taps, stride)
        terms = [b * part for b, part in zip(weights, shifted, strict=True)]
        blurred = tree(jnp.add, terms)
    return framed.restore(blurred).astype(output_dtype(inputs.dtype))


def polyphase_pool(inputs: ArrayLike, strides: int | Sequence[int]) -> Array:
    """Of the grids that subsampling could keep, the one with the largest norm.

        x_a[n, p, c] = inputs[n, s·p + a, c],   a in [0, s)
        y[n] = x_a*[n],   a* = argmax_a ‖x_a[n]‖₂ over positions and channels

    One choice per image. A circular shift of the inputs only renames the grids, so the
    outputs are circularly shifted too, by ⌊(d + a*) / s⌋ for a shift of d, and bit for
    bit. Ties go to the first a in row-major order; there (norms equal up to rounding,
    as in a mirror-symmetric image) the law does not hold, as the first a after a shift
    is another grid. The gradient flows to the chosen grid only.

    Args:
      inputs: [..., *spatial, C]. Sizes must be multiples of the strides: otherwise the
        grids differ in size and a circular shift is no renaming. Pad before, if that
        law is not needed.
      strides: s, one integer or one per spatial axis.

    Returns:
      [..., *(spatial / strides), C] in the inputs' dtype.

    Raises:
      ValueError: a size is no multiple of its stride, or the arguments disagree in
        rank.

    Reference:
      Chaman and Dokmanić, Truly shift-invariant convolutional neural networks, 2021.
    """
    inputs = jnp.asarray(inputs)
    steps = _strides(inputs, strides)
    framed = frame(inputs, (1,) * len(steps), 1, "VALID")
    sizes = framed.padded.shape[1:-1]
    if any(size % step for size, step in zip(sizes, steps, strict=True)):
        raise ValueError(
            f"inputs: expected spatial sizes that are multiples of {steps}, got {sizes}"
        )
    winners = jnp.argmax(_grid_energies(framed.padded, steps), axis=1)
    chosen = framed.padded
    firsts = jnp.unravel_index(winners, steps)
    for axis, (first, step) in enumerate(zip(firsts, steps, strict=True), start=1):
        chosen = _every(chosen, axis, first, step)
    return framed.restore(chosen)


def _every(inputs: Array, axis: int, first: Array, step: int) -> Array:
    """inputs[n, first[n]::step] along an axis; first [N]."""
    size = inputs.shape[axis] // step
    # Strided slices would do too, but their gradients are slower.
    split = inputs.reshape(*inputs.shape[:axis], size, step, *inputs.shape[axis + 1 :])
    first = first.reshape(-1, *(1,) * (inputs.ndim - 1))
    chosen = lax.index_in_dim(split, 0, axis + 1, keepdims=False)
    for offset in range(1, step):
        part = lax.index_in_dim(split, offset, axis + 1, keepdims=False)
        chosen = jnp.where(first == offset, part, chosen)
    return chosen


def _grid_energies(inputs: Array, strides: tuple[int, ...]) -> Array:
    """[N, *spatial, C] -> Σ x² of every grid, [N, Π strides], row-major in its offset.

    Channels are summed first, while they lie side by side in memory, and at low rank:
    see the note in `windows.patches`.
    """
    num_images, *spatial, channels = inputs.shape
    flat = inputs.reshape(num_images, math.prod(spatial), channels)
    squares = jnp.square(flat.astype(accumulator(inputs.dtype)))
    positions = jnp.sum(squares, axis=2).reshape(num_images, *spatial)
    energies = []
    for offsets in itertools.product(*map(range, strides)):
        grid = positions
        for axis, (a, s) in enumerate(zip(offsets, strides, strict=True), start=1):
            grid = lax.slice_in_dim(grid, a, None, s, axis)
        flat_grid = grid.reshape(num_images, math.prod(grid.shape[1:]))
        energies.append(jnp.sum(flat_grid, axis=1))
    return jnp.stack(energies, axis=1)


def _strides(inputs: Array, strides: int | Sequence[int]) -> tuple[int, ...]:
    rank = len(strides) if isinstance(strides, Sequence) else inputs.ndim - 2
    if not 1 <= rank <= 3:
        raise ValueError(
            "strides: expected 1 to 3 spatial axes, one integer per axis or one for "
            f"[N, *spatial, C], got {strides!r} and inputs of shape {inputs.shape}"
        )
    return canonical(strides, rank, "strides")
