"""Closed forms for any stack of convolutions and pools: sizes, costs and fields.

A stack is a sequence of `Layer`, first layer first; shapes are those of one image,
(*spatial, C). A dense layer over a whole map is a convolution with its window and
padding "VALID"; a transposed convolution is one with `input_dilation`.

Letters, per axis: n size, k window, s stride, d kernel dilation, i input dilation,
e = (k − 1)·d + 1 the window's span, (low, high) the padding.
"""

from cnn_jax.ops.arithmetic.costs import Layer, num_macs, num_params, output_shapes
from cnn_jax.ops.arithmetic.fields import Field, field_positions, receptive_field

__all__ = [
    "Field",
    "Layer",
    "field_positions",
    "num_macs",
    "num_params",
    "output_shapes",
    "receptive_field",
]
