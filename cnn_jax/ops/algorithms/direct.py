"""Convolution and its gradients by XLA's own operation."""

from jax import Array, lax

from cnn_jax.ops.algorithms import (
    Settings,
    flipped_input_gradient,
    transposed_kernel_gradient,
)

_DIMENSION_NUMBERS = {
    3: ("NWC", "WIO", "NWC"),
    4: ("NHWC", "HWIO", "NHWC"),
    5: ("NDHWC", "DHWIO", "NDHWC"),
}


def forward(inputs: Array, kernel: Array, settings: Settings) -> Array:
    """lax.conv_general_dilated, channels last.

    Args:
      inputs: [N, *spatial, C].
      kernel: [*window, C // groups, O].
      settings: strides, padding, dilations, groups, precision.

    Returns:
      [N, *out, O].
    """
    return lax.conv_general_dilated(
        inputs,
        kernel,
        settings.strides,
        settings.pairs,
        lhs_dilation=settings.input_dilation,
        rhs_dilation=settings.kernel_dilation,
        dimension_numbers=_DIMENSION_NUMBERS[inputs.ndim],
        feature_group_count=settings.feature_group_count,
        precision=settings.precision,
        preferred_element_type=settings.preferred_element_type,
    )


# Channels stay last, which keeps its speed inside a loop: the transposed operation does
# not.
input_gradient = flipped_input_gradient(forward)
kernel_gradient = transposed_kernel_gradient(forward)
