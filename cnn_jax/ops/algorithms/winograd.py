"""Winograd's minimal filtering: windows of 3 taps with fewer products.

F(m, 3) computes m neighboring outputs of a 3-tap window from n = m + 2 inputs with n
products where the definition takes 3·m. Along every axis, with the points a_i of
`_POINTS` and infinity as the last one,

    y = Aᵀ[(G·k) ⊙ (Bᵀ·x)]
    A[i, j] = a_iʲ    G[i, j] = a_iʲ / Π_{l≠i} (a_i − a_l)
    Bᵀ[i] = coefficients of Π_{l≠i} (z − a_l)

the transpose of multiplying polynomials by interpolation. m = 2 does 4/9 and m = 4
1/4 of the products of two axes. Each point is one matrix product over all tiles of the
images, and so is each transform: transforms as unrolled sums of shifted views run up to
3 times as fast where channels are few, but take 5 times as long to compile on two axes
and minutes on three. 16-bit floats are transformed and multiplied in float32.

**Error.** With u half a unit in the last place (2⁻²⁴ for float32 and 16-bit inputs), d
axes, n = m + 2 and L terms in the inner sum (C, O, or images times tiles),

    |ŷ − y| ≤ (L + 2·nᵈ + 3ᵈ) · u · κᵈ · max|left| · max Σ|right|    κ = 4 or 29⅓

for m = 2 or 4, where Σ runs over all that is summed for one output; a 16-bit result is
rounded once more. Rounding errors cancel: on normal numbers and two axes they are those
of the direct sum (.3 to 1.5 times) for m = 2, and 2 to 12 times those for m = 4.

Reference:
  Lavin and Gray, Fast algorithms for convolutional neural networks, 2016.
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import partial, reduce

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from cnn_jax.ops.algorithms import Settings, flipped_input_gradient, sum_dtype
from cnn_jax.ops.algorithms.space_to_depth import to_space
from cnn_jax.ops.windows import Pairs, pad

TAPS = 3
_POINTS = {2: (0, 1, -1), 4: (0, 1, -1, 2, -2)}


def check(name: str, window: Sequence[int], settings: Settings) -> None:
    """Raises ValueError unless F(m, 3) serves the window and the settings."""
    if not serves(window, settings):
        raise ValueError(
            f"algorithm {name!r}: expected {TAPS} taps per axis, strides 1 and no "
            f"dilation, got window {tuple(window)}, strides {settings.strides}, "
            f"input_dilation {settings.input_dilation}, "
            f"kernel_dilation {settings.kernel_dilation}"
        )


def serves(window: Sequence[int], settings: Settings) -> bool:
    """Whether F(m, 3) can compute it."""
    steps = (*settings.strides, *settings.input_dilation, *settings.kernel_dilation)
    return set(window) == {TAPS} and set(steps) == {1}


def forward(m: int, inputs: Array, kernel: Array, settings: Settings) -> Array:
    """Tiles of m outputs per axis from overlapping tiles of m + 2 inputs.

        y[tile] = Aᵀ[ Σ_c (G·k)[c, o] ⊙ (Bᵀ·x)[tile, c] ]

    Args:
      m: 2 or 4.
      inputs: [N, *spatial, C].
      kernel: [3, ..., 3, C // groups, O].
      settings: padding, groups, precision.

    Returns:
      [N, *out, O].
    """
    *window, channels, features = kernel.shape
    groups = settings.feature_group_count
    if groups > 1:
        split = inputs.reshape(*inputs.shape[:-1], groups, channels)
        kernels = kernel.reshape(*window, channels, groups, features // groups)
        dense = replace(settings, feature_group_count=1)
        run = jax.vmap(partial(forward, m, settings=dense), (-2, -2), -2)
        outputs = run(split, kernels)
        return outputs.reshape(*outputs.shape[:-2], features)
    out = settings.out(inputs.shape[1:-1], window)
    counts, rank = _counts(out, m), len(window)
    of_inputs, of_window, of_outputs = (_all_axes(each, rank) for each in matrices(m))
    tiles = _product(of_inputs, _tiles(inputs, counts, m + 2, m, settings.pairs))
    taps = kernel.astype(tiles.dtype).reshape(-1, channels, features)
    products = _pointwise(tiles, _product(of_window, taps), settings)
    outputs = _product(of_outputs.T, products)
    outputs = outputs.reshape(m**rank, len(inputs), *counts, features)
    joined = jnp.moveaxis(outputs, 0, -2)
    joined = joined.reshape(len(inputs), *counts, m**rank * features)
    kept = to_space(joined, (m,) * rank)[(slice(None), *map(slice, out))]
    return kept.astype(settings.output_dtype(inputs))


def input_gradient(
    m: int, cotangent: Array, kernel: Array, settings: Settings, spatial: Sequence[int]
) -> Array:
    """The same transform of the cotangent, with the kernel flipped.

    Args:
      m: 2 or 4.
      cotangent: [N, *out, O].
      kernel: [3, ..., 3, C // groups, O].
      settings: padding, groups, precision.
      spatial: sizes of the inputs.

    Returns:
      [N, *spatial, C].
    """
    flipped = flipped_input_gradient(partial(forward, m))
    return flipped(cotangent, kernel, settings, spatial)


def kernel_gradient(
    m: int, inputs: Array, cotangent: Array, settings: Settings, window: Sequence[int]
) -> Array:
    """F(3, m), the same products with the parts of kernel and outputs exchanged.

        k̄ = Gᵀ[ Σ_tile (Bᵀ·x)[tile, c] ⊙ (A·ȳ)[tile, o] ]

    Args:
      m: 2 or 4.
      inputs: [N, *spatial, C].
      cotangent: [N, *out, O].
      settings: padding, groups, precision.
      window: 3 per axis.

    Returns:
      [3, ..., 3, C // groups, O].
    """
    groups, features = settings.feature_group_count, cotangent.shape[-1]
    if groups > 1:
        dense = replace(settings, feature_group_count=1)
        one = partial(kernel_gradient, m, settings=dense, window=window)
        arrays = (inputs, cotangent)
        split = (each.reshape(*each.shape[:-1], groups, -1) for each in arrays)
        gradients = jax.vmap(one, (-2, -2), -2)(*split)
        return gradients.reshape(*gradients.shape[:-2], features)
    counts, rank = _counts(cotangent.shape[1:-1], m), len(window)
    of_inputs, of_window, of_outputs = (_all_axes(each, rank) for each in matrices(m))
    tiles = _product(of_inputs, _tiles(inputs, counts, m + 2, m, settings.pairs))
    slopes = _tiles(cotangent, counts, m, m, ((0, 0),) * rank)
    slopes = _product(of_outputs, slopes)
    products = _pointwise(tiles.swapaxes(1, 2), slopes, settings)
    gradient = _product(of_window.T, products)
    return gradient.reshape(*window, -1, features).astype(cotangent.dtype)


def matrices(m: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Bᵀ [n, n], G [n, 3] and A [n, m] of F(m, 3), exact but for G's thirds."""
    points = np.array(_POINTS[m], float)
    others = [np.delete(points, i) for i in range(len(points))]
    # Without the point a_i a polynomial has one root, and one coefficient, less.
    of_inputs = [[*np.poly(roots)[::-1], 0.0] for roots in others]
    of_inputs.append([*np.poly(points)[::-1]])
    scales = [np.prod(a - roots) for a, roots in zip(points, others, strict=True)]
    of_window = np.vander(points, TAPS, increasing=True) / np.array(scales)[:, None]
    of_outputs = np.vander(points, m, increasing=True)
    at_infinity = [np.eye(size)[-1:] for size in (TAPS, m)]
    return (
        np.array(of_inputs),
        np.concatenate([of_window, at_infinity[0]]),
        np.concatenate([of_outputs, at_infinity[1]]),
    )


def _counts(out: Sequence[int], m: int) -> list[int]:
    """Tiles of m outputs per axis."""
    return [-(-size // m) for size in out]


def _tiles(
    array: Array, counts: Sequence[int], size: int, m: int, pairs: Pairs
) -> Array:
    """[N, *spatial, C] to [sizeᵈ, N · tiles, C]: tiles that begin m apart."""
    rank, overlap = len(counts), size - m
    blocks = [count + (overlap > 0) for count in counts]
    axes = zip(array.shape[1:-1], blocks, pairs, strict=True)
    filled = tuple((low, m * b - n - low) for n, b, (low, _) in axes)
    tiles = pad(array, filled, "zeros").astype(sum_dtype(array.dtype))
    for i, (count, block) in enumerate(zip(counts, blocks, strict=True)):
        axis = 2 * i + 1
        tiles = tiles.reshape(*tiles.shape[:axis], block, m, *tiles.shape[axis + 1 :])
        own = lax.slice_in_dim(tiles, 0, count, axis=axis)
        if overlap:
            following = lax.slice_in_dim(tiles, 1, block, axis=axis)
            shared = lax.slice_in_dim(following, 0, overlap, axis=axis + 1)
            own = jnp.concatenate([own, shared], axis + 1)
        tiles = own
    first = jnp.moveaxis(tiles, range(2, 2 * rank + 1, 2), range(rank))
    return first.reshape(size**rank, len(array) * math.prod(counts), array.shape[-1])


def _all_axes(matrix: np.ndarray, rank: int) -> np.ndarray:
    """The matrix that acts on every one of the axes."""
    return reduce(np.kron, [matrix] * rank)


def _product(matrix: np.ndarray, array: Array) -> Array:
    """[P, Q] times [Q, rows, columns]: [P, rows, columns]."""
    product = jnp.matmul(
        jnp.asarray(matrix, array.dtype),
        array.reshape(len(array), -1),
        precision=lax.Precision.HIGHEST,
    )
    return product.reshape(len(matrix), *array.shape[1:])


def _pointwise(left: Array, right: Array, settings: Settings) -> Array:
    """One matrix product per point: [P, rows, L] and [P, L, columns]."""
    product = partial(jnp.matmul, precision=settings.precision)
    # One batched product is up to twice as slow on a CPU.
    return lax.map(lambda pair: product(*pair), (left, right))
