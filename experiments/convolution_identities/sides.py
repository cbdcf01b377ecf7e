"""Both sides of what is stated about convolution.

Layout and shape letters: inputs [N, *spatial, C], kernel [*window, C, O], outputs
[N, *out, O]. Every function returns (left, right), two arrays of one shape that are
equal up to rounding where the statement holds. The convolutions are XLA's own
("direct"): what is tested is the identity, not an algorithm.
"""

import functools
import itertools
import math
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from cnn_jax.ops import (
    conv,
    convolve,
    dense_as_conv,
    locally_connected,
    output_size,
    patches,
    separable_conv,
    tiled_conv,
)

Sides = tuple[jax.Array, jax.Array]
Pairs = Sequence[tuple[int, int]]

direct_conv = functools.partial(conv, algorithm="direct")
direct_convolve = functools.partial(convolve, algorithm="direct")


def swapped_sides(operation: Callable, image: jax.Array, kernel: jax.Array) -> Sides:
    """Which of the two is the kernel: a * b and b * a, padding FULL.

    Args:
      operation: `direct_conv` or `direct_convolve`.
      image: [*spatial], one channel.
      kernel: [*window].
    """

    def apply(inputs: jax.Array, kernel: jax.Array) -> jax.Array:
        kernel = kernel[..., None, None]
        return operation(inputs[None, ..., None], kernel, padding="FULL")

    return apply(image, kernel), apply(kernel, image)


def order_sides(
    inputs: jax.Array, first: jax.Array, second: jax.Array, groups: int = 1
) -> Sides:
    """Two layers in both orders: b * (a * x) and a * (b * x), padding FULL."""

    def apply(*kernels: jax.Array) -> jax.Array:
        outputs = inputs
        for kernel in kernels:
            outputs = direct_convolve(
                outputs, kernel, padding="FULL", feature_group_count=groups
            )
        return outputs

    return apply(first, second), apply(second, first)


def dense_matrix(
    kernel: jax.Array, spatial: Sequence[int], stride: int, pairs: Pairs, dilation: int
) -> jax.Array:
    """The matrix of a one-channel convolution, entry by entry from its kernel.

        M[p, i] = k[w]  where i = s·p + d·w − low, else 0

    Args:
      kernel: [*window].
      spatial: sizes of the inputs.
      stride: s, on every axis.
      pairs: zeros (low, high) on every axis.
      dilation: d, on every axis.

    Returns:
      [prod(out), prod(spatial)].
    """
    axes = list(zip(spatial, kernel.shape, pairs, strict=True))
    out = [output_size(n, k, stride, dilation, *pair) for n, k, pair in axes]
    rows, columns, taps = [], [], []
    windows = itertools.product(*map(range, kernel.shape))
    for tap, window in enumerate(windows):
        for row, position in enumerate(itertools.product(*map(range, out))):
            place = [
                stride * p + dilation * w - low
                for p, w, (low, _) in zip(position, window, pairs, strict=True)
            ]
            if all(0 <= i < n for i, n in zip(place, spatial, strict=True)):
                rows.append(row)
                columns.append(int(np.ravel_multi_index(place, spatial)))
                taps.append(tap)
    matrix = jnp.zeros((math.prod(out), math.prod(spatial)), kernel.dtype)
    values = kernel.ravel()[np.asarray(taps)]
    return matrix.at[np.asarray(rows), np.asarray(columns)].set(values)


def matrix_sides(
    inputs: jax.Array, kernel: jax.Array, stride: int, pairs: Pairs, dilation: int
) -> Sides:
    """A one-channel convolution, and the dense layer of `dense_matrix`.

    Args:
      inputs: [N, *spatial, 1].
      kernel: [*window].
      stride, pairs, dilation: as in `dense_matrix`.
    """
    outputs = direct_conv(
        inputs,
        kernel[..., None, None],
        strides=stride,
        padding=pairs,
        kernel_dilation=dilation,
    )
    matrix = dense_matrix(kernel, inputs.shape[1:-1], stride, pairs, dilation)
    dense = inputs.reshape(len(inputs), -1) @ matrix.T
    return outputs, dense.reshape(outputs.shape)


def sliding_sides(
    images: jax.Array, kernel: jax.Array, dense: jax.Array, size: int
) -> Sides:
    """A net made convolutional, on larger images; and the net on each of their crops.

    The net is a valid convolution, ReLU, flatten, dense. At `size` the images have one
    crop, themselves.

    Args:
      images: [N, H, H, C] with H >= size.
      kernel: [k, k, C, F].
      dense: [(size - k + 1)² · F, features].
      size: edge of the images that the net was made for.
    """

    def maps(images: jax.Array) -> jax.Array:
        return jax.nn.relu(direct_conv(images, kernel, padding="VALID"))

    edge = size - len(kernel) + 1
    outputs = direct_conv(
        maps(images), dense_as_conv(dense, (edge, edge)), padding="VALID"
    )
    crops = patches(images, (size, size))  # [N, *positions, size, size, C]
    flat = maps(crops.reshape(-1, *crops.shape[-3:]))
    return outputs, (flat.reshape(len(flat), -1) @ dense).reshape(outputs.shape)


def strided_sides(
    inputs: jax.Array, kernel: jax.Array, stride: int, padding: int | str
) -> Sides:
    """Stride s; and stride 1 of which every s-th output of each axis is kept."""
    apply = functools.partial(direct_conv, inputs, kernel, padding=padding)
    kept = (slice(None), *[slice(None, None, stride)] * (inputs.ndim - 2))
    return apply(strides=stride), apply()[kept]


