"""The residual network for small images, and its plain twin."""

from collections.abc import Callable

import flax.linen as nn
import jax.numpy as jnp
from flax.typing import Initializer
from jax import Array

from cnn_jax import layers, ops


class TrainingBatchNorm(nn.Module):
    """flax.linen.BatchNorm in training mode, always: no running averages.

        y = normalize(inputs, batch_statistics(inputs), scale, bias)

    Outputs depend on the batch as a whole, in training and in testing; in return the
    parameters are all there is. Parameters: scale [C], bias [C].

    Attributes:
      epsilon: added to the variance.
    """

    epsilon: float = 1e-5

    @nn.compact
    def __call__(self, inputs: Array) -> Array:
        """[..., C] -> [..., C]"""
        features = inputs.shape[-1:]
        scale = self.param("scale", nn.initializers.ones, features)
        bias = self.param("bias", nn.initializers.zeros, features)
        statistics = ops.batch_statistics(inputs)
        return ops.normalize(inputs, statistics, scale, bias, epsilon=self.epsilon)


class ResNet(nn.Module):
    """6n + 2 layers: a stem, three stages of n blocks with two convolutions, dense.

        h_1 = activation(norm(conv(images)))
        h_2b = activation(norm(conv(h_2b-1)))                               b = 1 ... 3n
        h_2b+1 = activation(norm(conv(h_2b)) + shortcut(h_2b-1))
        logits = dense(mean of h_6n+1 over positions)

    All kernels are 3x3. The first block of the second and third stage halves the sizes
    (rounded up) by stride 2. The plain twin leaves out the shortcuts and has the same
    layers and, with shortcut "pad", the same parameters.

    All fields are hashable, so a model is a static argument of a jitted function.

    Attributes:
      depth: 6n + 2: 20, 32, 44, 56 and 110 are the reference's.
      residual: whether there are shortcuts.
      features: channels per stage.
      num_classes: number of logits.
      shortcut: where a block changes shape: "pad" for every second pixel and zeros for
        the new channels (the reference's option A, no parameters), "projection" for a
        1x1 convolution with a norm (option B).
      conv: the class of the convolutions; flax.linen's Conv gives the same network.
      norm: the class after each convolution, or None; a convolution has a bias only
        without one. The default normalizes by the statistics of the batch given, so
        that variables == {"params"}. For running averages give
        `functools.partial(nn.BatchNorm, use_running_average=...)`.
      activation: elementwise.
      kernel_init: draws the kernels.

    Reference:
      He, Zhang, Ren and Sun, Deep residual learning for image recognition, 2015.
    """

    depth: int = 20
    residual: bool = True
    features: tuple[int, int, int] = (16, 32, 64)
    num_classes: int = 10
    shortcut: str = "pad"
    conv: Callable[..., nn.Module] = layers.Conv
    norm: Callable[..., nn.Module] | None = TrainingBatchNorm
    activation: Callable[[Array], Array] = nn.relu
    kernel_init: Initializer = nn.initializers.he_normal()

    @nn.compact
    def __call__(self, images: Array) -> tuple[Array, dict[str, Array]]:
        """Classifies images.

        Args:
          images: [N, H, W, C].

        Returns:
          logits [N, num_classes], and the activations by name: "layer{l}" is h_l
          [N, H', W', C'] for l from 1 to 6n + 1; "head" [N, C'].

        Raises:
          ValueError: a depth that is not 6n + 2, an unknown shortcut, or images that
            are not of rank 4.
        """
        if self.depth < 8 or self.depth % 6 != 2:
            raise ValueError(f"depth: expected 6n + 2, n >= 1, got {self.depth}")
        if self.shortcut not in ("pad", "projection"):
            raise ValueError(
                f"shortcut: expected 'pad' or 'projection', got {self.shortcut!r}"
            )
        if images.ndim != 4:
            raise ValueError(f"images: expected [N, H, W, C], got {images.shape}")
        hidden = self.activation(self._convolve(images, self.features[0], 1, "layer1"))
        activations = {"layer1": hidden}
        num_blocks = (self.depth - 2) // 6
        for block in range(3 * num_blocks):
            stage, place = divmod(block, num_blocks)
            strides = 2 if stage and not place else 1
            inner, hidden = self._block(
                hidden, self.features[stage], strides, 2 * block + 2
            )
            activations[f"layer{2 * block + 2}"] = inner
            activations[f"layer{2 * block + 3}"] = hidden
        activations["head"] = ops.global_avg_pool(hidden)
        dense = nn.Dense(self.num_classes, kernel_init=self.kernel_init, name="logits")
        return dense(activations["head"]), activations

    def _block(
        self, inputs: Array, features: int, strides: int, number: int
    ) -> tuple[Array, Array]:
        """h_2b and h_2b+1 of h_2b-1, where number = 2b."""
        inner = self._convolve(inputs, features, strides, f"layer{number}")
        inner = self.activation(inner)
        outputs = self._convolve(inner, features, 1, f"layer{number + 1}")
        if self.residual:
            outputs += self._shortcut(inputs, features, strides, f"shortcut{number}")
        return inner, self.activation(outputs)

    def _shortcut(self, inputs: Array, features: int, strides: int, name: str) -> Array:
        if strides == 1 and inputs.shape[-1] == features:
            return inputs
        if self.shortcut == "projection":
            return self._convolve(inputs, features, strides, name, 1)
        new = features - inputs.shape[-1]
        return jnp.pad(
            inputs[:, ::strides, ::strides], ((0, 0), (0, 0), (0, 0), (0, new))
        )

    def _convolve(
        self, inputs: Array, features: int, strides: int, name: str, size: int = 3
    ) -> Array:
        """norm(conv(inputs)), its windows centered on every strides-th pixel."""
        convolution = self.conv(
            features,
            (size, size),
            strides=strides,
            # As "SAME", but centered where a shortcut looks, on even sizes too.
            padding=size // 2,
            use_bias=self.norm is None,
            kernel_init=self.kernel_init,
            name=f"{name}_conv",
        )
        outputs = convolution(inputs)
        if self.norm is None:
            return outputs
        return self.norm(name=f"{name}_norm")(outputs)
