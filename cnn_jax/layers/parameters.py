"""What every layer with a kernel does: its window, its batch axes, its parameters.

Inputs are [..., *spatial, C] with any number of leading axes, none included; the number
of spatial axes is that of `kernel_size`.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from flax.typing import Initializer
from jax import Array
from jax.typing import DTypeLike

from cnn_jax.ops.windows import canonical

PerAxis = int | Sequence[int]


class KernelLayer(Protocol):
    """The fields of flax.linen that parameters depend on."""

    use_bias: bool
    mask: Array | None
    dtype: DTypeLike | None
    param_dtype: DTypeLike
    kernel_init: Initializer
    bias_init: Initializer
    promote_dtype: Callable

    def param(self, name: str, init_fn: Any, *init_args: Any) -> Any: ...


def window_of(kernel_size: PerAxis) -> tuple[int, ...]:
    """The window's sizes; a bare integer means one axis."""
    rank = 1 if isinstance(kernel_size, int) else len(kernel_size)
    return canonical(kernel_size, rank, "kernel_size")


def with_one_batch_axis(
    inputs: Array, window: Sequence[int]
) -> tuple[Array, tuple[int, ...]]:
    """[..., *spatial, C] as [N, *spatial, C], and the axes that N stands for."""
    rank = len(window)
    if inputs.ndim <= rank:
        raise ValueError(
            f"inputs: expected [..., {rank} spatial axes, C] for kernel_size "
            f"{tuple(window)}, got shape {inputs.shape}"
        )
    batch, image = inputs.shape[: -rank - 1], inputs.shape[-rank - 1 :]
    return inputs.reshape(math.prod(batch), *image), batch


def draw_parameters(
    layer: KernelLayer,
    inputs: Array,
    kernel_shape: tuple[int, ...],
    bias_shape: tuple[int, ...],
    kernel_init: Initializer | None = None,
) -> tuple[Array, Array, Array | None]:
    """Inputs, masked kernel and bias in the dtype of the computation."""
    if layer.mask is not None and layer.mask.shape != kernel_shape:
        raise ValueError(
            f"mask: expected the kernel's shape {kernel_shape}, got {layer.mask.shape}"
        )
    init = kernel_init or layer.kernel_init
    kernel = layer.param("kernel", init, kernel_shape, layer.param_dtype)
    if layer.mask is not None:
        kernel *= layer.mask
    bias = None
    if layer.use_bias:
        bias = layer.param("bias", layer.bias_init, bias_shape, layer.param_dtype)
    return layer.promote_dtype(inputs, kernel, bias, dtype=layer.dtype)
