"""Ways to compute one convolution and its two gradients, one file each.

A convolution is bilinear, and its three forms share their letters: inputs
[N, *spatial, C], kernel [*window, C // groups, O], outputs and cotangent [N, *out, O].

    forward(inputs, kernel, settings) -> outputs
    input_gradient(cotangent, kernel, settings, spatial) -> as the inputs
    kernel_gradient(inputs, cotangent, settings, window) -> as the kernel

All algorithms of one form compute the same values. The public edge has checked the
shapes and resolved the padding before.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import jax
import jax.numpy as jnp
from jax import Array
from jax.lax import PrecisionLike
from jax.typing import DTypeLike

from cnn_jax.ops.meshes import zeros_beside
from cnn_jax.ops.windows import Pairs, output_size, span


@dataclass(frozen=True)
class Settings:
    """What a convolution is besides its two arrays. Hashable.

    Attributes:
      strides: s per spatial axis.
      pairs: zeros (low, high) per spatial axis, negative ones crop.
      input_dilation: zeros go between the inputs before `pairs` is applied.
      kernel_dilation: distance between the kernel's elements.
      feature_group_count: groups of channels that do not mix.
      precision: of the products, as in jax.lax.
      preferred_element_type: of the sums and the outputs, as in jax.lax.
    """

    strides: tuple[int, ...]
    pairs: Pairs
    input_dilation: tuple[int, ...]
    kernel_dilation: tuple[int, ...]
    feature_group_count: int = 1
    precision: PrecisionLike = None
    preferred_element_type: DTypeLike | None = None

    def output_dtype(self, inputs: Array) -> jnp.dtype:
        """The preferred element type, or else that of the inputs."""
        return jnp.dtype(self.preferred_element_type or inputs.dtype)

    def out(self, spatial: Sequence[int], window: Sequence[int]) -> tuple[int, ...]:
        """The outputs' spatial sizes for inputs and kernel of these sizes."""
        axes = zip(
            spatial,
            self.input_dilation,
            window,
            self.strides,
            self.kernel_dilation,
            self.pairs,
            strict=True,
        )
        return tuple(
            output_size(span(n, r) if n else 0, k, s, d, *pair)
            for n, r, k, s, d, pair in axes
        )


def sum_dtype(dtype: DTypeLike) -> jnp.dtype:
    """The dtype to add up many products in: float32 for 16-bit floats."""
    dtype = jnp.dtype(dtype)
    narrow = jnp.issubdtype(dtype, jnp.floating) and dtype.itemsize < 4
    return jnp.dtype(jnp.float32) if narrow else dtype


Forward = Callable[[Array, Array, Settings], Array]
Gradient = Callable[[Array, Array, Settings, Sequence[int]], Array]


def transposed_input_gradient(forward: Forward) -> Gradient:
    """The input gradient as jax transposes `forward`."""

    def input_gradient(
        cotangent: Array, kernel: Array, settings: Settings, spatial: Sequence[int]
    ) -> Array:
        if not jnp.issubdtype(cotangent.dtype, jnp.inexact):  # jax transposes floats
            flipped = flipped_input_gradient(forward)
            return flipped(cotangent, kernel, settings, spatial)
        channels = settings.feature_group_count * kernel.shape[-2]
        shape = (len(cotangent), *spatial, channels)
        primal = zeros_beside(cotangent, shape, cotangent.dtype)
        transpose = jax.linear_transpose(lambda x: forward(x, kernel, settings), primal)
        return transpose(cotangent)[0]

    return input_gradient


def transposed_kernel_gradient(forward: Forward) -> Gradient:
    """The kernel gradient as jax transposes `forward`."""

    def kernel_gradient(
        inputs: Array, cotangent: Array, settings: Settings, window: Sequence[int]
    ) -> Array:
        channels = inputs.shape[-1] // settings.feature_group_count
        shape = (*window, channels, cotangent.shape[-1])
        primal = zeros_beside(cotangent, shape, cotangent.dtype)
        transpose = jax.linear_transpose(lambda k: forward(inputs, k, settings), primal)
        return transpose(cotangent)[0]

    return kernel_gradient


def flipped_input_gradient(forward: Forward) -> Gradient:
    """The input gradient as a convolution, by `forward`, of the cotangent.

        x̄[n, i, c] = Σ_w Σ_o ȳ[n, (i + low − d·w) / s, o] · k[w, c, o]

    where s divides: zeros go between the cotangents, the kernel is flipped in space
    and its channels and features change places.
    """

    def input_gradient(
        cotangent: Array, kernel: Array, settings: Settings, spatial: Sequence[int]
    ) -> Array:
        *window, _, _ = kernel.shape
        turned = turn(settings, window, cotangent.shape[1:-1], spatial)
        return forward(cotangent, flip(kernel, settings), turned)

    return input_gradient


def turn(
    settings: Settings,
    window: Sequence[int],
    out: Sequence[int],
    spatial: Sequence[int],
) -> Settings:
    """The settings of the convolution that leads back from the outputs to the inputs.

    Strides and input dilation change places, the padding is what fits; the rest stays.
    """
    pairs = []
    axes = zip(
        spatial,
        settings.input_dilation,
        window,
        out,
        settings.strides,
        settings.kernel_dilation,
        settings.pairs,
        strict=True,
    )
    for n, r, k, m, s, d, (low, _) in axes:
        reach = span(k, d) - 1
        pairs.append((reach - low, span(n, r) - span(m, s) + low))
    return replace(
        settings,
        strides=settings.input_dilation,
        pairs=tuple(pairs),
        input_dilation=settings.strides,
    )


def flip(kernel: Array, settings: Settings) -> Array:
    """[*window, C // groups, O], reversed in space: [*window, O // groups, C]."""
    *window, channels, features = kernel.shape
    groups = settings.feature_group_count
    flipped = jnp.flip(kernel, range(len(window)))
    flipped = flipped.reshape(*window, channels, groups, features // groups)
    flipped = jnp.swapaxes(flipped, -3, -1)
    return flipped.reshape(*window, features // groups, groups * channels)
