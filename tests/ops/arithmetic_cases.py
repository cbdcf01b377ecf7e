"""Known nets as layers, and layers as convolutions."""

from typing import Any

import jax.numpy as jnp

from cnn_jax.ops import Layer, conv

POOL3 = Layer((3, 3), strides=2, padding="VALID")
POOL2 = Layer((2, 2), strides=2, padding="VALID")
VGG16 = [
    layer
    for features, repeats in ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))
    for layer in (*[Layer((3, 3), features)] * repeats, POOL2)
]
ALEXNET = [
    Layer((11, 11), 96, strides=4, padding="VALID"),
    POOL3,
    Layer((5, 5), 256),
    POOL3,
    *(Layer((3, 3), features) for features in (384, 384, 256)),
    POOL3,
]


def stack(layers: Any, sizes: Any, channels: int = 1):
    """The layers as convolutions with kernels of ones; a pool is depthwise."""

    def apply(inputs):
        for layer in layers:
            groups, features = layer.feature_group_count, layer.features
            if features is None:
                groups = features = inputs.shape[-1]
            shape = (*layer.kernel_size, inputs.shape[-1] // groups, features)
            inputs = conv(
                inputs,
                jnp.ones(shape),
                strides=layer.strides,
                padding=layer.padding,
                kernel_dilation=layer.kernel_dilation,
                input_dilation=layer.input_dilation,
                feature_group_count=groups,
                algorithm="direct",
            )
        return inputs

    return apply, jnp.zeros((1, *sizes, channels))
