"""Ways to compute one convolution, one file each.

Every algorithm is a function (inputs, kernel, settings) -> outputs of the same values:
inputs [N, *spatial, C], kernel [*window, C // groups, O], outputs [N, *out, O]. The
public edge has checked the shapes and resolved the padding before.
"""

from dataclasses import dataclass

import jax.numpy as jnp
from jax import Array
from jax.lax import PrecisionLike
from jax.typing import DTypeLike

from cnn_jax.ops.windows import Pairs


@dataclass(frozen=True)
class Settings:
    """What a convolution is besides its two arrays. Hashable.

    Attributes:
      strides: s per spatial axis.
      pairs: zeros (low, high) per spatial axis, negative ones crop.
      input_dilation: zeros go between the inputs before `pairs` is applied.
      kernel_dilation: distance between the kernel's elements.
      feature_group_count: groups of channels that do not mix.
      precision: of the products, as in jax.lax.
      preferred_element_type: of the sums and the outputs, as in jax.lax.
    """

    strides: tuple[int, ...]
    pairs: Pairs
    input_dilation: tuple[int, ...]
    kernel_dilation: tuple[int, ...]
    feature_group_count: int = 1
    precision: PrecisionLike = None
    preferred_element_type: DTypeLike | None = None

    def output_dtype(self, inputs: Array) -> jnp.dtype:
        """The preferred element type, or else that of the inputs."""
        return jnp.dtype(self.preferred_element_type or inputs.dtype)
