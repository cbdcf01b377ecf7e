"""XLA's convolution with one output row too many, which its CPU compiler does faster.

For float32 images XLA's CPU backend hands a convolution to one of two libraries, and
the one it prefers is the slower: up to twice forward, ten times in the kernel gradient,
and in a loop the gradients reach neither. It keeps to the other (Eigen) where the
output is taller than the input, or the kernel taller than the input. So each form here
is padded by as many rows of zeros as that takes, and what comes of them is cut off.
(Rule: ynn_support.cc of XLA, jaxlib 0.10.2; on other versions a few rows are wasted.)
"""

from collections.abc import Sequence
from dataclasses import replace

from jax import Array

from cnn_jax.ops.algorithms import Settings, direct, flipped_input_gradient
from cnn_jax.ops.windows import pad


def forward(inputs: Array, kernel: Array, settings: Settings) -> Array:
    """The direct convolution, one row taller than its input.

    Args:
      inputs: [N, *spatial, C].
      kernel: [*window, C // groups, O].
      settings: strides, padding, dilations, groups, precision.

    Returns:
      [N, *out, O].
    """
    rows = settings.out(inputs.shape[1:-1], kernel.shape[:-2])[0]
    missing = inputs.shape[1] + 1 - rows
    if missing <= 0:
        return direct.forward(inputs, kernel, settings)
    (low, high), *pairs = settings.pairs
    taller = ((low, high + missing * settings.strides[0]), *pairs)
    outputs = direct.forward(inputs, kernel, replace(settings, pairs=taller))
    return outputs[:, :rows]


input_gradient = flipped_input_gradient(forward)


def kernel_gradient(
    inputs: Array, cotangent: Array, settings: Settings, window: Sequence[int]
) -> Array:
    """A convolution of the inputs by the cotangent, summed over the images.

        k̄[w, c, o] = Σ_n Σ_p x[n, s·p + d·w − low, c] · ȳ[n, p, o]

    Channels take the place of images and images that of channels: inputs [C, *, N],
    kernel [*, N, O]. Images only, without groups and input dilation.

    Args:
      inputs: [N, *spatial, C].
      cotangent: [N, *out, O].
      settings: strides, padding, kernel dilation, precision.
      window: sizes of the kernel.

    Returns:
      [*window, C, O].
    """
    (low, high), (left_edge, right_edge) = settings.pairs
    rows, columns = inputs.shape[1:-1]
    out_rows, out_columns = cotangent.shape[1:-1]
    missing = max(rows + 1 - out_rows, 0)
    # The operands would be swapped if the kernel's area were the larger one, and a
    # border that is added after the transposition would not count.
    needed = -(-(out_rows + missing) * out_columns // rows)
    right_edge += max(needed - (left_edge + columns + right_edge), 0)
    padded = pad(inputs, ((0, 0), (left_edge, right_edge)), "zeros")
    slopes = pad(cotangent, ((0, missing), (0, 0)), "zeros")
    taller = ((low, high + missing * settings.strides[0]), (0, 0))
    correlation = replace(
        settings,
        strides=settings.kernel_dilation,
        kernel_dilation=settings.strides,
        pairs=taller,
    )
    products = direct.forward(
        padded.transpose(3, 1, 2, 0), slopes.transpose(1, 2, 0, 3), correlation
    )
    return products[:, : window[0], : window[1]].transpose(1, 2, 0, 3)
