"""Translations of images: circular, bordered, out of a larger image, and fractional.

Layout: images are [N, *spatial, C]; a `shift` holds one number per spatial axis, in
pixels, positive towards higher indices. Shifts may be traced, so that one compiled
function serves a whole grid of them under `jax.vmap`.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from cnn_jax.ops.dtypes import output_dtype

Translation = Callable[[jax.Array, jax.Array], jax.Array]

BORDER_NAMES = ("ZERO", "CIRCULAR", "REFLECT", "REPLICATE")


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


def _pixels(inputs: jax.Array, shift: Any) -> jax.Array:
    """The shift as whole pixels; a fraction would otherwise be cut off unseen."""
    spatial_axes(inputs)
    if jnp.issubdtype(jnp.asarray(shift).dtype, jnp.inexact):
        raise ValueError(
            f"expected a shift of integers, got {jnp.asarray(shift).dtype}: "
            f"fourier_shift moves by fractions of a pixel"
        )
    return _shift_vector(inputs, shift, jnp.int32)


def continued(
    source: jax.Array, size: int, border: str
) -> tuple[jax.Array, jax.Array | None]:
    """Where an axis that goes on beyond its ends is read.

    "ZERO" continues with zeros, "CIRCULAR" with the other end, "REFLECT" with the
    mirror image, its end not repeated, "REPLICATE" with the end itself.

    Args:
        source: integers, any shape; outside [0, size) beyond the ends.
        size: of the axis.
        border: one of `BORDER_NAMES`.

    Returns:
        (positions in [0, size), which of them count; None where all do).

    Raises:
        ValueError: an unknown border.
    """
    if border == "CIRCULAR":
        return source % size, None
    if border == "REFLECT":
        period = max(2 * (size - 1), 1)
        folded = source % period
        return jnp.minimum(folded, period - folded), None
    if border not in BORDER_NAMES:
        raise ValueError(f"border: expected one of {BORDER_NAMES}, got {border!r}")
    inside = (source >= 0) & (source < size) if border == "ZERO" else None
    return jnp.clip(source, 0, size - 1), inside


def roll(inputs: jax.Array, shift: Any) -> jax.Array:
    """Circular translation.

        (T x)[p] = x[(p - shift) mod size]

    Args:
        inputs: [N, *spatial, C].
        shift: [rank] integers, pixels per spatial axis; may be traced.

    Returns:
        [N, *spatial, C].

    Raises:
        ValueError: `shift` does not hold one integer per spatial axis.
    """
    vector = _pixels(inputs, shift)
    for axis in spatial_axes(inputs):
        inputs = jnp.roll(inputs, vector[axis - 1], axis)
    return inputs


def slide(inputs: jax.Array, shift: Any, *, border: str = "ZERO") -> jax.Array:
    """Translation that drops what leaves and fills what enters by a rule.

        (T x)[p] = x[p - shift] where p - shift lies inside x, else as `border` says

    Args:
        inputs: [N, *spatial, C].
        shift: [rank] integers, pixels per spatial axis; may be traced.
        border: "ZERO", "REFLECT" (the mirror image, its end not repeated),
            "REPLICATE" (the end) or "CIRCULAR" (`roll`).

    Returns:
        [N, *spatial, C].

    Raises:
        ValueError: `shift` does not hold one integer per spatial axis, or an unknown
            border.
    """
    vector = _pixels(inputs, shift)
    for axis in spatial_axes(inputs):
        size = inputs.shape[axis]
        source = jnp.arange(size, dtype=jnp.int32) - vector[axis - 1]
        positions, inside = continued(source, size, border)
        inputs = jnp.take(inputs, positions, axis=axis, mode="clip")
        if inside is not None:
            shape = [1] * inputs.ndim
            shape[axis] = size
            zero = jnp.zeros((), inputs.dtype)
            inputs = jnp.where(inside.reshape(shape), inputs, zero)
    return inputs


def crop(inputs: jax.Array, shift: Any, *, size: Sequence[int]) -> jax.Array:
    """The middle of a larger image that moves: nothing has to be filled in.

        (T x)[p] = x[p + ⌊(full - size) / 2⌋ - shift]

    Args:
        inputs: [N, *full, C].
        shift: [rank] integers, pixels per spatial axis; may be traced.
        size: the spatial sizes of the crop, at most `full`.

    Returns:
        [N, *size, C]. What a traced shift takes from outside is NaN (of integers the
        smallest, without a sign the largest), never a border repeated unseen.

    Raises:
        ValueError: sizes that do not fit, or a shift that is no integers or leads out
            of the image (not seen under a trace).
    """
    vector = _pixels(inputs, shift)
    full = inputs.shape[1:-1]
    traced = any(isinstance(n, jax.core.Tracer) for n in jax.tree.leaves(shift))
    if len(size) != len(full) or any(
        not 1 <= small <= large for small, large in zip(size, full, strict=False)
    ):
        raise ValueError(f"expected a size of 1 to {full} per axis, got {size}")
    for axis, (small, large) in enumerate(zip(size, full, strict=True), start=1):
        low = (large - small) // 2
        if not traced and not 0 <= low - int(shift[axis - 1]) <= large - small:
            raise ValueError(
                f"expected a shift of {low - large + small} to {low} on axis {axis}, "
                f"from {large} to {small} pixels, got {shift}"
            )
        source = jnp.arange(small, dtype=jnp.int32) + low - vector[axis - 1]
        # A negative index would count from the end.
        source = jnp.where(source < 0, large, source)
        inputs = jnp.take(inputs, source, axis=axis, mode="fill")
    return inputs


def real_dtype(inputs: jax.Array) -> Any:
    """What positions and spectra are computed in: float32, or float64 if inputs are."""
    return jnp.float64 if inputs.dtype == jnp.float64 else jnp.float32


def _filter_spectrum(inputs: jax.Array, factors: list[jax.Array]) -> jax.Array:
    axes = spatial_axes(inputs)
    spectrum = jnp.fft.fftn(inputs.astype(real_dtype(inputs)), axes=axes)
    for axis, factor in zip(axes, factors, strict=True):
        shape = [1] * inputs.ndim
        shape[axis] = inputs.shape[axis]
        spectrum = spectrum * factor.reshape(shape).astype(spectrum.dtype)
    moved = jnp.fft.ifftn(spectrum, axes=axes).real
    return moved.astype(output_dtype(inputs.dtype))


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
        [N, *spatial, C] in the dtype of `inputs`, float32 for integers.

    Raises:
        ValueError: `shift` does not hold one number per spatial axis.
    """
    dtype = real_dtype(inputs)
    vector = _shift_vector(inputs, shift, dtype)
    factors = []
    for axis in spatial_axes(inputs):
        frequencies = jnp.fft.fftfreq(inputs.shape[axis], dtype=dtype)
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
        [N, *spatial, C] in the dtype of `inputs`, float32 for integers.
    """
    factors = [
        jnp.abs(jnp.fft.fftfreq(inputs.shape[axis])) < cutoff
        for axis in spatial_axes(inputs)
    ]
    return _filter_spectrum(inputs, factors)
