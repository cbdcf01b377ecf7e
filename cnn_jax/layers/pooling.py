"""Pools as layers, over `ops.pooling`: to stand in an nn.Sequential, or to be drawn.

inputs [..., *spatial, C]. None but `MixedPool` has parameters. The fields are the
arguments of the function of the same name, where equations and errors are told; as
there, no strides means stride 1. Pools that draw take `deterministic` as a field or in
the call and keys from a stream of their own, "pooling", as flax.linen.Dropout does.
"""

from collections.abc import Callable, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax.linen.module import merge_param
from jax import Array
from jax.typing import DTypeLike

from cnn_jax import ops

Strides = int | Sequence[int] | None
Padding = Any


class _WindowedPool(nn.Module):
    """What all pools over windows have.

    Attributes:
      window_shape: one size per spatial axis.
      strides: distance between windows; none means 1.
      padding: as in `conv`.
    """

    window_shape: Sequence[int]
    strides: Strides = None
    padding: Padding = "VALID"

    @property
    def _windows(self) -> tuple[Sequence[int], Strides, Padding]:
        return self.window_shape, self.strides, self.padding


class MaxPool(_WindowedPool):
    """`ops.max_pool`: the largest value of each window."""

    def __call__(self, inputs: Array) -> Array:
        """[..., *spatial, C] -> [..., *out, C]"""
        return ops.max_pool(inputs, *self._windows)


class MinPool(_WindowedPool):
    """`ops.min_pool`: the smallest value of each window."""

    def __call__(self, inputs: Array) -> Array:
        """[..., *spatial, C] -> [..., *out, C]"""
        return ops.min_pool(inputs, *self._windows)


class AvgPool(_WindowedPool):
    """`ops.avg_pool`: the mean of each window.

    Attributes:
      count_include_pad: divide by all cells, or only by those inside the inputs.
    """

    count_include_pad: bool = True

    def __call__(self, inputs: Array) -> Array:
        """[..., *spatial, C] -> [..., *out, C]"""
        return ops.avg_pool(inputs, *self._windows, self.count_include_pad)


class LpPool(_WindowedPool):
    """`ops.lp_pool`: the p-norm of each window.

    Attributes:
      p: exponent, 1 <= p < ∞.
    """

    p: float = 2.0

    def __call__(self, inputs: Array) -> Array:
        """[..., *spatial, C] -> [..., *out, C]"""
        return ops.lp_pool(inputs, self.p, *self._windows)


class GaussianPool(_WindowedPool):
    """`ops.gaussian_pool`: a mean weighted by the distance from the center.

    Attributes:
      sigma: in pixels; a quarter of the window by default.
    """

    sigma: float | Sequence[float] | None = None

    def __call__(self, inputs: Array) -> Array:
        """[..., *spatial, C] -> [..., *out, C]"""
        return ops.gaussian_pool(inputs, *self._windows, sigma=self.sigma)


class StochasticPool(_WindowedPool):
    """`ops.stochastic_pool`: draws in training, their mean in testing.

    Attributes:
      deterministic: whether the mean is taken.
      rng_collection: name of the stream of keys.
    """

    deterministic: bool | None = None
    rng_collection: str = "pooling"

    @nn.compact
    def __call__(self, inputs: Array, deterministic: bool | None = None) -> Array:
        """[..., *spatial, C], values >= 0 -> [..., *out, C]"""
        testing = merge_param("deterministic", self.deterministic, deterministic)
        key = None if testing else self.make_rng(self.rng_collection)
        return ops.stochastic_pool(inputs, *self._windows, key=key)


class MixedPool(_WindowedPool):
    """`ops.mixed_pool` with a learned share of the maximum.

        share = 1 / (1 + exp(−logit))

    Parameters: logit [], or [C] with `per_channel`.

    Attributes:
      initial_share: of the maximum, between 0 and 1.
      per_channel: one share per channel instead of one for all.
      param_dtype: of the logit.
    """

    initial_share: float = 0.5
    per_channel: bool = False
    param_dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, inputs: Array) -> Array:
        """[..., *spatial, C] -> [..., *out, C]"""
        if not 0 < self.initial_share < 1:
            raise ValueError(
                f"initial_share: expected between 0 and 1, got {self.initial_share}"
            )
        shape = inputs.shape[-1:] if self.per_channel else ()
        share = jnp.asarray(self.initial_share, self.param_dtype)
        logit = self.param(
            "logit", lambda _: jnp.full(shape, jnp.log(share / (1 - share)))
        )
        return ops.mixed_pool(inputs, jax.nn.sigmoid(logit), *self._windows)


class BlurPool(nn.Module):
    """`ops.blur_pool`: a binomial blur, then every s-th position.

    Attributes:
      strides: s.
      taps: of the blur, 1 to 7.
      padding: as in `conv`.
    """

    strides: int | Sequence[int]
    taps: int = 3
    padding: Padding = "SAME"

    def __call__(self, inputs: Array) -> Array:
        """[..., *spatial, C] -> [..., *out, C]"""
        return ops.blur_pool(inputs, self.strides, taps=self.taps, padding=self.padding)


class PolyphasePool(nn.Module):
    """`ops.polyphase_pool`: the grid of largest norm, whatever the shift.

    Attributes:
      strides: s.
    """

    strides: int | Sequence[int]

    def __call__(self, inputs: Array) -> Array:
        """[..., *spatial, C] -> [..., *out, C]"""
        return ops.polyphase_pool(inputs, self.strides)


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


class MaxPoolWithSwitches(_WindowedPool):
    """`ops.max_pool_with_switches`: maxima, and where they were."""

    def __call__(self, inputs: Array) -> tuple[Array, Array]:
        """[..., *spatial, C] -> outputs and switches, both [..., *out, C]"""
        return ops.max_pool_with_switches(inputs, *self._windows)


class MaxUnpool(_WindowedPool):
    """`ops.max_unpool`, with the fields of the pool that it undoes."""

    def __call__(
        self, inputs: Array, switches: Array, spatial_shape: Sequence[int]
    ) -> Array:
        """Twice [..., *out, C] -> [..., *spatial_shape, C]"""
        return ops.max_unpool(inputs, switches, spatial_shape, *self._windows)