def one_tile_sides(inputs: jax.Array, kernel: jax.Array) -> Sides:
    """A tiled convolution of one tile, and a convolution; circular."""
    tiles = kernel.reshape(*[1] * (inputs.ndim - 2), *kernel.shape)
    left = tiled_conv(inputs, tiles, padding="CIRCULAR")
    return left, direct_conv(inputs, kernel, padding="CIRCULAR")


def all_tiles_sides(inputs: jax.Array, kernel: jax.Array) -> Sides:
    """As many tiles as positions, and a locally connected layer; circular.

    Args:
      inputs: [N, *spatial, C].
      kernel: [*spatial, *window, C, O].
    """
    rank = inputs.ndim - 2
    *window, channels, features = kernel.shape[rank:]
    # In locally_connected the channel varies slowest.
    unshared = jnp.moveaxis(kernel, -2, rank).reshape(
        *kernel.shape[:rank], channels * math.prod(window), features
    )
    right = locally_connected(inputs, unshared, window_shape=window, padding="CIRCULAR")
    return tiled_conv(inputs, kernel, padding="CIRCULAR"), right


def grouped_sides(inputs: jax.Array, kernel: jax.Array, groups: int) -> Sides:
    """Groups of channels; and one group whose kernel is block diagonal.

    Args:
      inputs: [N, *spatial, C].
      kernel: [*window, C // groups, O].
      groups: a divisor of C and O.
    """
    blocks = jnp.split(kernel, groups, axis=-1)
    width, features = blocks[0].shape[-2:]
    diagonal = jnp.concatenate(
        [
            jnp.pad(
                block,
                [(0, 0)] * (kernel.ndim - 2)
                + [(group * width, (groups - 1 - group) * width), (0, 0)],
            )
            for group, block in enumerate(blocks)
        ],
        axis=-1,
    )
    assert diagonal.shape[-2:] == (groups * width, groups * features)
    left = direct_conv(inputs, kernel, feature_group_count=groups)
    return left, direct_conv(inputs, diagonal)


def separable_sides(
    inputs: jax.Array, depthwise: jax.Array, pointwise: jax.Array
) -> Sides:
    """Two small steps; and one convolution whose kernel is their product.

    Args:
      inputs: [N, *spatial, C].
      depthwise: [*window, 1, C].
      pointwise: [1, ..., C, O].
    """
    product = jnp.swapaxes(depthwise, -1, -2) * pointwise
    left = separable_conv(inputs, depthwise, pointwise, algorithm="direct")
    return left, direct_conv(inputs, product)


def fourier_sides(inputs: jax.Array, kernel: jax.Array, padding: str) -> Sides:
    """A true convolution; and a product of Fourier transforms.

    Args:
      inputs: [N, H, W, C].
      kernel: [h, w, C, O].
      padding: "CIRCULAR", or "FULL": zeros.
    """
    left = direct_convolve(inputs, kernel, padding=padding)
    size, window = inputs.shape[1:3], kernel.shape[:2]
    if padding == "FULL":
        size = tuple(n + k - 1 for n, k in zip(size, window, strict=True))
    images = jnp.fft.fft2(inputs, size, axes=(1, 2))
    product = jnp.einsum(
        "nhwc,hwco->nhwo", images, jnp.fft.fft2(kernel, size, axes=(0, 1))
    )
    outputs = jnp.fft.ifft2(product, axes=(1, 2)).real
    if padding == "CIRCULAR":  # which is centered: ⌊k / 2⌋ of the kernel lie behind
        back = [-(k // 2) for k in window]
        outputs = jnp.roll(outputs, back, (1, 2))
    return left, outputs


def note_matrix(image: jax.Array, window: Sequence[int]) -> jax.Array:
    """im2col as the note draws it: every window becomes a column, left to right.

    Args:
      image: [H, W].
      window: (h, w).

    Returns:
      [h·w, number of windows].
    """
    windows = patches(image[None, ..., None], window)  # [1, *out, *window, 1]
    return windows.reshape(-1, math.prod(window)).T


def im2col_sides(image: jax.Array, kernel: jax.Array) -> Sides:
    """The kernel as a row times `note_matrix`; and the convolution, both as a row."""
    row = kernel.reshape(1, -1) @ note_matrix(image, kernel.shape)
    inputs = image[None, ..., None]
    outputs = direct_conv(inputs, kernel[..., None, None], padding="VALID")
    return row, outputs.reshape(1, -1)


def activation_sides(activation: Callable, pool: Callable, inputs: jax.Array) -> Sides:
    """Activation after pooling, as in LeNet; and before it. Windows are 2 x 2."""
    apply = functools.partial(pool, window_shape=(2, 2), strides=(2, 2))
    return activation(apply(inputs)), apply(activation(inputs))


def impulses(shape: Sequence[int]) -> jax.Array:
    """A basis: [prod(shape), *shape], one 1 each."""
    size = math.prod(shape)
    return jnp.eye(size).reshape(size, *shape)


def layer_matrix(layer: Callable, shape: Sequence[int]) -> jax.Array:
    """The matrix of a linear layer, from its impulse responses.

    Args:
      layer: [N, *shape] -> [N, *out, O].
      shape: (*spatial, C).

    Returns:
      [prod(out) · O, prod(shape)].
    """
    responses = layer(impulses(shape))
    return responses.reshape(len(responses), -1).T
