"""Translations of images: circular, with zeros, and by a fraction of a pixel.

Layout: images are [N, *spatial, C]; a `shift` holds one number per spatial axis, in
pixels, positive towards higher indices. Shifts may be traced, so that one compiled
function serves a whole grid of them under `jax.vmap`.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

Translation = Callable[[jax.Array, jax.Array], jax.Array]


def spatial_axes(inputs: jax.Array) -> tuple[int, ...]:
    """1 to the rank but one.

    Raises:
        ValueError: no spatial axis.
    """
    if inputs.ndim < 3:
        raise ValueError(
            f"expected inputs [N, *spatial, C] of rank 3 or more, got shape "
            f"{inputs.shape}"
        )
    return tuple(range(1, inputs.ndim - 1))


def _shift_vector(inputs: jax.Array, shift: Any, dtype: Any) -> jax.Array:
    rank = len(spatial_axes(inputs))
    vector = jnp.asarray(shift, dtype)
    if vector.shape != (rank,):
        raise ValueError(
            f"expected a shift of {rank} numbers, one per spatial axis of inputs "
            f"{inputs.shape}, got shape {vector.shape}"
        )
    return vector


def roll(inputs: jax.Array, shift: Any) -> jax.Array:
    """Circular translation.

        (T x)[p] = x[(p - shift) mod size]

    Args:
        inputs: [N, *spatial, C].
        shift: [rank] integers, pixels per spatial axis; may be traced.

    Returns:
        [N, *spatial, C].

    Raises:
        ValueError: `shift` does not hold one number per spatial axis.
    """
    vector = _shift_vector(inputs, shift, jnp.int32)
    for axis in spatial_axes(inputs):
        inputs = jnp.roll(inputs, vector[axis - 1], axis)
    return inputs


def slide(inputs: jax.Array, shift: Any) -> jax.Array:
    """Translation that fills with zeros what enters and drops what leaves.

        (T x)[p] = x[p - shift] where p - shift lies inside x, else 0

    Args, Returns and Raises: as `roll`.
    """
    vector = _shift_vector(inputs, shift, jnp.int32)
    moved = roll(inputs, vector)
    for axis in spatial_axes(inputs):
        source = jnp.arange(inputs.shape[axis]) - vector[axis - 1]
        inside = (source >= 0) & (source < inputs.shape[axis])
        shape = [1] * inputs.ndim
        shape[axis] = inputs.shape[axis]
        moved = jnp.where(inside.reshape(shape), moved, jnp.zeros((), inputs.dtype))
    return moved


def _filter_spectrum(inputs: jax.Array, factors: list[jax.Array]) -> jax.Array:
    axes = spatial_axes(inputs)
    spectrum = jnp.fft.fftn(inputs, axes=axes)
    for axis, factor in zip(axes, factors, strict=True):
        shape = [1] * inputs.ndim
        shape[axis] = inputs.shape[axis]
        spectrum = spectrum * factor.reshape(shape).astype(spectrum.dtype)
    return jnp.fft.ifftn(spectrum, axes=axes).real.astype(inputs.dtype)


def fourier_shift(inputs: jax.Array, shift: Any) -> jax.Array:
    """Circular translation by any real number of pixels.

        T x = F⁻¹( exp(-2πi f·shift) F(x) ),  f in cycles per pixel

    Exact for band-limited images (`band_limit`): on an even axis the phase of the
    Nyquist frequency is not defined for a fraction of a pixel, and only its real
    part is kept.

    Args:
        inputs: [N, *spatial, C], real.
        shift: [rank] pixels per spatial axis, fractions allowed; may be traced.

    Returns:
        [N, *spatial, C] in the dtype of `inputs`.

    Raises:
        ValueError: `shift` does not hold one number per spatial axis.
    """
    vector = _shift_vector(inputs, shift, jnp.float32)
    factors = []
    for axis in spatial_axes(inputs):
        frequencies = jnp.fft.fftfreq(inputs.shape[axis], dtype=jnp.float32)
        angle = -2 * jnp.pi * frequencies * vector[axis - 1]
        factors.append(jax.lax.complex(jnp.cos(angle), jnp.sin(angle)))
    return _filter_spectrum(inputs, factors)


def band_limit(inputs: jax.Array, cutoff: float = 0.5) -> jax.Array:
    """Remove every frequency of `cutoff` cycles per pixel or more, per axis.

    The default removes the Nyquist frequency alone, which is what a fractional
    Fourier shift needs to be exact.

    Args:
        inputs: [N, *spatial, C], real.
        cutoff: cycles per pixel, in (0, 0.5].

    Returns:
        [N, *spatial, C] in the dtype of `inputs`.
    """
    factors = [
        jnp.abs(jnp.fft.fftfreq(inputs.shape[axis])) < cutoff
        for axis in spatial_axes(inputs)
    ]
    return _filter_spectrum(inputs, factors)
