"""Convolutional layers: shared, depthwise, separable, local and tiled kernels.

Inputs are [..., *spatial, C] with any number of leading axes, none included; the number
of spatial axes is that of `kernel_size`.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import flax.linen as nn
import jax
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
from cnn_jax.ops.windows import Padding, canonical


class _Convolution(nn.Module):
    """The fields of flax.linen.Conv, without its hooks, and what its kinds share."""

    features: int
    kernel_size: PerAxis
    strides: PerAxis | None = 1
    padding: Padding = "SAME"
    input_dilation: PerAxis | None = 1
    kernel_dilation: PerAxis | None = 1
    feature_group_count: int = 1
    use_bias: bool = True
    mask: Array | None = None
    dtype: DTypeLike | None = None
    param_dtype: DTypeLike = jnp.float32
    precision: PrecisionLike = None
    kernel_init: Initializer = nn.initializers.lecun_normal()
    bias_init: Initializer = nn.initializers.zeros_init()
    promote_dtype: Callable = promote_dtype

    def _geometry(self) -> dict:
        """What every kind of convolution in ops takes by keyword."""
        # None means 1 in flax.linen.
        steps = {
            "strides": self.strides,
            "input_dilation": self.input_dilation,
            "kernel_dilation": self.kernel_dilation,
        }
        per_axis = {name: 1 if n is None else n for name, n in steps.items()}
        return {**per_axis, "padding": self.padding, "precision": self.precision}

    def _check_ungrouped(self) -> None:
        if self.feature_group_count != 1:
            raise ValueError(
                f"feature_group_count: expected 1 in {type(self).__name__}, "
                f"got {self.feature_group_count}"
            )


class Conv(_Convolution):
    """flax.linen.Conv, computed by `ops.conv`.

        y = conv(inputs, kernel · mask) + bias

    Parameters: kernel [*window, C // groups, O], bias [O].

    Attributes:
      features: O.
      kernel_size: the window, one integer per spatial axis; a bare one means one axis.
      strides: distance between windows, one integer or one per axis.
      padding: as in `ops.conv`: "SAME", "CIRCULAR", ..., or zeros per axis.
      input_dilation: zeros between the inputs' neighbors.
      kernel_dilation: distance between the kernel's elements.
      feature_group_count: groups of channels that do not mix.
      use_bias: whether there is a bias.
      mask: multiplies the kernel, of its shape.
      dtype: of the computation; by default what inputs and parameters promote to.
      param_dtype: of the parameters.
      precision: of the products, as in jax.lax.
      kernel_init: draws the kernel.
      bias_init: draws the bias.
      promote_dtype: brings (inputs, kernel, bias) to one dtype.
      algorithm: as in `ops.conv`; the one field that flax.linen does not have.
    """

    algorithm: str = "auto"

    @nn.compact
    def __call__(self, inputs: Array) -> Any:
        """[..., *spatial, C] -> [..., *out, O]"""
        window = window_of(self.kernel_size)
        images, batch_shape = with_one_batch_axis(inputs, window)
        channels, groups = images.shape[-1], self.feature_group_count
        if groups < 1 or channels % groups:
            raise ValueError(
                f"feature_group_count: expected a divisor of {channels} channels, "
                f"got {groups}"
            )
        kernel_shape = (*window, channels // groups, self.features)
        images, kernel, bias = draw_parameters(
            self, images, kernel_shape, (self.features,)
        )
        found = self._computed(
            images,
            kernel,
            bias,
            feature_group_count=groups,
            algorithm=self.algorithm,
            **self._geometry(),
        )
        return jax.tree.map(lambda y: y.reshape(*batch_shape, *y.shape[1:]), found)

    def _computed(self, *arrays: Any, **options: Any) -> Any:
        return ops.conv(*arrays, **options)


class ConvMaxPool(Conv):
    """Convolution, activation and maximum pooling, computed by `ops.conv_max_pool`.

        z = conv(inputs, kernel · mask) + bias
        a = activation(z)
        y = max_pool(a, window_shape, strides=window_shape)

    It returns (z, a, y). Parameters and their draws, and fields, as in `Conv`.

    Attributes:
      window_shape: of the pooling, one integer or one per axis.
      activation: of z, or none.
    """

    window_shape: PerAxis = 2
    activation: Callable[[Array], Array] | None = nn.relu

    def _computed(self, *arrays: Any, **options: Any) -> Any:
        pooling = {"window_shape": self.window_shape, "activation": self.activation}
        return ops.conv_max_pool(*arrays, **pooling, **options)


class DepthwiseConv(_Convolution):
    """A convolution of every channel by itself, computed by `ops.depthwise_conv`.

    Parameters: kernel [*window, 1, O], bias [O]; O is a multiple of the channels.
    Fields as in `Conv`, feature_group_count 1: tree and draws are those of `Conv` with
    as many groups as channels.
    """

    algorithm: str = "auto"

    @nn.compact
    def __call__(self, inputs: Array) -> Array:
        """[..., *spatial, C] -> [..., *out, O]"""
        self._check_ungrouped()
        window = window_of(self.kernel_size)
        images, batch_shape = with_one_batch_axis(inputs, window)
        channels = images.shape[-1]
        if channels < 1 or self.features % channels:
            raise ValueError(
                f"features: expected a multiple of {channels} channels, "
                f"got {self.features}"
            )
        kernel_shape = (*window, 1, self.features)
        images, kernel, bias = draw_parameters(
            self, images, kernel_shape, (self.features,)
        )
        outputs = ops.depthwise_conv(
            images, kernel, bias, algorithm=self.algorithm, **self._geometry()
        )
        return outputs.reshape(*batch_shape, *outputs.shape[1:])


class SeparableConv(_Convolution):
    """A depthwise convolution, then one with a 1x1 kernel, as `ops.separable_conv`.

    Parameters: depthwise/kernel [*window, 1, C·multiplier], pointwise/kernel
    [1, ..., C·multiplier, O], pointwise/bias [O]. Fields as in `Conv`,
    feature_group_count 1, and `multiplier`. Strides, padding, dilations and mask are
    those of the depthwise step.

    Attributes:
      multiplier: kernels per channel in the depthwise step.
    """

    multiplier: int = 1
    algorithm: str = "auto"

    @nn.compact
    def __call__(self, inputs: Array) -> Array:
        """[..., *spatial, C] -> [..., *out, O]"""
        self._check_ungrouped()
        window = window_of(self.kernel_size)
        both = {
            "dtype": self.dtype,
            "param_dtype": self.param_dtype,
            "kernel_init": self.kernel_init,
            "promote_dtype": self.promote_dtype,
            "algorithm": self.algorithm,
        }
        depthwise = DepthwiseConv(
            inputs.shape[-1] * self.multiplier,
            window,
            mask=self.mask,
            use_bias=False,
            name="depthwise",
            **self._geometry(),
            **both,
        )
        pointwise = Conv(
            self.features,
            (1,) * len(window),
            use_bias=self.use_bias,
            bias_init=self.bias_init,
            precision=self.precision,
            name="pointwise",
            **both,
        )
        return pointwise(depthwise(inputs))


class ConvLocal(_Convolution):
    """flax.linen.ConvLocal: an own kernel and bias at every output position.

    Parameters: kernel [*out, C·prod(window), O], bias [*out, O]. Fields as in `Conv`,
    feature_group_count 1.

    The default `kernel_init`, flax's, counts the output positions into the fan-in, so
    its draws are smaller than Conv's by √prod(out). For Conv's scale pass
    `lecun_normal(batch_axis=range(r))`, r spatial axes.
    """

    @nn.compact
    def __call__(self, inputs: Array) -> Array:
        """[..., *spatial, C] -> [..., *out, O]"""
        self._check_ungrouped()
        window = window_of(self.kernel_size)
        images, batch_shape = with_one_batch_axis(inputs, window)
        channels = images.shape[-1]
        shared = jax.ShapeDtypeStruct((*window, channels, 1), images.dtype)
        one_kernel = jax.eval_shape(self._conv, images, shared)
        out = one_kernel.shape[1:-1]
        columns = math.prod(window) * channels
        images, kernel, bias = draw_parameters(
            self, images, (*out, columns, self.features), (*out, self.features)
        )
        outputs = ops.locally_connected(
            images, kernel, bias, window_shape=window, **self._geometry()
        )
        return outputs.reshape(*batch_shape, *outputs.shape[1:])

    def _conv(self, images: Array, kernel: Array) -> Array:
        return ops.conv(images, kernel, **self._geometry())


class TiledConv(_Convolution, kw_only=True):
    """A convolution whose kernels take turns over the output positions.

    Parameters: kernel [*tiles, *window, C, O], bias [O]. Fields as in `Conv`,
    feature_group_count 1, and `tiles`. Each tile's kernel is a draw of its own by
    `kernel_init` at shape [*window, C, O], so its scale is Conv's.

    Attributes:
      tiles: kernels per axis: one integer or one per axis.
    """

    tiles: PerAxis

    @nn.compact
    def __call__(self, inputs: Array) -> Array:
        """[..., *spatial, C] -> [..., *out, O]"""
        self._check_ungrouped()
        window = window_of(self.kernel_size)
        images, batch_shape = with_one_batch_axis(inputs, window)
        tiles = canonical(self.tiles, len(window), "tiles")
        images, kernel, bias = draw_parameters(
            self,
            images,
            (*tiles, *window, images.shape[-1], self.features),
            (self.features,),
            self._draw_tiles,
        )
        outputs = ops.tiled_conv(images, kernel, bias, **self._geometry())
        return outputs.reshape(*batch_shape, *outputs.shape[1:])

    def _draw_tiles(self, key: Array, shape: Sequence[int], dtype: DTypeLike) -> Array:
        rank = len(window_of(self.kernel_size))
        keys = jax.random.split(key, math.prod(shape[:rank]))
        draw = jax.vmap(lambda tile: self.kernel_init(tile, shape[rank:], dtype))
        return draw(keys).reshape(shape)
