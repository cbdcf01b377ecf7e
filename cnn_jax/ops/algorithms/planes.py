"""Convolution of volumes as a sum of convolutions of planes, one per tap of the depth.

XLA's CPU backend computes a convolution of three spatial axes several times slower than
the convolutions of planes that it consists of. Volumes only, without groups.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from types import ModuleType

import jax.numpy as jnp
from jax import Array

from cnn_jax.ops.algorithms import (
    Settings,
    flipped_input_gradient,
    pointwise,
    sum_dtype,
    tall,
)
from cnn_jax.ops.windows import dilate, pad, span


def forward(inputs: Array, kernel: Array, settings: Settings) -> Array:
    """One convolution of planes per tap of the depth, summed.

        y[n, p] = Σ_t plane(x[n, s·p + d·t − low], k[t])

    where p and t run along the depth and plane is the convolution of two planes.

    16-bit floats are summed in float32.

    Args:
      inputs: [N, depth, height, width, C].
      kernel: [*window, C, O].
      settings: strides, padding, dilations, precision.

    Returns:
      [N, *out, O].
    """
    *window, _, features = kernel.shape
    out = settings.out(inputs.shape[1:-1], window)
    dtype = settings.output_dtype(inputs)
    planar = replace(_planar(settings), preferred_element_type=sum_dtype(dtype))
    algorithm = _algorithm(window, planar)
    slabs = _slabs(inputs, settings, window[0], out[0])
    parts = zip(slabs, kernel, strict=True)
    total = sum(algorithm.forward(_stack(slab), taps, planar) for slab, taps in parts)
    return jnp.asarray(total, dtype).reshape(len(inputs), *out, features)


input_gradient = flipped_input_gradient(forward)


def kernel_gradient(
    inputs: Array, cotangent: Array, settings: Settings, window: Sequence[int]
) -> Array:
    """One kernel gradient of planes per tap of the depth.

    Args:
      inputs: [N, depth, height, width, C].
      cotangent: [N, *out, O].
      settings: strides, padding, kernel dilation, precision.
      window: sizes of the kernel.

    Returns:
      [*window, C, O].
    """
    planar, slopes = _planar(settings), _stack(cotangent)
    algorithm = _algorithm(window, planar)
    slabs = _slabs(inputs, settings, window[0], cotangent.shape[1])
    return jnp.stack(
        [
            algorithm.kernel_gradient(_stack(slab), slopes, planar, window[1:])
            for slab in slabs
        ]
    )


def _planar(settings: Settings) -> Settings:
    """Without the depth."""
    return replace(
        settings,
        strides=settings.strides[1:],
        pairs=settings.pairs[1:],
        input_dilation=settings.input_dilation[1:],
        kernel_dilation=settings.kernel_dilation[1:],
    )


def _algorithm(window: Sequence[int], planar: Settings) -> ModuleType:
    """Of planes: a kernel of one pixel multiplies matrices."""
    is_pixel = max(window[1:]) == 1 and max(planar.input_dilation) == 1
    return pointwise if is_pixel else tall


def _slabs(inputs: Array, settings: Settings, taps: int, out: int) -> Iterator[Array]:
    """The planes that each tap of the depth meets: [N, out depth, height, width, C]."""
    dilation = (settings.input_dilation[0], 1, 1)
    pairs = (settings.pairs[0], (0, 0), (0, 0))
    padded = pad(dilate(inputs, dilation), pairs, "zeros")
    stride = settings.strides[0]
    for tap in range(taps):
        start = tap * settings.kernel_dilation[0]
        yield padded[:, start : start + span(out, stride) : stride]


def _stack(volumes: Array) -> Array:
    """Volumes to as many planes as they have."""
    return volumes.reshape(-1, *volumes.shape[2:])
