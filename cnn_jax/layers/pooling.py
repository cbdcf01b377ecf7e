"""Pools over windows and grids as layers, to stand in an nn.Sequential, or to be drawn.

inputs [..., *spatial, C]. None but `MixedPool` has parameters. The fields are the
arguments of the function of the same name, where equations and errors are told; as
there, no strides means stride 1. Pools that draw take `deterministic` as a field or in
the call and keys from a stream of their own, "pooling", as flax.linen.Dropout does.
"""

from collections.abc import Sequence
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
    """`ops.mixed_pool` with a share of the maximum that is learned, or drawn by.

        share = 1 / (1 + exp(−logit))

    Parameters: logit [], or [C] with `per_channel`; none with `stochastic`.

    Attributes:
      initial_share: of the maximum, between 0 and 1.
      per_channel: one learned share per channel instead of one for all.
      param_dtype: of the logit.
      stochastic: the share stays; in training each image's channel is pooled by its
        maximum or its mean, drawn by the share, in testing by the mean of such draws,
        their mixture. What was drawn more often, by which implementations of Yu et al.
        (2014) test, is `MaxPool` or `AvgPool` in this layer's place.
      deterministic: whether that is testing; of no meaning where the share is learned.
      rng_collection: name of the stream of keys.
    """

    initial_share: float = 0.5
    per_channel: bool = False
    param_dtype: DTypeLike = jnp.float32
    stochastic: bool = False
    deterministic: bool | None = None
    rng_collection: str = "pooling"

    @nn.compact
    def __call__(self, inputs: Array, deterministic: bool | None = None) -> Array:
        """[..., *spatial, C] -> [..., *out, C]"""
        if not 0 < self.initial_share < 1:
            raise ValueError(
                f"initial_share: expected between 0 and 1, got {self.initial_share}"
            )
        if self.stochastic and self.per_channel:
            raise ValueError("expected stochastic or per_channel, got both")
        if self.stochastic:
            testing = merge_param("deterministic", self.deterministic, deterministic)
            key = None if testing else self.make_rng(self.rng_collection)
            return ops.mixed_pool(inputs, self.initial_share, *self._windows, key=key)
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
