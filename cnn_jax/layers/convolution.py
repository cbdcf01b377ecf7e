"""Convolutional layers: shared, local and tiled kernels.

Inputs are [..., *spatial, C] with any number of leading axes, none included; the number
of spatial axes is that of `kernel_size`.
"""

import math
from collections.abc import Callable, Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax.linen.dtypes import promote_dtype
from flax.typing import Initializer
from jax import Array
from jax.lax import PrecisionLike
from jax.typing import DTypeLike

from cnn_jax import ops
from cnn_jax.ops.windows import Padding, canonical

PerAxis = int | Sequence[int]


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

    def _window(self) -> tuple[int, ...]:
        rank = 1 if isinstance(self.kernel_size, int) else len(self.kernel_size)
        return canonical(self.kernel_size, rank, "kernel_size")

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

    def _with_one_batch_axis(self, inputs: Array) -> tuple[Array, tuple[int, ...]]:
        rank = len(self._window())
        if inputs.ndim <= rank:
            raise ValueError(
                f"inputs: expected [..., {rank} spatial axes, C] for kernel_size "
                f"{self.kernel_size}, got shape {inputs.shape}"
            )
        batch, image = inputs.shape[: -rank - 1], inputs.shape[-rank - 1 :]
        return inputs.reshape(math.prod(batch), *image), batch

    def _parameters(
        self,
        inputs: Array,
        kernel_shape: tuple[int, ...],
        bias_shape: tuple[int, ...],
        kernel_init: Initializer | None = None,
    ) -> tuple[Array, Array, Array | None]:
        """Inputs, masked kernel and bias in the dtype of the computation."""
        if self.mask is not None and self.mask.shape != kernel_shape:
            raise ValueError(
                f"mask: expected the kernel's shape {kernel_shape}, "
                f"got {self.mask.shape}"
            )
        init = kernel_init or self.kernel_init
        kernel = self.param("kernel", init, kernel_shape, self.param_dtype)
        if self.mask is not None:
            kernel *= self.mask
        bias = None
        if self.use_bias:
            bias = self.param("bias", self.bias_init, bias_shape, self.param_dtype)
        return self.promote_dtype(inputs, kernel, bias, dtype=self.dtype)

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
    def __call__(self, inputs: Array) -> Array:
        """[..., *spatial, C] -> [..., *out, O]"""
        images, batch_shape = self._with_one_batch_axis(inputs)
        channels, groups = images.shape[-1], self.feature_group_count
        if groups < 1 or channels % groups:
            raise ValueError(
                f"feature_group_count: expected a divisor of {channels} channels, "
                f"got {groups}"
            )
        kernel_shape = (*self._window(), channels // groups, self.features)
        images, kernel, bias = self._parameters(images, kernel_shape, (self.features,))
        outputs = ops.conv(
            images,
            kernel,
            bias,
            feature_group_count=groups,
            algorithm=self.algorithm,
            **self._geometry(),
        )
        return outputs.reshape(*batch_shape, *outputs.shape[1:])


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
        images, batch_shape = self._with_one_batch_axis(inputs)
        window, channels = self._window(), images.shape[-1]
        shared = jax.ShapeDtypeStruct((*window, channels, 1), images.dtype)
        one_kernel = jax.eval_shape(self._conv, images, shared)
        out = one_kernel.shape[1:-1]
        columns = math.prod(window) * channels
        images, kernel, bias = self._parameters(
            images, (*out, columns, self.features), (*out, self.features)
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
        images, batch_shape = self._with_one_batch_axis(inputs)
        window = self._window()
        tiles = canonical(self.tiles, len(window), "tiles")
        images, kernel, bias = self._parameters(
            images,
            (*tiles, *window, images.shape[-1], self.features),
            (self.features,),
            self._draw_tiles,
        )
        outputs = ops.tiled_conv(images, kernel, bias, **self._geometry())
        return outputs.reshape(*batch_shape, *outputs.shape[1:])

    def _draw_tiles(self, key: Array, shape: Sequence[int], dtype: DTypeLike) -> Array:
        rank = len(self._window())
        keys = jax.random.split(key, math.prod(shape[:rank]))
        draw = jax.vmap(lambda tile: self.kernel_init(tile, shape[rank:], dtype))
        return draw(keys).reshape(shape)
