"""What the public edge of the convolutions does with its arguments.

Letters: inputs [N, *spatial, C], kernel [*window, C // groups, O].
"""

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike, DTypeLike

from cnn_jax.ops.algorithms import Settings, winograd
from cnn_jax.ops.windows import canonical

ALGORITHM_NAMES = (
    "auto",
    "autotune",
    "direct",
    "im2col",
    "shifted",
    "banded",
    "winograd2",
    "winograd4",
    "fourier",
)


def promote(
    inputs: ArrayLike, kernel: ArrayLike, bias: ArrayLike | None
) -> tuple[Array, Array, Array | None]:
    """The arguments as arrays of one dtype, by jax's promotion rules."""
    given = [inputs, kernel] if bias is None else [inputs, kernel, bias]
    dtype = jnp.result_type(*given)
    inputs, kernel = jnp.asarray(inputs, dtype), jnp.asarray(kernel, dtype)
    return inputs, kernel, None if bias is None else jnp.asarray(bias, dtype)


def unpadded(
    rank: int,
    strides: int | Sequence[int],
    input_dilation: int | Sequence[int],
    kernel_dilation: int | Sequence[int],
    *others: Any,
) -> Settings:
    """Settings of the public keywords, in their order, with no padding yet.

    Raises:
      ValueError: strides or dilations below 1, or not one per axis.
    """
    return Settings(
        canonical(strides, rank, "strides"),
        ((0, 0),) * rank,
        canonical(input_dilation, rank, "input_dilation"),
        canonical(kernel_dilation, rank, "kernel_dilation"),
        *others,
    )


def add_bias(
    outputs: Array, bias: Array | None, shapes: Sequence[tuple[int, ...]]
) -> Array:
    """outputs [N, *out, O] plus a bias of one of the given shapes.

    Raises:
      ValueError: a bias of another shape.
    """
    if bias is None:
        return outputs
    check_bias(bias, shapes)
    leading = (1,) * (outputs.ndim - bias.ndim)
    return outputs + bias.reshape(leading + bias.shape).astype(outputs.dtype)


def check_bias(bias: Array, shapes: Sequence[tuple[int, ...]]) -> None:
    """Raises ValueError unless the bias has one of the shapes."""
    if bias.shape not in shapes:
        expected = " or ".join(str(shape) for shape in shapes)
        raise ValueError(f"bias: expected shape {expected}, got {bias.shape}")


def check_algorithm(
    name: str, dtype: DTypeLike, window: Sequence[int], settings: Settings
) -> None:
    """Raises ValueError unless `ALGORITHM_NAMES` has it and it serves what is given."""
    if name not in ALGORITHM_NAMES:
        names = ", ".join(ALGORITHM_NAMES)
        raise ValueError(f"algorithm: expected one of {names}, got {name!r}")
    if name in ("winograd2", "winograd4"):
        winograd.check(name, window, settings)
    elif name != "fourier":
        return
    if not jnp.issubdtype(dtype, jnp.floating):
        raise ValueError(
            f"algorithm {name!r}: expected a real floating dtype, got {dtype}"
        )


def check_preferred(dtype: DTypeLike, settings: Settings) -> None:
    """Raises ValueError if the preferred element type is narrower than the arrays'."""
    if settings.preferred_element_type is None:
        return
    preferred, given = jnp.dtype(settings.preferred_element_type), jnp.dtype(dtype)
    if preferred.itemsize < given.itemsize:
        raise ValueError(
            f"preferred_element_type: expected at least as wide as the arrays' "
            f"{given}, got {preferred}"
        )


def check_inputs(inputs: Array) -> None:
    """Raises ValueError unless the inputs have one to three spatial axes."""
    if inputs.ndim not in (3, 4, 5):
        raise ValueError(
            "inputs: expected rank 3 to 5, [N, *spatial, C] with 1 to 3 spatial axes, "
            f"got shape {inputs.shape}"
        )


def check_kernel(inputs: Array, kernel: Array) -> None:
    """Raises ValueError unless the kernel has the inputs' rank and a window."""
    if kernel.ndim != inputs.ndim or 0 in kernel.shape[:-2]:
        raise ValueError(
            f"kernel: expected rank {inputs.ndim}, [*window, C // groups, O] with "
            f"window sizes >= 1, for inputs of shape {inputs.shape}, got {kernel.shape}"
        )


def check_channels(channels: int, kernel: Array, groups: int) -> None:
    """Raises ValueError unless groups divide, and the kernel has their channels."""
    group_channels, features = kernel.shape[-2:]
    if groups < 1 or channels % groups or features % groups:
        raise ValueError(
            f"feature_group_count: expected a divisor of {channels} channels and "
            f"{features} features, got {groups}"
        )
    if group_channels != channels // groups:
        raise ValueError(
            f"kernel: expected {channels // groups} channels ({channels} of the inputs "
            f"/ {groups} groups), got {group_channels} in shape {kernel.shape}"
        )
