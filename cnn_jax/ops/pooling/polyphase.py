"""Downsampling that chooses its grid by the image, so that no shift can change it."""

import math
from collections.abc import Sequence
from functools import partial

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.typing import ArrayLike

from cnn_jax.ops.dtypes import accumulator
from cnn_jax.ops.meshes import zeros_beside
from cnn_jax.ops.pooling.antialiased import spatial_strides
from cnn_jax.ops.pooling.frames import frame
from cnn_jax.ops.pooling.norms import scale_of
from cnn_jax.ops.windows import pad

# An odd number, whose multiples are all different modulo 2^32.
_ODD = 0x9E3779B1


def polyphase_pool(inputs: ArrayLike, strides: int | Sequence[int]) -> Array:
    """Of the grids that subsampling could keep, the one with the largest norm.

        x_a[n, p, c] = inputs[n, s·p + a, c],   a in [0, s)
        y[n] = x_a*[n],   a* = argmax_a ‖x_a[n]‖₂ over positions and channels

    One choice per image. Where the strides divide the sizes, a circular shift of the
    inputs by d only renames and shifts the grids, so the outputs are circularly shifted
    too, by ⌊(d + a*) / s⌋, bit for bit, and always: norms are compared in whole
    numbers,

        ‖x_a‖² ~ Σ ⌊2^b · (x_a / m)²⌋,   m = max |inputs[n]|,   2^b · P·C < 2^31

    (P positions of a grid), which no order of summation changes; equal ones by the
    largest hash of a rotation of the grid, which only its contents change. Grids that
    tie in both are rotations of each other, but for one pair in 2^31 of different
    ones; which of them is taken then shows only in where the outputs begin.

    Other sizes are extended by zeros at the end to the next multiple. Then the law
    holds for the extended image: for shifts that push nothing but zeros over the
    border, not for circular ones of the inputs.

    The gradient flows to the chosen grid only. Of an image with infinities or NaN the
    grid is chosen in the same way, but it need not be the one of the largest norm.

    Args:
      inputs: [..., *spatial, C].
      strides: s, one integer or one per spatial axis.

    Returns:
      [..., *⌈spatial / strides⌉, C] in the inputs' dtype.

    Raises:
      ValueError: the arguments disagree in rank, or a stride is below 1.

    Reference:
      Chaman and Dokmanić, Truly shift-invariant convolutional neural networks, 2021.
    """
    inputs = jnp.asarray(inputs)
    steps = spatial_strides(inputs, strides)
    framed = frame(inputs, (1,) * len(steps), 1, "VALID")
    sizes = framed.padded.shape[1:-1]
    pairs = tuple((0, -size % step) for size, step in zip(sizes, steps, strict=True))
    chosen = pad(framed.padded, pairs, "zeros")
    if math.prod(steps) == 1 or 0 in chosen.shape:
        return framed.restore(_every(chosen, steps, [0] * len(steps)))
    firsts = jnp.unravel_index(_winners(lax.stop_gradient(chosen), steps), steps)
    return framed.restore(_every(chosen, steps, firsts))


