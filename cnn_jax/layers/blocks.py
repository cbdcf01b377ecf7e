"""A convolution with what follows it, as one layer."""

from collections.abc import Callable

import flax.linen as nn
import jax.numpy as jnp
from flax.linen.dtypes import promote_dtype
from flax.typing import Initializer
from jax import Array
from jax.lax import PrecisionLike
from jax.typing import DTypeLike

from cnn_jax import ops
from cnn_jax.layers.parameters import (
    PerAxis,
    draw_parameters,
    window_of,
    with_one_batch_axis,
)
from cnn_jax.ops.windows import Padding


class ConvMaxPool(nn.Module):
    """Convolution, activation and maximum pooling, computed by `ops.conv_max_pool`.

        z = conv(inputs, kernel) + bias
        a = activation(z)
        y = max_pool(a, window_shape, strides=window_shape)

    Parameters: kernel [*window, C, O], bias [O]; tree and draws are those of `Conv`.

    Attributes:
      features: O.
      kernel_size: of the convolution, as in `Conv`.
      window_shape: of the pooling, one integer or one per axis.
      activation: elementwise, or none.
      padding: of the convolution, as in `Conv`.
      use_bias: whether there is a bias.
      mask: multiplies the kernel, of its shape.
      dtype: of the computation; by default what inputs and parameters promote to.
      param_dtype: of the parameters.
      precision: of the products, as in jax.lax.
      kernel_init: draws the kernel.
      bias_init: draws the bias.
      promote_dtype: brings (inputs, kernel, bias) to one dtype.
    """

    features: int
    kernel_size: PerAxis
    window_shape: PerAxis = 2
    activation: Callable[[Array], Array] | None = nn.relu
    padding: Padding = "SAME"
    use_bias: bool = True
    mask: Array | None = None
    dtype: DTypeLike | None = None
    param_dtype: DTypeLike = jnp.float32
    precision: PrecisionLike = None
    kernel_init: Initializer = nn.initializers.lecun_normal()
    bias_init: Initializer = nn.initializers.zeros_init()
    promote_dtype: Callable = promote_dtype

    @nn.compact
    def __call__(self, inputs: Array) -> tuple[Array, Array, Array]:
        """[..., *spatial, C] -> z and a [..., *out, O], y [..., *⌊out / k⌋, O]"""
        window = window_of(self.kernel_size)
        images, batch_shape = with_one_batch_axis(inputs, window)
        shape = (*window, images.shape[-1], self.features)
        images, kernel, bias = draw_parameters(self, images, shape, (self.features,))
        found = ops.conv_max_pool(
            images,
            kernel,
            bias,
            window_shape=self.window_shape,
            activation=self.activation,
            padding=self.padding,
            precision=self.precision,
        )
        outputs, active, pooled = (
            each.reshape(*batch_shape, *each.shape[1:]) for each in found
        )
        return outputs, active, pooled
