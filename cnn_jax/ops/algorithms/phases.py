"""The input gradient of a strided convolution, without zeros between cotangents."""

import itertools
from collections.abc import Sequence
from dataclasses import replace

import jax.numpy as jnp
from jax import Array

from cnn_jax.ops.algorithms import Settings
from cnn_jax.ops.algorithms.space_to_depth import PLAIN, to_space
from cnn_jax.ops.windows import pad


def input_gradient(
    cotangent: Array, kernel: Array, settings: Settings, spatial: Sequence[int]
) -> Array:
    """One stride-1 convolution per phase of the stride.

        x̄[n, s·q + a − low, c] = Σ_t Σ_o ȳ[n, q − t, o] · k[a + s·t, c, o]

    for every phase 0 <= a < s. Without groups and dilations.

    Args:
      cotangent: [N, *out, O].
      kernel: [*window, C, O].
      settings: strides, padding, precision.
      spatial: sizes of the inputs.

    Returns:
      [N, *spatial, C].
    """
    strides, rank = settings.strides, len(spatial)
    lows = [low for low, _ in settings.pairs]
    reached = [n + low for n, low in zip(spatial, lows, strict=True)]
    # At least one, which is cut off again, where the border crops all inputs.
    counts = [max(-(-n // s), 1) for n, s in zip(reached, strides, strict=True)]
    plain = replace(settings, strides=(1,) * rank, pairs=((0, 0),) * rank)
    convolve_back = PLAIN[rank].input_gradient
    phases = []
    for phase in itertools.product(*map(range, strides)):
        own = tuple(slice(a, None, s) for a, s in zip(phase, strides, strict=True))
        taps = kernel[own]
        if 0 in taps.shape:
            shape = (len(cotangent), *counts, kernel.shape[-2])
            phases.append(jnp.zeros(shape, cotangent.dtype))
        else:
            phases.append(convolve_back(cotangent, taps, plain, counts))
    padded = to_space(jnp.concatenate(phases, -1), strides)
    axes = zip(lows, reached, padded.shape[1:-1], strict=True)
    return pad(padded, tuple((-low, end - size) for low, end, size in axes), "zeros")
