"""Activations that jax.nn lacks. All but `maxout` act on each element by itself.

inputs [..., C]. At a kink the derivative is one of those of the two sides, and each
docstring says which; away from kinks all are exact to any order.
"""

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from cnn_jax.ops.dtypes import output_dtype


def prelu(inputs: ArrayLike, slope: ArrayLike) -> Array:
    """A rectifier whose slope below zero is a parameter.

        y = inputs           where inputs ≥ 0
            slope · inputs   elsewhere

    At 0 the derivative is 1, and that to the slope 0. A constant slope is
    `jax.nn.leaky_relu`.

    Args:
      inputs: [..., C].
      slope: [], or [C] for one per feature.

    Returns:
      [..., C] in the inputs' dtype, float32 for integers.

    Raises:
      ValueError: a slope of another shape.

    Reference:
      He, Zhang, Ren and Sun, Delving deep into rectifiers, 2015.
    """
    inputs, slope = _floating(inputs), jnp.asarray(slope)
    if slope.shape not in ((), inputs.shape[-1:]):
        raise ValueError(
            f"slope: expected shape () or {inputs.shape[-1:]}, one per feature, "
            f"got {slope.shape}"
        )
    slope = slope.reshape((1,) * (inputs.ndim - slope.ndim) + slope.shape)
    return jnp.where(inputs >= 0, inputs, slope.astype(inputs.dtype) * inputs)


def rrelu(
    inputs: ArrayLike,
    key: Array | None = None,
    *,
    lower: float = 1 / 8,
    upper: float = 1 / 3,
) -> Array:
    """A rectifier whose slope below zero is drawn anew for every element.

        slope ~ U(lower, upper) with a key, (lower + upper) / 2 without
        y = inputs           where inputs ≥ 0
            slope · inputs   elsewhere

    With a key for training, without one for testing. At 0 the derivative is 1. The
    reference divides by a ~ U(3, 8) and, in testing, by its mean 5.5: the same range of
    slopes, but more of the small ones; torch draws the slope, as here.

    Args:
      inputs: [..., C].
      key: typed PRNG key.
      lower: smallest slope.
      upper: largest slope.

    Returns:
      [..., C] in the inputs' dtype, float32 for integers.

    Raises:
      ValueError: lower above upper.

    Reference:
      Xu, Wang, Chen and Li, Empirical evaluation of rectified activations in
      convolutional network, 2015.
    """
    if lower > upper:
        raise ValueError(f"lower: expected at most upper = {upper}, got {lower}")
    inputs = _floating(inputs)
    if key is None:
        return prelu(inputs, (lower + upper) / 2)
    slope = jax.random.uniform(key, inputs.shape, inputs.dtype, lower, upper)
    return jnp.where(inputs >= 0, inputs, slope * inputs)


def maxout(inputs: ArrayLike, pieces: int) -> Array:
    """The largest of every `pieces` adjacent features.

        y[..., c] = max_j inputs[..., pieces·c + j],   j in [0, pieces)

    Over linear features: the upper envelope of that many lines. Equal maxima share the
    gradient equally.

    Args:
      inputs: [..., C].
      pieces: features per group, a divisor of C.

    Returns:
      [..., C / pieces] in the inputs' dtype.

    Raises:
      ValueError: pieces does not divide the features, or there are none.

    Reference:
      Goodfellow, Warde-Farley, Mirza, Courville and Bengio, Maxout networks, 2013.
    """
    inputs = jnp.asarray(inputs)
    if not inputs.ndim or pieces < 1 or inputs.shape[-1] % pieces:
        raise ValueError(
            f"pieces: expected a divisor of the features in {inputs.shape}, "
            f"got {pieces}"
        )
    grouped = inputs.reshape(*inputs.shape[:-1], inputs.shape[-1] // pieces, pieces)
    return jnp.max(grouped, axis=-1)


def htanh(inputs: ArrayLike) -> Array:
    """The hard tanh, with derivative 1 on all of [-1, 1], its ends included.

        y = inputs         where |inputs| ≤ 1, derivative 1
            sign(inputs)   elsewhere, derivative 0

    jnp.clip has the same values and derivative 1/2 at both ends.

    Args:
      inputs: any shape.

    Returns:
      The inputs' shape, in [-1, 1], in their dtype, float32 for integers.

    Reference:
      Collobert, Large scale machine learning, 2004.
    """
    inputs = _floating(inputs)
    return jnp.where(jnp.abs(inputs) <= 1, inputs, jnp.sign(inputs))


@jax.custom_jvp
def _binarize(inputs: Array) -> Array:
    return jnp.where(inputs >= 0, jnp.ones_like(inputs), -jnp.ones_like(inputs))


@_binarize.defjvp
def _binarize_jvp(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    _, passed = jax.jvp(htanh, primals, tangents)
    return _binarize(*primals), passed


def binarize(inputs: ArrayLike) -> Array:
    """The sign, with the derivative of `htanh`: the straight-through estimator.

        y = 1    where inputs ≥ 0
            -1   elsewhere
        ∂y/∂inputs := 1 where |inputs| ≤ 1, 0 elsewhere

    The true derivative is 0 wherever it exists, so nothing could be learned through it.

    Args:
      inputs: any shape.

    Returns:
      The inputs' shape, -1 or 1, in their dtype, float32 for integers.

    Reference:
      Hubara, Courbariaux, Soudry, El-Yaniv and Bengio, Binarized neural networks, 2016.
    """
    return _binarize(_floating(inputs))


def _floating(inputs: ArrayLike) -> Array:
    """As an array of a floating dtype."""
    inputs = jnp.asarray(inputs)
    return inputs.astype(output_dtype(inputs.dtype))
