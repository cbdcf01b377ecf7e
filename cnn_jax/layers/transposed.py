"""The transposed convolution as flax.linen means it, for [..., *spatial, C]."""

from collections.abc import Callable, Sequence

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
from cnn_jax.ops.windows import (
    Padding,
    Pairs,
    canonical,
    output_size,
    resolve_padding,
    span,
)


class ConvTranspose(nn.Module):
    """flax.linen.ConvTranspose, computed by `ops.conv_transpose`.

        y = conv(inputs, kernel · mask, input_dilation=strides) + bias

    with the border that `padding` stands for, so SAME gives size · strides. Parameters:
    kernel [*window, C, O], or [*window, O, C] with transpose_kernel, bias [O].

    Not always the adjoint of a `Conv` of the same fields, whose border may lie
    elsewhere: that is `ops.conv_transpose`.

    Attributes:
      features: O.
      kernel_size: the window, one integer per spatial axis; a bare one means one axis.
      strides: the inputs move this far apart, one integer or one per axis.
      padding: "SAME" or "VALID" of the convolution that is transposed, "CIRCULAR", or
        zeros around the dilated inputs, one integer or pair (low, high) per axis.
      kernel_dilation: distance between the kernel's elements.
      use_bias: whether there is a bias.
      mask: multiplies the kernel, of its shape.
      dtype: of the computation; by default what inputs and parameters promote to.
      param_dtype: of the parameters.
      precision: of the products, as in jax.lax.
      kernel_init: draws the kernel.
      bias_init: draws the bias.
      transpose_kernel: whether the kernel is that of the convolution that is
        transposed: channels and features have changed places and space is flipped.
      promote_dtype: brings (inputs, kernel, bias) to one dtype.
      preferred_element_type: of the sums and the outputs, as in jax.lax.
      algorithm: as in `ops.conv`; the one field that flax.linen does not have.
    """

    features: int
    kernel_size: PerAxis
    strides: PerAxis | None = None
    padding: Padding = "SAME"
    kernel_dilation: PerAxis | None = None
    use_bias: bool = True
    mask: Array | None = None
    dtype: DTypeLike | None = None
    param_dtype: DTypeLike = jnp.float32
    precision: PrecisionLike = None
    kernel_init: Initializer = nn.initializers.lecun_normal()
    bias_init: Initializer = nn.initializers.zeros_init()
    transpose_kernel: bool = False
    promote_dtype: Callable = promote_dtype
    preferred_element_type: DTypeLike | None = None
    algorithm: str = "auto"

    @nn.compact
    def __call__(self, inputs: Array) -> Array:
        """[..., *spatial, C] -> [..., *out, O]"""
        window = window_of(self.kernel_size)
        images, batch_shape = with_one_batch_axis(inputs, window)
        ends = (images.shape[-1], self.features)
        kernel_shape = (*window, *(ends[::-1] if self.transpose_kernel else ends))
        images, kernel, bias = draw_parameters(
            self, images, kernel_shape, (self.features,)
        )
        if not self.transpose_kernel:
            kernel = jnp.flip(kernel, range(len(window))).swapaxes(-1, -2)
        outputs = self._transposed(images, kernel, bias)
        return outputs.reshape(*batch_shape, *outputs.shape[1:])

    def _transposed(self, images: Array, kernel: Array, bias: Array | None) -> Array:
        """For a kernel [*window, O, C], in terms of the convolution it belongs to."""
        spatial, window = images.shape[1:-1], kernel.shape[:-2]
        strides = self._per_axis("strides", window)
        dilation = self._per_axis("kernel_dilation", window)
        spans = [span(k, d) for k, d in zip(window, dilation, strict=True)]
        sizes = [n * s for n, s in zip(spatial, strides, strict=True)]
        padding: Padding = "CIRCULAR"
        if self.padding != "CIRCULAR":
            borders = self._borders(spans, strides)
            axes = zip(spatial, strides, spans, borders, strict=True)
            sizes = [
                output_size(span(n, s), e, 1, 1, *ends) if n else 0
                for n, s, e, ends in axes
            ]
            axes = zip(spans, borders, strict=True)
            padding = [(e - 1 - low, e - 1 - high) for e, (low, high) in axes]
        outputs = ops.conv_transpose(
            images,
            kernel,
            bias,
            strides=strides,
            padding=padding,
            kernel_dilation=dilation,
            output_shape=sizes,
            precision=self.precision,
            preferred_element_type=self.preferred_element_type,
            algorithm=self.algorithm,
        )
        if padding == "CIRCULAR":
            return self._aligned(outputs, spans, strides)
        return outputs

    def _per_axis(self, name: str, window: Sequence[int]) -> tuple[int, ...]:
        value = getattr(self, name)
        # None means 1 in flax.linen.
        return canonical(1 if value is None else value, len(window), name)

    def _borders(self, spans: Sequence[int], strides: Sequence[int]) -> Pairs:
        """Zeros around the dilated inputs."""
        axes = zip(spans, strides, strict=True)
        match self.padding:
            case "SAME":
                # e + s - 2 of them, the odd one before, but never e or more before.
                lows = [min(e - 1, (e + s - 1) // 2) for e, s in axes]
                ends = zip(spans, strides, lows, strict=True)
                return tuple((low, e + s - 2 - low) for e, s, low in ends)
            case "VALID":
                return tuple((e - 1, max(e, s) - 1) for e, s in axes)
            case str():
                raise ValueError(
                    "padding: expected SAME, VALID, CIRCULAR, an integer, or one "
                    f"integer or pair (low, high) per axis, got {self.padding!r}"
                )
        ones = (1,) * len(spans)
        return resolve_padding(self.padding, ones, spans, ones, ones)[1]

    def _aligned(
        self, outputs: Array, spans: Sequence[int], strides: Sequence[int]
    ) -> Array:
        """Circular outputs of `ops.conv_transpose`, where flax.linen begins them."""
        shifts = []
        for e, s in zip(spans, strides, strict=True):
            overlap = max(e - s, 0)
            begin = -(-overlap // 2) if self.transpose_kernel else overlap // 2
            shifts.append((e - 1) // 2 - begin)
        return jnp.roll(outputs, shifts, range(1, outputs.ndim - 1))
