"""The convolutional network of the classical literature, with its parts as fields."""

from collections.abc import Callable

import flax.linen as nn
import jax
from jax import Array

from cnn_jax import layers, ops


def max_pool_2x2(inputs: Array) -> Array:
    """The largest of each 2x2 block: [N, H, W, C] -> [N, H // 2, W // 2, C]."""
    return ops.max_pool(inputs, (2, 2), strides=(2, 2))


class LeNet(nn.Module):
    """Blocks of convolution, activation and pool, then dense layers.

        h = pool(activation(conv_i(h)))          i = 1, 2, ...
        h = flatten(h), or the mean over positions
        h = activation(dense_j(h))               j = 1, 2, ...
        logits = dense(h)

    The layout is LeNet-5's; its subsampling with weights, its incomplete connections
    and its radial basis outputs are replaced by what came after them. The strided twin,
    without a pool, is `LeNet(pool=None, conv_strides=2)`.

    All fields are hashable, so a model is a static argument of a jitted function.

    Attributes:
      features: channels per convolution.
      kernel_size: of every convolution.
      dense: widths of the hidden dense layers.
      num_classes: number of logits.
      conv: the class of the convolutions; flax.linen's Conv gives the same network.
      pool: [N, H, W, C] -> [N, H', W', C] after each convolution, or None. The default
        is computed together with a convolution of the default class, see
        `ops.conv_max_pool`: the numbers of any other 2x2 maximum, up to rounding.
      conv_strides: of every convolution.
      head: "flatten", or "global" for the mean over positions.
      padding: of every convolution.
      activation: elementwise.

    Reference:
      LeCun, Bottou, Bengio and Haffner, Gradient-based learning applied to document
      recognition, 1998.
    """

    features: tuple[int, ...] = (6, 16)
    kernel_size: tuple[int, int] = (5, 5)
    dense: tuple[int, ...] = (120, 84)
    num_classes: int = 10
    conv: Callable[..., nn.Module] = layers.Conv
    pool: Callable[[Array], Array] | None = max_pool_2x2
    conv_strides: int = 1
    head: str = "flatten"
    padding: str = "SAME"
    activation: Callable[[Array], Array] = nn.relu

    @nn.compact
    def __call__(self, images: Array) -> tuple[Array, dict[str, Array]]:
        """Classifies images.

        Args:
          images: [N, H, W, C].

        Returns:
          logits [N, num_classes], and the activations by name: for every block i
          "conv{i}" (before the activation), "active{i}" and, with a pool, "pool{i}"
          [N, H', W', C']; "head" [N, D]; for every hidden dense layer j "dense{j}"
          (after the activation).

        Raises:
          ValueError: an unknown head, or images that are not of rank 4.
        """
        if self.head not in ("flatten", "global"):
            raise ValueError(f"head: expected 'flatten' or 'global', got {self.head!r}")
        if images.ndim != 4:
            raise ValueError(f"images: expected [N, H, W, C], got {images.shape}")
        hidden, activations = self._convolve(images)
        if self.head == "flatten":
            hidden = jax.lax.collapse(hidden, 1)
        else:
            hidden = ops.global_avg_pool(hidden)
        activations["head"] = hidden
        for number, width in enumerate(self.dense, start=1):
            hidden = self.activation(nn.Dense(width, name=f"dense{number}")(hidden))
            activations[f"dense{number}"] = hidden
        return nn.Dense(self.num_classes, name="logits")(hidden), activations

    def _convolve(self, images: Array) -> tuple[Array, dict[str, Array]]:
        hidden, activations = images, {}
        for number, features in enumerate(self.features, start=1):
            block = self._block(hidden, features, f"conv{number}")
            names = (f"conv{number}", f"active{number}", f"pool{number}")
            activations.update(zip(names, block, strict=False))  # the last where it is
            hidden = block[-1]
        return hidden, activations

    def _block(self, hidden: Array, features: int, name: str) -> tuple[Array, ...]:
        """A convolution's outputs, activated, and pooled if they are."""
        fields = {
            "features": features,
            "kernel_size": self.kernel_size,
            "strides": self.conv_strides,
            "padding": self.padding,
            "name": name,
        }
        if self.conv is layers.Conv and self.pool is max_pool_2x2:
            return layers.ConvMaxPool(**fields, activation=self.activation)(hidden)
        outputs = self.conv(**fields)(hidden)
        active = self.activation(outputs)
        if self.pool is None:
            return outputs, active
        return outputs, active, self.pool(active)
