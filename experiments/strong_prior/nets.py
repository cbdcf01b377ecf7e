"""The nets: convolution and pooling, all dense, and what lies between.

The nets of the prior are LeNet (two convolutions 5x5 with 2x2 max pools, then dense
layers) and two hidden dense layers of one width, at which both have the same number of
parameters to a percent. The nets of sharing have the maps of LeNet with stride 2 and no
pool; they differ in what computes a map from the one below: one kernel for all places,
an own kernel for every place, or a weight for every pair of places.
"""

import math
from collections.abc import Mapping
from functools import lru_cache

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array

from cnn_jax.layers import Conv, ConvLocal
from cnn_jax.models import LeNet

ARMS = ("conv", "dense")
SHARING = ("conv", "unshared", "dense")
WIDEST = 1000


class DenseMaps(nn.Module):
    """Maps of a convolution's size, every value of which sees all of the input.

    The fields that LeNet gives to its convolutions; the window has no meaning here.
    """

    features: int
    kernel_size: tuple[int, int]
    strides: int = 1
    padding: str = "SAME"

    @nn.compact
    def __call__(self, inputs: Array) -> Array:
        """[N, H, W, C] -> [N, ⌈H/s⌉, ⌈W/s⌉, O]"""
        number, *spatial, _ = inputs.shape
        shape = (*(-(-size // self.strides) for size in spatial), self.features)
        hidden = inputs.reshape(number, -1)
        draw, units = nn.initializers.lecun_normal(), math.prod(shape)
        kernel = self.param("kernel", draw, (hidden.shape[1], units))
        bias = self.param("bias", nn.initializers.zeros_init(), (units,))
        return (hidden @ kernel + bias[None]).reshape(number, *shape)


def num_params(net: nn.Module, image_shape: tuple[int, ...]) -> int:
    """Parameters of a net of images [*image_shape]."""
    images = jnp.zeros((1, *image_shape))
    tree = jax.eval_shape(net.init, jax.random.key(0), images)
    return sum(leaf.size for leaf in jax.tree.leaves(tree))


@lru_cache
def prior_nets(
    image_shape: tuple[int, ...], num_classes: int
) -> Mapping[str, nn.Module]:
    """The nets of ARMS: the dense one of the width that matches the other best."""
    conv = LeNet(num_classes=num_classes)
    wanted = num_params(conv, image_shape)
    inputs = math.prod(image_shape)

    def excess(width: int) -> int:
        connections = inputs * width + width**2 + width * num_classes
        return abs(connections + 2 * width + num_classes - wanted)

    width = min(range(1, WIDEST), key=excess)
    dense = LeNet(features=(), dense=(width, width), num_classes=num_classes)
    return dict(zip(ARMS, (conv, dense), strict=True))


def sharing_nets() -> dict[str, nn.Module]:
    """The nets of SHARING, of equal widths and maps."""
    layers = (Conv, ConvLocal, DenseMaps)
    return {
        name: LeNet(conv=layer, pool=None, conv_strides=2)
        for name, layer in zip(SHARING, layers, strict=True)
    }
