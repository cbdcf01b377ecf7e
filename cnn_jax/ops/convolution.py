"""Convolution over one to three spatial axes.

Layout and shape letters: inputs [N, *spatial, C], kernel [*window, C // groups, O],
outputs [N, *out, O]. Deep learning's convolution does not flip its kernel; `convolve`
does.
"""

from collections.abc import Sequence
from dataclasses import replace

import jax.numpy as jnp
from jax import Array
from jax.lax import PrecisionLike
from jax.typing import ArrayLike, DTypeLike

from cnn_jax.ops.algorithms import Settings
from cnn_jax.ops.algorithms.primitive import convolution
from cnn_jax.ops.windows import (
    Padding,
    canonical,
    dilate,
    output_size,
    pad,
    resolve_padding,
    span,
)

ALGORITHM_NAMES = ("auto", "direct", "im2col", "shifted", "banded")


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
    runs over the channels of o's group.

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
        (one product per tap), "banded" (one product of whole rows), or "auto", which
        picks one of them by `algorithms.selection`.

    Returns:
      [N, *out, O] with out = ⌊(low + n + high − (k − 1)·d − 1) / s⌋ + 1 per axis.

    Raises:
      ValueError: wrong rank; channels or bias that do not match; groups that do not
        divide; a kernel larger than the padded input; an unknown padding or algorithm.

    Reference:
      Dumoulin and Visin, A guide to convolution arithmetic for deep learning, 2016.
    """
    if algorithm not in ALGORITHM_NAMES:
        names = ", ".join(ALGORITHM_NAMES)
        raise ValueError(f"algorithm: expected one of {names}, got {algorithm!r}")
    inputs, kernel, bias = promote(inputs, kernel, bias)
    _check_shapes(inputs, kernel, feature_group_count)
    *window, _, features = kernel.shape
    rank = len(window)
    settings = Settings(
        canonical(strides, rank, "strides"),
        ((0, 0),) * rank,
        canonical(input_dilation, rank, "input_dilation"),
        canonical(kernel_dilation, rank, "kernel_dilation"),
        feature_group_count,
        precision,
        preferred_element_type,
    )
    inputs, settings, out = _resolve(inputs, window, padding, settings)
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
    """The convolution of mathematics: the kernel is flipped over its spatial axes.

        y[n, p, o] = Σ_w Σ_c x[n, s·p + d·w − low, c] · k[size − 1 − w, c, o] + b[o]

    With padding "FULL" it commutes: x * k = k * x. Everything else is as in `conv`.

    Args:
      inputs: [N, *spatial, C], one to three spatial axes.
      kernel: [*window, C // groups, O].
      bias: [O], or none.
      strides: as in `conv`, like all that follows.
      padding: as in `conv`.
      input_dilation: as in `conv`.
      kernel_dilation: as in `conv`.
      feature_group_count: as in `conv`.
      precision: as in `conv`.
      preferred_element_type: as in `conv`.
      algorithm: as in `conv`.

    Returns:
      [N, *out, O].

    Raises:
      ValueError: as `conv`.

    Reference:
      Goodfellow, Bengio and Courville, Deep Learning, equation 9.4, 2016.
    """
    kernel = jnp.asarray(kernel)
    return conv(
        inputs,
        jnp.flip(kernel, range(kernel.ndim - 2)),
        bias,
        strides=strides,
        padding=padding,
        input_dilation=input_dilation,
        kernel_dilation=kernel_dilation,
        feature_group_count=feature_group_count,
        precision=precision,
        preferred_element_type=preferred_element_type,
        algorithm=algorithm,
    )


def promote(
    inputs: ArrayLike, kernel: ArrayLike, bias: ArrayLike | None
) -> tuple[Array, Array, Array | None]:
    """The arguments as arrays of one dtype, by jax's promotion rules."""
    given = [inputs, kernel] if bias is None else [inputs, kernel, bias]
    dtype = jnp.result_type(*given)
    inputs, kernel = jnp.asarray(inputs, dtype), jnp.asarray(kernel, dtype)
    return inputs, kernel, None if bias is None else jnp.asarray(bias, dtype)


def add_bias(
    outputs: Array, bias: Array | None, shapes: Sequence[tuple[int, ...]]
) -> Array:
    """outputs [N, *out, O] plus a bias of one of the given shapes.

    Raises:
      ValueError: a bias of another shape.
    """
    if bias is None:
        return outputs
    if bias.shape not in shapes:
        expected = " or ".join(str(shape) for shape in shapes)
        raise ValueError(f"bias: expected shape {expected}, got {bias.shape}")
    leading = (1,) * (outputs.ndim - bias.ndim)
    return outputs + bias.reshape(leading + bias.shape).astype(outputs.dtype)


def _resolve(
    inputs: Array, window: Sequence[int], padding: Padding, settings: Settings
) -> tuple[Array, Settings, list[int]]:
    """Leave zeros to the algorithms; apply every other border here."""
    strides, dilation = settings.strides, settings.kernel_dilation
    spatial = [
        span(n, d) if n else 0
        for n, d in zip(inputs.shape[1:-1], settings.input_dilation, strict=True)
    ]
    mode, pairs = resolve_padding(padding, spatial, window, strides, dilation)
    axes = zip(spatial, window, strides, dilation, pairs, strict=True)
    out = [output_size(n, k, s, d, *pair) for n, k, s, d, pair in axes]
    if mode == "zeros":
        return inputs, replace(settings, pairs=pairs), out
    padded = pad(dilate(inputs, settings.input_dilation), pairs, mode)
    return padded, replace(settings, input_dilation=(1,) * len(window)), out


def _check_shapes(inputs: Array, kernel: Array, groups: int) -> None:
    check_inputs(inputs)
    if kernel.ndim != inputs.ndim or 0 in kernel.shape[:-2]:
        raise ValueError(
            f"kernel: expected rank {inputs.ndim}, [*window, C // groups, O] with "
            f"window sizes >= 1, for inputs of shape {inputs.shape}, got {kernel.shape}"
        )
    channels, (group_channels, features) = inputs.shape[-1], kernel.shape[-2:]
    if groups < 1 or channels % groups or features % groups:
        raise ValueError(
            f"feature_group_count: expected a divisor of {channels} channels and "
            f"{features} features, got {groups}"
        )
    if group_channels != channels // groups:
        raise ValueError(
            f"kernel: expected {channels // groups} channels ({channels} of the inputs "
            f"/ {groups} groups), got {group_channels} in shape {kernel.shape}"
        )


def check_inputs(inputs: Array) -> None:
    """Raises ValueError unless the inputs have one to three spatial axes."""
    if inputs.ndim not in (3, 4, 5):
        raise ValueError(
            "inputs: expected rank 3 to 5, [N, *spatial, C] with 1 to 3 spatial axes, "
            f"got shape {inputs.shape}"
        )
