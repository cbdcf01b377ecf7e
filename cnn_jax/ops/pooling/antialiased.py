"""Downsampling with less aliasing: a blur comes first.

inputs [..., *spatial, C]. As many spatial axes as `strides` has entries; a single
integer means every axis between the first and the last, so exactly one batch axis.
"""

import math
from collections.abc import Sequence

import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from cnn_jax.ops.dtypes import accumulator, output_dtype
from cnn_jax.ops.pooling.frames import frame
from cnn_jax.ops.pooling.sliding import weigh
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
    steps = spatial_strides(inputs, strides)
    wide = inputs.astype(accumulator(inputs.dtype))
    framed = frame(wide, (taps,) * len(steps), 1, padding)
    weights = [math.comb(taps - 1, tap) / 2 ** (taps - 1) for tap in range(taps)]
    blurred = weigh(framed.padded, [weights] * len(steps), steps)
    return framed.restore(blurred).astype(output_dtype(inputs.dtype))


def spatial_strides(inputs: Array, strides: int | Sequence[int]) -> tuple[int, ...]:
    """One stride per spatial axis; an integer alone is for all but the first and last.

    Raises:
      ValueError: not 1 to 3 axes, or a stride below 1.
    """
    rank = len(strides) if isinstance(strides, Sequence) else inputs.ndim - 2
    if not 1 <= rank <= 3:
        raise ValueError(
            "strides: expected 1 to 3 spatial axes, one integer per axis or one for "
            f"[N, *spatial, C], got {strides!r} and inputs of shape {inputs.shape}"
        )
    return canonical(strides, rank, "strides")
