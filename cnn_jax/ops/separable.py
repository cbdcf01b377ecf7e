"""Convolutions that keep the channels apart, and mix them in a second step if at all.

Layout and shape letters: inputs [N, *spatial, C], outputs [N, *out, O].
"""

from typing import Unpack

import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from cnn_jax.ops.arguments import check_inputs, check_kernel
from cnn_jax.ops.convolution import DepthwiseOptions, conv


def depthwise_conv(
    inputs: ArrayLike,
    kernel: ArrayLike,
    bias: ArrayLike | None = None,
    **options: Unpack[DepthwiseOptions],
) -> Array:
    """A convolution of every channel by itself, with `multiplier` kernels for each.

        y[n, p, o] = Σ_w x[n, s·p + d·w − low, ⌊o / multiplier⌋] · k[w, 0, o] + b[o]

    That is `conv` with as many groups as channels.

    Args:
      inputs: [N, *spatial, C], one to three spatial axes.
      kernel: [*window, 1, C·multiplier].
      bias: [C·multiplier], or none.
      **options: every keyword of `conv` but feature_group_count.

    Returns:
      [N, *out, C·multiplier].

    Raises:
      ValueError: a kernel whose features are no multiple of the channels; or as `conv`.

    Reference:
      Sifre, Rigid-motion scattering for image classification, 2014.
    """
    inputs, kernel = jnp.asarray(inputs), jnp.asarray(kernel)
    check_inputs(inputs)
    check_kernel(inputs, kernel)
    channels = inputs.shape[-1]
    if kernel.shape[-2] != 1 or channels < 1 or kernel.shape[-1] % channels:
        raise ValueError(
            "kernel: expected shape (*window, 1, C * multiplier) for inputs of "
            f"C = {channels} channels, got {kernel.shape}"
        )
    return conv(inputs, kernel, bias, feature_group_count=channels, **options)


def separable_conv(
    inputs: ArrayLike,
    depthwise_kernel: ArrayLike,
    pointwise_kernel: ArrayLike,
    bias: ArrayLike | None = None,
    **options: Unpack[DepthwiseOptions],
) -> Array:
    """A depthwise convolution, then one with a 1x1 kernel: space first, then channels.

        h[n, p, m] = Σ_w x[n, s·p + d·w − low, ⌊m / multiplier⌋] · k₁[w, 0, m]
        y[n, p, o] = Σ_m h[n, p, m] · k₂[m, o] + b[o]

    For a kernel of K taps K·C·multiplier + C·multiplier·O parameters, where `conv` has
    K·C·O.

    Args:
      inputs: [N, *spatial, C], one to three spatial axes.
      depthwise_kernel: k₁, [*window, 1, C·multiplier].
      pointwise_kernel: k₂, [1, ..., C·multiplier, O].
      bias: [O], or none.
      **options: every keyword of `conv` but feature_group_count. Strides, padding and
        dilations are those of the depthwise step.

    Returns:
      [N, *out, O].

    Raises:
      ValueError: a pointwise kernel of another window than ones; or as
        `depthwise_conv` and `conv`.

    Reference:
      Chollet, Xception: deep learning with depthwise separable convolutions, 2017.
    """
    if any(size != 1 for size in jnp.shape(pointwise_kernel)[:-2]):
        raise ValueError(
            "pointwise_kernel: expected shape (1, ..., C * multiplier, O), got "
            f"{jnp.shape(pointwise_kernel)}"
        )
    hidden = depthwise_conv(inputs, depthwise_kernel, **options)
    # The sums of the first step may be of a wider type than its arguments.
    return conv(
        hidden,
        jnp.asarray(pointwise_kernel, hidden.dtype),
        None if bias is None else jnp.asarray(bias, hidden.dtype),
        precision=options.get("precision"),
        preferred_element_type=options.get("preferred_element_type"),
        algorithm=options.get("algorithm", "auto"),
    )
