"""Convolution over one to three spatial axes.

Layout and shape letters: inputs [N, *spatial, C], kernel [*window, C // groups, O],
outputs [N, *out, O]. Deep learning's convolution does not flip its kernel; `convolve`
does.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypedDict, Unpack

import jax.numpy as jnp
from jax import Array
from jax.lax import PrecisionLike
from jax.typing import ArrayLike, DTypeLike

from cnn_jax.ops.algorithms import Settings
from cnn_jax.ops.algorithms.primitive import convolution
from cnn_jax.ops.arguments import (
    add_bias,
    check_algorithm,
    check_channels,
    check_inputs,
    check_kernel,
    check_preferred,
    promote,
    unpadded,
)
from cnn_jax.ops.windows import (
    Padding,
    dilate,
    output_size,
    pad,
    resolve_padding,
    span,
)


class DepthwiseOptions(TypedDict, total=False):
    """The keywords of `conv`, for what hands them on, but for the groups."""

    strides: int | Sequence[int]
    padding: Padding
    input_dilation: int | Sequence[int]
    kernel_dilation: int | Sequence[int]
    precision: PrecisionLike
    preferred_element_type: DTypeLike | None
    algorithm: str


class Options(DepthwiseOptions, total=False):
    """The keywords of `conv`, for what hands them on."""

    feature_group_count: int


def conv(
    inputs: ArrayLike,
    kernel: ArrayLike,
    bias: ArrayLike | None = None,
    *,
    strides: int | Sequence[int] = 1,
    padding: Padding = "SAME",
    input_dilation: int | Sequence[int] = 1,
    kernel_dilation: int | Sequence[int] = 1,
    feature_group_count: int = 1,
    precision: PrecisionLike = None,
    preferred_element_type: DTypeLike | None = None,
    algorithm: str = "auto",
) -> Array:
    """The convolution of a network: a cross-correlation, the kernel is not flipped.

        y[n, p, o] = Σ_w Σ_c x[n, s·p + d·w − low, c] · k[w, c, o] + b[o]

    p and w run over all spatial axes, x is zero (or what `padding` says) outside, and c
    runs over the channels of o's group. Named cases: grouped (feature_group_count),
    depthwise (as many groups as channels: `depthwise_conv`), pointwise or 1x1 (a window
    of ones), dilated or atrous (kernel_dilation), fractionally strided
    (input_dilation), causal (padding "CAUSAL"), F-convolution (padding "FULL").

    Args:
      inputs: [N, *spatial, C], one to three spatial axes.
      kernel: [*window, C // groups, O].
      bias: [O], or none.
      strides: s, one integer or one per axis.
      padding: a name of `PADDING_NAMES`, zeros on every side, or zeros per axis; see
        `windows.resolve_padding`. A name refers to the size after input dilation, and
        the values it repeats are those of the dilated inputs.
      input_dilation: inputs move this far apart, with zeros between them.
      kernel_dilation: d, distance between the kernel's elements.
      feature_group_count: channels and features fall into so many groups; a feature
        sees the channels of its own group.
      precision: of the products, as in jax.lax.
      preferred_element_type: of the sums and the outputs, as in jax.lax.
      algorithm: "direct" (XLA's convolution), "im2col" (one matrix product), "shifted"
        (one product per tap), "banded" (one product of whole rows), "winograd2" and
        "winograd4" (F(2, 3) and F(4, 3): 3 taps on one or two axes, no strides or
        dilations, less exact), "fourier"; or "auto", which picks by the
        rule of `algorithms.selection`, or "autotune", which measures once per shape
        and keeps the answer (`algorithms.autotune`).

    Returns:
      [N, *out, O] with out = ⌊(low + n + high − (k − 1)·d − 1) / s⌋ + 1 per axis.

    Raises:
      ValueError: wrong rank; channels or bias that do not match; groups that do not
        divide; a kernel larger than the padded input; an unknown padding or algorithm;
        an algorithm that does not serve the window, the settings or the dtype; a
        preferred_element_type narrower than the arrays'.

    Reference:
      Dumoulin and Visin, A guide to convolution arithmetic for deep learning, 2016.
    """
    inputs, kernel, bias = promote(inputs, kernel, bias)
    check_inputs(inputs)
    check_kernel(inputs, kernel)
    check_channels(inputs.shape[-1], kernel, feature_group_count)
    *window, _, features = kernel.shape
    settings = unpadded(
        len(window),
        strides,
        input_dilation,
        kernel_dilation,
        feature_group_count,
        precision,
        preferred_element_type,
    )
    check_algorithm(algorithm, inputs.dtype, window, settings)
    check_preferred(inputs.dtype, settings)
    prepare, settings, out = resolve(inputs.shape[1:-1], window, padding, settings)
    inputs = prepare(inputs)
    if 0 in out:
        dtype = settings.output_dtype(inputs)
        outputs = jnp.zeros((len(inputs), *out, features), dtype)
    else:
        outputs = convolution(inputs, kernel, settings, (algorithm,) * 3)
    return add_bias(outputs, bias, [(features,)])


def convolve(
    inputs: ArrayLike,
    kernel: ArrayLike,
    bias: ArrayLike | None = None,
    **options: Unpack[Options],
) -> Array:
    """The convolution of mathematics: the kernel is flipped over its spatial axes.

        y[n, p, o] = Σ_w Σ_c x[n, s·p + d·w − low, c] · k[size − 1 − w, c, o] + b[o]

    With padding "FULL" it commutes: x * k = k * x.

    Args:
      inputs: [N, *spatial, C], one to three spatial axes.
      kernel: [*window, C // groups, O].
      bias: [O], or none.
      **options: every keyword of `conv`, with its meaning and default.

    Returns:
      [N, *out, O], as `conv`.

    Raises:
      ValueError: as `conv`.

    Reference:
      Goodfellow, Bengio and Courville, Deep Learning, equation 9.4, 2016.
    """
    kernel = jnp.asarray(kernel)
    flipped = jnp.flip(kernel, range(kernel.ndim - 2))
    return conv(inputs, flipped, bias, **options)


def dense_as_conv(kernel: ArrayLike, spatial: Sequence[int]) -> Array:
    """A dense layer's kernel as one of a convolution over the whole map.

        dense(flatten(x))[n, o] = conv(x, k, padding="VALID")[n, 0, o]

    On larger inputs the convolution slides the dense layer over them, and computes
    what windows have in common once.

    Args:
      kernel: [prod(spatial)·C, O]; its rows are a map [*spatial, C] flattened.
      spatial: sizes of the maps that the dense layer was made for.

    Returns:
      [*spatial, C, O].

    Raises:
      ValueError: another rank, or rows that are no whole number of maps.

    Reference:
      Sermanet et al., OverFeat: integrated recognition, localization and detection
      using convolutional networks, 2013.
    """
    kernel = jnp.asarray(kernel)
    positions = math.prod(spatial)
    if kernel.ndim != 2 or positions < 1 or len(kernel) % positions:
        raise ValueError(
            f"kernel: expected shape (rows, features) with rows a multiple of "
            f"{positions}, the positions of a map {tuple(spatial)}, got {kernel.shape}"
        )
    channels, features = len(kernel) // positions, kernel.shape[1]
    return kernel.reshape(*spatial, channels, features)


def resolve(
    spatial: Sequence[int], window: Sequence[int], padding: Padding, settings: Settings
) -> tuple[Callable[[Array], Array], Settings, list[int]]:
    """What comes before a convolution, what is left to its algorithms, output sizes.

    The algorithms know borders of zeros alone. Every other border is made before, by a
    linear function of the inputs, after they are dilated.

    Args:
      spatial: sizes of the inputs.
      window: sizes of the kernel.
      padding: as in `conv`.
      settings: strides and dilations; its pairs do not count.

    Returns:
      (prepare, settings, out): `convolution(prepare(inputs), kernel, settings)` has
      spatial sizes out.

    Raises:
      ValueError: an unknown padding; a kernel larger than the padded inputs.
    """
    strides, dilation = settings.strides, settings.kernel_dilation
    sizes = [
        span(n, r) if n else 0
        for n, r in zip(spatial, settings.input_dilation, strict=True)
    ]
    mode, pairs = resolve_padding(padding, sizes, window, strides, dilation)
    axes = zip(sizes, window, strides, dilation, pairs, strict=True)
    out = [output_size(n, k, s, d, *pair) for n, k, s, d, pair in axes]
    if mode == "zeros":
        return lambda inputs: inputs, replace(settings, pairs=pairs), out

    def prepare(inputs: Array) -> Array:
        return pad(dilate(inputs, settings.input_dilation), pairs, mode)

    return prepare, replace(settings, input_dilation=(1,) * len(window)), out
