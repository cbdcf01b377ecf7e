"""Arrays inside `jax.shard_map`, where each has a type: the axes that it varies over.

Two operands of a primitive have to agree in them, a loop's carry with what is added to
it, and what a function is transposed in with what it is applied to. Outside of
shard_map no array varies, and nothing happens here.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.typing import DTypeLike


def varying_alike(*arrays: Array) -> tuple[Array, ...]:
    """The arrays, each varying over all axes that any of them varies over."""
    axes = [_axes(array) for array in arrays]
    union = frozenset[str]().union(*axes)
    pairs = zip(arrays, axes, strict=True)
    return tuple(_vary(array, union - own) for array, own in pairs)


def zeros_beside(array: Array, shape: Sequence[int], dtype: DTypeLike) -> Array:
    """Zeros that vary over the axes that the array does."""
    return _vary(jnp.zeros(shape, dtype), _axes(array))


def _axes(array: Array) -> frozenset[str]:
    return frozenset(jax.typeof(array).mat.varying)


def _vary(array: Array, axes: frozenset[str]) -> Array:
    return lax.pcast(array, tuple(axes), to="varying") if axes else array
