"""Images turned, enlarged and sampled anywhere, by multilinear interpolation.

Layout: images are [N, *spatial, C]; positions are in pixels, the first pixel at 0, so
that the center of an axis is (size - 1) / 2, between two pixels where size is even.
Nothing is smoothed before it is shrunk. Interpolation is linear in the values, and
its derivative with respect to them exact; with respect to a position it is linear
between pixels and has a kink at each, where the derivative is the one to the right
(`generators` holds derivatives of motions that are not one-sided).
"""

import itertools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from cnn_jax.instruments.translations import continued, real_dtype, spatial_axes
from cnn_jax.ops.dtypes import output_dtype


def sample(
    inputs: jax.Array, positions: jax.Array, *, border: str = "ZERO"
) -> jax.Array:
    """Multilinear interpolation at any positions.

        y[p] = Σ over corners e in {0, 1}^rank of
               x[⌊p⌋ + e] · Π over axes a of (e_a ? p_a - ⌊p_a⌋ : 1 - p_a + ⌊p_a⌋)

    Beyond its ends the image goes on as `border` says, and is interpolated there too:
    with "ZERO" the outermost pixels fade to 0 over one pixel, without a jump.

    Args:
        inputs: [N, *spatial, C], real.
        positions: [*out, rank] pixels.
        border: "ZERO", "CIRCULAR", "REFLECT" (the end not repeated) or "REPLICATE".

    Returns:
        [N, *out, C] in the dtype of `inputs`, float32 for integers; computed in
        float32 or float64.

    Raises:
        ValueError: positions without one number per spatial axis, or an unknown border.
    """
    spatial = [inputs.shape[axis] for axis in spatial_axes(inputs)]
    rank, dtype = len(spatial), real_dtype(inputs)
    if positions.ndim < 1 or positions.shape[-1] != rank:
        raise ValueError(
            f"expected positions of {rank} numbers, one per spatial axis of inputs "
            f"{inputs.shape}, got shape {positions.shape}"
        )
    positions = positions.astype(dtype)
    floors = jnp.floor(positions)
    fractions = positions - floors
    below = floors.astype(jnp.int32)
    flat = inputs.reshape(inputs.shape[0], -1, inputs.shape[-1]).astype(dtype)
    total = jnp.zeros((), dtype)
    for corner in itertools.product((0, 1), repeat=rank):
        index = jnp.zeros(positions.shape[:-1], jnp.int32)
        weight = jnp.ones(positions.shape[:-1], dtype)
        for axis, (size, step) in enumerate(zip(spatial, corner, strict=True)):
            source, inside = continued(below[..., axis] + step, size, border)
            share = fractions[..., axis] if step else 1 - fractions[..., axis]
            if inside is not None:
                share = jnp.where(inside, share, 0)
            index, weight = index * size + source, weight * share
        values = jnp.take(flat, index, axis=1, mode="clip")
        total = total + values * weight[None, ..., None]
    return total.astype(output_dtype(inputs.dtype))


def rotate(inputs: jax.Array, degrees: ArrayLike, *, border: str = "ZERO") -> jax.Array:
    """Turn about the center, counterclockwise as an image is shown (rows downwards).

        (T x)(r, c) = x(r·cos φ + c·sin φ, c·cos φ - r·sin φ)

    r and c are row and column less the center. Quarter turns are taken out of the
    angle first, so that they are `numpy.rot90` exactly on square images.

    Args:
        inputs: [N, H, W, C].
        degrees: []; may be traced.
        border: as in `sample`.

    Returns:
        [N, H, W, C], in a dtype as in `sample`; what turns out of the frame is lost.

    Raises:
        ValueError: not two spatial axes, an angle that is no scalar, or an unknown
            border.
    """
    if inputs.ndim != 4:
        raise ValueError(f"expected inputs [N, H, W, C], got shape {inputs.shape}")
    dtype = real_dtype(inputs)
    degrees = jnp.asarray(degrees, dtype)
    if degrees.ndim:
        raise ValueError(f"expected one angle in degrees, got shape {degrees.shape}")
    turns = jnp.round(degrees / 90)
    rest = jnp.deg2rad(degrees - 90 * turns)
    wave = jnp.stack([jnp.cos(rest), jnp.sin(rest), -jnp.cos(rest), -jnp.sin(rest)])
    quarter = jnp.mod(turns, 4).astype(jnp.int32)
    cosine, sine = wave[-quarter % 4], wave[(1 - quarter) % 4]
    rows, columns = _centered(inputs, dtype)
    source = (rows * cosine + columns * sine, columns * cosine - rows * sine)
    return _sample_centered(inputs, source, border)


def rescale(inputs: jax.Array, factor: Any, *, border: str = "ZERO") -> jax.Array:
    """Enlarge about the center; the frame stays.

        (T x)(p) = x(p / factor),  p in pixels from the center

    Args:
        inputs: [N, *spatial, C].
        factor: [] or [rank], positive, above 1 to enlarge; may be traced.
        border: as in `sample`; it fills the margin where the factor is below 1.

    Returns:
        [N, *spatial, C], in a dtype as in `sample`.

    Raises:
        ValueError: no positive factor for every axis (the sign is not seen under a
            trace), or an unknown border.
    """
    rank, dtype = len(spatial_axes(inputs)), real_dtype(inputs)
    factors = jnp.asarray(factor, dtype)
    if factors.shape not in ((), (rank,)):
        raise ValueError(
            f"expected a factor, or {rank} of them, got shape {factors.shape}"
        )
    if not isinstance(factors, jax.core.Tracer) and not bool(jnp.all(factors > 0)):
        raise ValueError(f"expected a positive factor, got {factor}")
    factors = jnp.broadcast_to(factors, (rank,))
    offsets = _centered(inputs, dtype)
    source = [offset / factors[axis] for axis, offset in enumerate(offsets)]
    return _sample_centered(inputs, source, border)


def _centered(inputs: jax.Array, dtype: Any) -> list[jax.Array]:
    """Per axis the pixels from the center, each [*spatial]."""
    spatial = inputs.shape[1:-1]
    axes = [jnp.arange(size, dtype=dtype) - (size - 1) / 2 for size in spatial]
    return jnp.meshgrid(*axes, indexing="ij")


def _sample_centered(
    inputs: jax.Array, source: Sequence[jax.Array], border: str
) -> jax.Array:
    spatial = inputs.shape[1:-1]
    positions = [
        offset + (size - 1) / 2 for offset, size in zip(source, spatial, strict=True)
    ]
    return sample(inputs, jnp.stack(positions, axis=-1), border=border)
