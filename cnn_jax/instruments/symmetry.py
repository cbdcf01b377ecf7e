"""Does a function commute with a translation or a turn? Both sides of the identity.

Layout: inputs and outputs are [N, *spatial, C]; shifts are those of `translations`.

The sides come back as arrays, so that a test and an experiment can both look at
the same numbers; the errors are norms of their difference, one per example.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from cnn_jax.instruments.translations import (
    Translation,
    fourier_shift,
    roll,
    spatial_axes,
)
from cnn_jax.ops.dtypes import output_dtype

Apply = Callable[[Any, jax.Array], Any]

ROUNDING = 1e-5  # of a map's norm: what varies less is its own rounding


def relative_error(
    left: jax.Array, right: jax.Array, scale: jax.Array | None = None
) -> jax.Array:
    """‖left - right‖ / ‖scale‖, one per example.

    Args:
        left: [N, ...].
        right: [N, ...], of the same shape.
        scale: [N, ...], what the error is relative to; `right` unless given.

    Returns:
        [N], without unit. 0 where left equals right, also where scale is 0.

    Raises:
        ValueError: the two sides differ in shape.
    """
    if left.shape != right.shape:
        raise ValueError(
            f"expected two sides of one shape, got {left.shape} and {right.shape}"
        )
    scale = right if scale is None else scale
    # Differences of integers may wrap.
    left, right = (each.astype(output_dtype(each.dtype)) for each in (left, right))
    difference = _norm(left - right)
    return jnp.where(difference == 0, 0.0, difference / _norm(scale))


def _norm(array: jax.Array) -> jax.Array:
    """‖x‖ of every example, [N], in float32."""
    flat = array.reshape(array.shape[0], -1)
    return jnp.sqrt(jnp.sum(jnp.square(flat.astype(jnp.float32)), axis=1))


def equivariance_sides(
    apply: Apply,
    params: Any,
    inputs: jax.Array,
    shift: Any,
    *,
    stride: int = 1,
    translate: Translation = roll,
) -> tuple[jax.Array, jax.Array]:
    """Both sides of f(T x) = T' f(x).

    T moves the inputs by `shift`, T' the outputs by shift / stride.

    Args:
        apply: (params, inputs) -> outputs [N, *spatial', C'].
        params: whatever `apply` takes.
        inputs: [N, *spatial, C].
        shift: [rank] pixels of the input, multiples of `stride`; may be traced.
        stride: product of the strides from input to output.
        translate: `roll`, `slide` or `fourier_shift`; or another motion, with `stride`
            1 and what it takes for a shift: degrees for `rotate`, whatever the strides.

    Returns:
        (f(T x), T' f(x)), each [N, *spatial', C'].

    Raises:
        ValueError: `roll` or `slide` by no multiple of the stride (not seen under
            a trace).
    """
    still = apply(params, inputs)
    moved = apply(params, translate(inputs, shift))
    return moved, translate(still, _strided(shift, stride, translate))


def _strided(shift: Any, stride: int, translate: Translation) -> Any:
    """The shift of the outputs: the shift of the inputs over the stride."""
    if stride == 1:
        return shift
    if translate is fourier_shift:
        return jnp.asarray(shift, jnp.float32) / stride
    traced = isinstance(shift, jax.core.Tracer)
    if not traced and any(int(step) % stride for step in shift):
        raise ValueError(
            f"expected a shift in multiples of the stride {stride}, got {shift}"
        )
    return jnp.asarray(shift) // stride


def equivariance_error(
    apply: Apply,
    params: Any,
    inputs: jax.Array,
    shift: Any,
    *,
    stride: int = 1,
    translate: Translation = roll,
) -> jax.Array:
    """‖f(T x) - T' f(x)‖ / ‖f(x)‖, one per example; 0 means equivariant.

    Args and Raises: as `equivariance_sides`.

    Returns:
        [N], without unit.

    Reference: Cohen and Welling 2016, Group Equivariant Convolutional Networks.
    """
    still = apply(params, inputs)
    moved = apply(params, translate(inputs, shift))
    right = translate(still, _strided(shift, stride, translate))
    return relative_error(moved, right, still)


def invariance_sides(
    apply: Apply,
    params: Any,
    inputs: jax.Array,
    shift: Any,
    *,
    translate: Translation = roll,
) -> tuple[jax.Array, jax.Array]:
    """Both sides of f(T x) = f(x); arguments as `equivariance_sides`."""
    return apply(params, translate(inputs, shift)), apply(params, inputs)


def invariance_error(
    apply: Apply,
    params: Any,
    inputs: jax.Array,
    shift: Any,
    *,
    translate: Translation = roll,
) -> jax.Array:
    """‖f(T x) - f(x)‖ / ‖f(x)‖, one per example; 0 means invariant.

    Args: as `equivariance_sides`.

    Returns:
        [N], without unit.
    """
    return relative_error(
        *invariance_sides(apply, params, inputs, shift, translate=translate)
    )


def _cross_correlation(left: jax.Array, right: jax.Array) -> jax.Array:
    """Circular c[r] = Σ_p,c left[p + r, c]·right[p, c]: [N, *spatial]."""
    axes = spatial_axes(left)
    spectra = jnp.fft.fftn(left, axes=axes) * jnp.conj(jnp.fft.fftn(right, axes=axes))
    return jnp.sum(jnp.fft.ifftn(spectra, axes=axes).real, axis=-1)


def _peak(correlation: jax.Array) -> jax.Array:
    """[N, rank] integer position of the largest entry of [N, *spatial]."""
    flat = correlation.reshape(correlation.shape[0], -1)
    position = jnp.unravel_index(jnp.argmax(flat, axis=1), correlation.shape[1:])
    return jnp.stack(position, axis=-1)


def realigned_sides(left: jax.Array, right: jax.Array) -> tuple[jax.Array, jax.Array]:
    """`left`, and `right` rolled to where it fits `left` best.

    The best of all circular translations in the least-squares sense is the peak
    of the cross-correlation; finding it in the Fourier domain and rolling
    afterwards keeps a perfect fit perfect.

    Args:
        left: [N, *spatial, C].
        right: [N, *spatial, C].

    Returns:
        (left, right rolled, example by example).
    """
    peaks = _peak(_cross_correlation(left, right))
    rolled = jax.vmap(lambda example, peak: roll(example[None], peak)[0])(right, peaks)
    return left, rolled


def peak_displacement(left: jax.Array, right: jax.Array) -> tuple[jax.Array, jax.Array]:
    """How far `left` is moved against `right`, and how well it then fits.

    The displacement is the peak of the circular cross-correlation of the maps,
    each channel less its mean, wrapped into [-size/2, size/2).

    Args:
        left: [N, *spatial, C].
        right: [N, *spatial, C].

    Returns:
        (displacement [N, rank] in pixels of the map, correlation at the peak [N],
        at most 1; 0 where a map is constant but for rounding).
    """
    left, left_norm = _varying(left)
    right, right_norm = _varying(right)
    correlation = _cross_correlation(left, right)
    sizes = jnp.asarray(correlation.shape[1:])
    peak = _peak(correlation)
    displacement = jnp.where(peak >= (sizes[None] + 1) // 2, peak - sizes[None], peak)
    height = jnp.max(correlation.reshape(left.shape[0], -1), axis=1)
    energy = left_norm * right_norm
    return displacement, jnp.where(energy > 0, height / energy, 0.0)


def _varying(inputs: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Each channel less its mean, and the norm of that: 0 where it is rounding."""
    mean = jnp.mean(inputs, axis=spatial_axes(inputs), keepdims=True)
    varying = inputs - mean
    norm = _norm(varying)
    return varying, jnp.where(norm > ROUNDING * _norm(inputs), norm, 0.0)