def _every(
    inputs: Array, strides: Sequence[int], firsts: Sequence[Array | int]
) -> Array:
    """inputs[n, first[n]::step] along every axis; each of firsts [N], or one number."""
    chosen = inputs
    for axis, (first, step) in enumerate(zip(firsts, strides, strict=True), start=1):
        # Strided slices would do too, but their gradients are slower.
        before, (size, *after) = chosen.shape[:axis], chosen.shape[axis:]
        split = chosen.reshape(*before, size // step, step, *after)
        column = jnp.asarray(first).reshape(-1, *(1,) * (inputs.ndim - 1))
        chosen = lax.index_in_dim(split, 0, axis + 1, keepdims=False)
        for offset in range(1, step):
            part = lax.index_in_dim(split, offset, axis + 1, keepdims=False)
            chosen = jnp.where(column == offset, part, chosen)
    return chosen


# Compiled as a whole where nothing else is: its many small steps would take seconds.
@partial(jax.jit, static_argnums=1, inline=True)
def _winners(inputs: Array, strides: tuple[int, ...]) -> Array:
    """[N, *spatial, C] -> a* of every image, [N], row-major in its offset."""
    scores = _energies(inputs, strides)
    leading = scores == jnp.max(scores, axis=1, keepdims=True)
    tied = jnp.any(jnp.sum(leading, axis=1, dtype=jnp.int32) > 1)

    def hashes() -> Array:
        return jnp.max(_grids(_rotation_hashes(inputs, strides), strides), axis=2)

    def nothing() -> Array:
        return zeros_beside(inputs, scores.shape, jnp.uint32)

    found = lax.cond(tied, hashes, nothing)
    # Of hashes from 0 to 2^32 − 1 those of the leaders are looked at alone.
    return jnp.argmax(jnp.where(leading, found | jnp.uint32(1), 0), axis=1)


def _energies(inputs: Array, strides: tuple[int, ...]) -> Array:
    """Σ ⌊2^b · (x / m)²⌋ of every grid, int32 [N, Π strides], row-major."""
    terms = math.prod(inputs.shape[1:]) // math.prod(strides)
    levels = 2.0 ** (30 - math.ceil(math.log2(terms)))
    wide = inputs.astype(accumulator(inputs.dtype))
    axes = tuple(range(1, inputs.ndim - 1))
    largest = jnp.max(jnp.max(abs(wide), axis=axes), axis=1)
    scale = scale_of(largest.reshape(-1, *(1,) * (inputs.ndim - 1)))
    energies = (jnp.square(scale.divide(wide)) * levels).astype(jnp.int32)
    return jnp.sum(_grids(_sum_channels(energies), strides), axis=2, dtype=jnp.int32)


def _sum_channels(values: Array) -> Array:
    """Σ_c of whole numbers, [N, *spatial].

    Halves are added while that can be done, as XLA sums neighbors one by one on CPUs.
    """
    for _ in range(3):
        if values.shape[-1] % 2 == 0:
            first, second = jnp.split(values, 2, axis=-1)
            values = first + second
    return jnp.sum(values, axis=-1, dtype=values.dtype)


def _rotation_hashes(inputs: Array, strides: tuple[int, ...]) -> Array:
    """Of every pixel, the hash of its grid read from there on, uint32 [N, *spatial].

    First of the pixel's bits, then of twice as many neighbors in the grid each round.
    """
    words = _words(inputs)
    channels = jnp.arange(words.shape[-1], dtype=jnp.uint32) * jnp.uint32(_ODD)
    seeded = words + channels.reshape((1,) * (words.ndim - 1) + channels.shape)
    hashes = _sum_channels(_mix(seeded))
    for axis, stride in enumerate(strides, start=1):
        rounds = math.ceil(math.log2(hashes.shape[axis] // stride))
        # A loop, as XLA would compute the rounds before anew for each use of them.
        hashes = lax.fori_loop(0, rounds, partial(_double, axis, stride), hashes)
    return hashes


def _double(axis: int, stride: int, done: int, hashes: Array) -> Array:
    """Joins each hash with the one 2^done positions of the grid ahead, around."""
    size = hashes.shape[axis]
    twice = jnp.concatenate([hashes, hashes], axis=axis)
    ahead = lax.dynamic_slice_in_dim(twice, stride << done, size, axis)
    return _mix(hashes + jnp.uint32(_ODD) * ahead)


def _words(inputs: Array) -> Array:
    """The bits of every value, uint32 [N, *spatial, C or more]."""
    if inputs.dtype == jnp.bool_:
        return inputs.astype(jnp.uint32)
    size = inputs.dtype.itemsize
    if size < 4:
        narrow = {1: jnp.uint8, 2: jnp.uint16}[size]
        return lax.bitcast_convert_type(inputs, narrow).astype(jnp.uint32)
    words = lax.bitcast_convert_type(inputs, jnp.uint32)
    return words if size == 4 else words.reshape(*inputs.shape[:-1], -1)


def _mix(words: Array) -> Array:
    """A bijection of 32-bit words whose output bits depend on all input bits."""
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):
        words = (words ^ (words >> jnp.uint32(shift))) * jnp.uint32(factor)
    return words ^ (words >> jnp.uint32(16))


def _grids(pixels: Array, strides: tuple[int, ...]) -> Array:
    """[N, *spatial] -> [N, Π strides, positions of a grid]."""
    num_images, *spatial = pixels.shape
    split = [num_images]
    for size, stride in zip(spatial, strides, strict=True):
        split += [size // stride, stride]
    offsets, places = range(2, len(split), 2), range(1, len(split), 2)
    grids = pixels.reshape(split).transpose(0, *offsets, *places)
    return grids.reshape(num_images, math.prod(strides), -1)
