"""Pools over whole inputs and over regions of them as layers, see `layers.pooling`.

The fields are the arguments of the function of the same name, where equations and
errors are told.
"""

from collections.abc import Callable, Sequence

import flax.linen as nn
from flax.linen.module import merge_param
from jax import Array

from cnn_jax import ops


class GlobalPool(nn.Module):
    """A pool over all positions: `ops.global_max_pool`, `ops.global_avg_pool`, or with
    p `ops.global_lp_pool`.

    Attributes:
      kind: "max", "avg" or "lp".
      p: exponent of "lp".
    """

    kind: str = "avg"
    p: float = 2.0

    def __call__(self, inputs: Array) -> Array:
        """[N, *spatial, C] -> [N, C]"""
        match self.kind:
            case "max":
                return ops.global_max_pool(inputs)
            case "avg":
                return ops.global_avg_pool(inputs)
            case "lp":
                return ops.global_lp_pool(inputs, self.p)
        raise ValueError(f"kind: expected 'max', 'avg' or 'lp', got {self.kind!r}")


class AdaptivePool(nn.Module):
    """Regions to an output size.

    Attributes:
      output_shape: sizes of the outputs.
      pool: `ops.adaptive_max_pool` or `ops.adaptive_avg_pool`.
    """

    output_shape: Sequence[int]
    pool: Callable[..., Array] = ops.adaptive_max_pool

    def __call__(self, inputs: Array) -> Array:
        """[..., *spatial, C] -> [..., *output_shape, C]"""
        return self.pool(inputs, self.output_shape)


class SpatialPyramidPool(nn.Module):
    """`ops.spatial_pyramid_pool`: a vector of fixed length, whatever the size.

    Attributes:
      levels: regions per axis.
      pool: `ops.adaptive_max_pool` or `ops.adaptive_avg_pool`.
    """

    levels: Sequence[int] = (1, 2, 4)
    pool: Callable[..., Array] = ops.adaptive_max_pool

    def __call__(self, inputs: Array) -> Array:
        """[N, *spatial, C] -> [N, Σ levels^rank · C]"""
        return ops.spatial_pyramid_pool(inputs, self.levels, pool=self.pool)


class FractionalMaxPool(nn.Module):
    """`ops.fractional_max_pool`: drawn regions in training, regular ones in testing.

    Attributes:
      output_shape: sizes of the outputs.
      overlapping, pseudorandom: as in the function.
      deterministic: whether the regions are regular.
      rng_collection: name of the stream of keys.
    """

    output_shape: Sequence[int]
    overlapping: bool = True
    pseudorandom: bool = True
    deterministic: bool | None = None
    rng_collection: str = "pooling"

    @nn.compact
    def __call__(self, inputs: Array, deterministic: bool | None = None) -> Array:
        """[..., *spatial, C] -> [..., *output_shape, C]"""
        testing = merge_param("deterministic", self.deterministic, deterministic)
        return ops.fractional_max_pool(
            inputs,
            self.output_shape,
            key=None if testing else self.make_rng(self.rng_collection),
            overlapping=self.overlapping,
            pseudorandom=self.pseudorandom,
        )


class KMaxPool(nn.Module):
    """`ops.k_max_pool`: the k largest values of a sequence, in their order.

    Attributes:
      k: how many.
    """

    k: int

    def __call__(self, inputs: Array) -> Array:
        """[..., T, C] -> [..., k, C]"""
        return ops.k_max_pool(inputs, self.k)


class DynamicKMaxPool(nn.Module):
    """`ops.dynamic_k_max_pool`: a k that shrinks with depth and grows with length.

    Attributes:
      layer: of num_layers, from 1.
      num_layers: convolutional layers of the net.
      k_top: k of the last.
    """

    layer: int
    num_layers: int
    k_top: int

    def __call__(self, inputs: Array) -> Array:
        """[..., T, C] -> [..., k, C]"""
        return ops.dynamic_k_max_pool(inputs, self.layer, self.num_layers, self.k_top)
