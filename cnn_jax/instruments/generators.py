"""Generators of translation, rotation and scaling: their derivatives at no motion.

A motion T_t shows at p what was elsewhere; that place starts from p with velocity u(p),
and the generator is the linear map

    L x = d/dt T_t x at t = 0 = Σ over axes a of  u_a(p) · ∂x/∂p_a

    translation  u = -direction          per pixel
    rotation     u = (c, -r)             per radian, counterclockwise as shown
    scaling      u = -(r, c)             per unit of the logarithm of the factor

with (r, c) = p, in pixels from the center. The motions are those of `translations` and
`warps`, the signs too. Feature maps are images whose pixels lie `stride` input pixels
apart: the field is in input pixels everywhere, so one motion acts on every layer.

∂x/∂p is taken by a `derivative` (inputs, axis) -> array:

    fourier_derivative  exact for band-limited images that repeat at their borders
    central_difference  of second order, the mean of both one-sided derivatives of
                        linear interpolation; local, so borders stay at the border

Layout: images and maps are [N, *spatial, C]; axes are counted from the first spatial
one, 0. Integers are taken, and their derivatives returned, as float32.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

import jax
import jax.numpy as jnp
import numpy as np

from cnn_jax.instruments.translations import real_dtype, slide, spatial_axes
from cnn_jax.ops.dtypes import output_dtype

Derivative = Callable[[jax.Array, int], jax.Array]
Numbers = float | Sequence[float]


class Generator(Protocol):
    """What `local_equivariance_sides` asks of a generator."""

    def __call__(
        self, inputs: jax.Array, *, stride: Numbers = 1, center: Numbers | None = None
    ) -> jax.Array:
        """L applied to images or maps, [N, *spatial, C] -> the same."""
        ...


def fourier_derivative(inputs: jax.Array, axis: int) -> jax.Array:
    """Derivative of the trigonometric interpolation along one axis.

        ∂x = F⁻¹( 2πi f · F(x) ),  f in cycles per pixel

    The real part is kept, without the Nyquist frequency of an even axis, whose
    derivative at the pixels is 0.

    Args:
        inputs: [N, *spatial, C], real.
        axis: spatial, from 0.

    Returns:
        [N, *spatial, C] per pixel, in the dtype of `inputs`, float32 for integers.

    Raises:
        ValueError: no such spatial axis.
    """
    position, dtype = _position(inputs, axis), real_dtype(inputs)
    size = inputs.shape[position]
    frequencies = jnp.fft.fftfreq(size, dtype=dtype)
    factor = jax.lax.complex(jnp.zeros_like(frequencies), 2 * jnp.pi * frequencies)
    shape = [1] * inputs.ndim
    shape[position] = size
    spectrum = jnp.fft.fft(inputs.astype(dtype), axis=position) * factor.reshape(shape)
    slope = jnp.fft.ifft(spectrum, axis=position).real
    return slope.astype(output_dtype(inputs.dtype))


def central_difference(
    inputs: jax.Array, axis: int, *, border: str = "ZERO"
) -> jax.Array:
    """Derivative by the two neighbors: (x[p + 1] - x[p - 1]) / 2.

    Args:
        inputs: [N, *spatial, C], real.
        axis: spatial, from 0.
        border: how the image goes on beyond its ends, as in `slide`.

    Returns:
        [N, *spatial, C] per pixel, in the dtype of `inputs`, float32 for integers.

    Raises:
        ValueError: no such spatial axis, or an unknown border.
    """
    inputs = inputs.astype(output_dtype(inputs.dtype))
    step = [0] * len(spatial_axes(inputs))
    step[_position(inputs, axis) - 1] = 1
    back = [-pixels for pixels in step]
    return (slide(inputs, back, border=border) - slide(inputs, step, border=border)) / 2


def translation_generator(
    inputs: jax.Array,
    *,
    direction: Sequence[float],
    stride: Numbers = 1,
    center: Numbers | None = None,
    derivative: Derivative = fourier_derivative,
) -> jax.Array:
    """Translation along a direction: L x = -Σ_a direction_a / stride_a · ∂x/∂a.

    Args:
        inputs: [N, *spatial, C].
        direction: [rank] input pixels per unit of the motion.
        stride: input pixels per pixel of `inputs`, one or [rank].
        center: no part of a translation; there for the common signature.
        derivative: `fourier_derivative` or `central_difference`.

    Returns:
        [N, *spatial, C].

    Raises:
        ValueError: not one number per spatial axis.
    """
    del center
    rank = len(spatial_axes(inputs))
    along = _numbers(direction, rank, "direction")
    steps = _numbers(stride, rank, "stride")
    terms = [
        derivative(inputs, axis) * (-pixels / step)
        for axis, (pixels, step) in enumerate(zip(along, steps, strict=True))
        if pixels
    ]
    return _total(terms, inputs)


def rotation_generator(
    inputs: jax.Array,
    *,
    stride: Numbers = 1,
    center: Numbers | None = None,
    derivative: Derivative = fourier_derivative,
) -> jax.Array:
    """Counterclockwise rotation per radian: L x = c · ∂x/∂r - r · ∂x/∂c.

    Args:
        inputs: [N, H, W, C].
        stride: input pixels per pixel of `inputs`, one or [2]; matters where the two
            differ.
        center: the center of the rotation in pixels of `inputs`, the first at 0; their
            middle unless given.
        derivative: `fourier_derivative` or `central_difference`.

    Returns:
        [N, H, W, C].

    Raises:
        ValueError: not two spatial axes, or not one number for each.
    """
    if inputs.ndim != 4:
        raise ValueError(f"expected inputs [N, H, W, C], got shape {inputs.shape}")
    high, wide = _numbers(stride, 2, "stride")
    rows, columns = _offsets(inputs, center)
    down = derivative(inputs, 0) * columns * (wide / high)
    right = derivative(inputs, 1) * rows * (high / wide)
    return down - right


def scaling_generator(
    inputs: jax.Array,
    *,
    stride: Numbers = 1,
    center: Numbers | None = None,
    derivative: Derivative = fourier_derivative,
) -> jax.Array:
    """Enlargement per unit of log factor: L x = -Σ_a p_a · ∂x/∂a.

    Args:
        inputs: [N, *spatial, C].
        stride: no part of it, since offset and derivative scale oppositely; there for
            the common signature.
        center: as in `rotation_generator`.
        derivative: `fourier_derivative` or `central_difference`.

    Returns:
        [N, *spatial, C].

    Raises:
        ValueError: not one number per spatial axis.
    """
    del stride
    offsets = _offsets(inputs, center)
    terms = [-derivative(inputs, axis) * offset for axis, offset in enumerate(offsets)]
    return _total(terms, inputs)


def _position(inputs: jax.Array, axis: int) -> int:
    """The axis of the array behind a spatial axis."""
    rank = len(spatial_axes(inputs))
    if not 0 <= axis < rank:
        raise ValueError(f"expected a spatial axis of 0 to {rank - 1}, got {axis}")
    return axis + 1


def _numbers(value: Numbers, rank: int, name: str) -> tuple[float, ...]:
    numbers = np.asarray(value, np.float64)
    if numbers.shape not in ((), (rank,)):
        raise ValueError(
            f"{name}: expected {rank} numbers, one per spatial axis, got {value}"
        )
    return tuple(np.broadcast_to(numbers, (rank,)).tolist())


def _offsets(inputs: jax.Array, center: Numbers | None) -> list[jax.Array]:
    """Pixels from the center, per axis, each shaped to multiply `inputs`."""
    axes = spatial_axes(inputs)
    middle = tuple((inputs.shape[axis] - 1) / 2 for axis in axes)
    origin = middle if center is None else _numbers(center, len(axes), "center")
    offsets = []
    for axis, start in zip(axes, origin, strict=True):
        shape = [1] * inputs.ndim
        shape[axis] = inputs.shape[axis]
        pixels = jnp.arange(inputs.shape[axis], dtype=real_dtype(inputs)) - start
        offsets.append(pixels.reshape(shape).astype(output_dtype(inputs.dtype)))
    return offsets


def _total(terms: list[jax.Array], inputs: jax.Array) -> jax.Array:
    zeros = jnp.zeros_like(inputs, dtype=output_dtype(inputs.dtype))
    return sum(terms, start=zeros)
