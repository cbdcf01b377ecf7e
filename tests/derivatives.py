"""First and second derivatives against differences, in one compilation."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from tests.trees import assert_same_trees


def check_derivatives(
    f: Callable[..., Any], arrays: Sequence[Any], step: float = 1e-5
) -> None:
    """Both orders along one random direction of all arrays, in float64.

    The slope of Σ sin(f) by forward and reverse mode, and the slope of its gradient by
    forward over reverse, against central differences; by the other pairs of modes
    against that.

    Args:
      f: function of the arrays; its outputs may be a tree.
      arrays: its arguments, which may be trees.
      step: of the differences.
    """
    rng = np.random.default_rng(11)
    arrays = list(arrays)
    along = jax.tree.map(lambda leaf: rng.normal(size=np.shape(leaf)), arrays)

    def loss(arrays: Any) -> Any:
        return sum(jnp.sum(jnp.sin(leaf)) for leaf in jax.tree.leaves(f(*arrays)))

    def slope_of(arrays: Any) -> Any:
        return jax.jvp(loss, (arrays,), (along,))[1]

    @jax.jit
    def derivatives(arrays: Any) -> Any:
        slope, twice = jax.jvp(slope_of, (arrays,), (along,))
        gradient, forward = jax.jvp(jax.grad(loss), (arrays,), (along,))
        reverse = jax.grad(lambda arrays: _dot(jax.grad(loss)(arrays), along))(arrays)
        others = (reverse, jax.grad(slope_of)(arrays))
        return loss(arrays), slope, twice, gradient, forward, others

    def at(distance: float) -> Any:
        moved = jax.tree.map(lambda a, b: a + distance * b, arrays, along)
        return jax.tree.map(np.asarray, derivatives(moved))

    with jax.enable_x64(True):
        low, high, here = at(-step), at(step), at(0.0)
    _, slope, twice, gradient, forward, others = here
    np.testing.assert_allclose(slope, (high[0] - low[0]) / (2 * step), rtol=1e-5)
    np.testing.assert_allclose(slope, _dot(gradient, along))
    np.testing.assert_allclose(twice, _dot(forward, along), rtol=1e-9)
    assert_same_trees(others, (forward, forward), 1e-9, 1e-9)
    for found, after, before in zip(
        *map(jax.tree.leaves, (forward, high[3], low[3])), strict=True
    ):
        difference = (after - before) / (2 * step)
        scale = np.abs(difference).max()
        np.testing.assert_allclose(found / scale, difference / scale, atol=1e-5)


def _dot(left: Any, right: Any) -> Any:
    pairs = zip(jax.tree.leaves(left), jax.tree.leaves(right), strict=True)
    return sum((a * b).sum() for a, b in pairs)
