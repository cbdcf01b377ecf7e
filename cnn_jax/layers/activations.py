"""Activations with parameters or randomness, over `ops.activations`.

inputs [..., C].
"""

from collections.abc import Callable

import flax.linen as nn
import jax.numpy as jnp
from flax.linen.module import merge_param
from jax import Array
from jax.typing import DTypeLike

from cnn_jax import ops


class PReLU(nn.Module):
    """flax.linen.PReLU: a rectifier that learns its slope below zero.

    Parameters: negative_slope [], or [C] with `per_feature`.

    Attributes:
      param_dtype: of the slope.
      negative_slope_init: the slope at the start; the reference uses 0.25.
      per_feature: one slope for every feature, as in the reference, instead of one for
        all; the one field that flax.linen does not have.

    Reference:
      He, Zhang, Ren and Sun, Delving deep into rectifiers, 2015.
    """

    param_dtype: DTypeLike = jnp.float32
    negative_slope_init: float = 0.01
    per_feature: bool = False

    @nn.compact
    def __call__(self, inputs: Array) -> Array:
        """[..., C] -> [..., C]"""
        shape = inputs.shape[-1:] if self.per_feature else ()
        slope = self.param(
            "negative_slope",
            lambda _: jnp.full(shape, self.negative_slope_init, self.param_dtype),
        )
        return ops.prelu(inputs, slope)


class RReLU(nn.Module):
    """A rectifier with random slopes in training and their mean in testing.

    No parameters. As flax.linen.Dropout it draws from a stream of keys of its own and
    takes `deterministic` as a field or in the call.

    Attributes:
      lower: smallest slope.
      upper: largest slope.
      deterministic: whether the mean slope is used.
      rng_collection: name of the stream of keys.

    Reference:
      Xu, Wang, Chen and Li, Empirical evaluation of rectified activations in
      convolutional network, 2015.
    """

    lower: float = 1 / 8
    upper: float = 1 / 3
    deterministic: bool | None = None
    rng_collection: str = "rrelu"

    @nn.compact
    def __call__(self, inputs: Array, deterministic: bool | None = None) -> Array:
        """[..., C] -> [..., C]"""
        testing = merge_param("deterministic", self.deterministic, deterministic)
        key = None if testing else self.make_rng(self.rng_collection)
        return ops.rrelu(inputs, key, lower=self.lower, upper=self.upper)


class Maxout(nn.Module):
    """A linear layer of `pieces` times the features, and the largest of each group.

        y = maxout(linear(inputs), pieces)

    Parameters: linear/..., those of the linear layer.

    Attributes:
      features: of the outputs.
      pieces: linear features per output feature.
      linear: the class of the linear layer, called with its number of features: a
        partial of `Conv` with a kernel_size for images.

    Reference:
      Goodfellow, Warde-Farley, Mirza, Courville and Bengio, Maxout networks, 2013.
    """

    features: int
    pieces: int = 2
    linear: Callable[..., nn.Module] = nn.Dense

    @nn.compact
    def __call__(self, inputs: Array) -> Array:
        """[..., C] -> [..., features]"""
        linear = self.linear(self.features * self.pieces, name="linear")
        return ops.maxout(linear(inputs), self.pieces)
