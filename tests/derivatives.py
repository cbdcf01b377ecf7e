"""First and second derivatives against differences, in one compilation."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np


def check_derivatives(
    f: Callable[..., Any], arrays: Sequence[np.ndarray], step: float = 1e-5
) -> None:
    """Both orders along one random direction of all arrays, in float64.

    The slope of Σ sin(f) by forward and reverse mode, the slope of its gradient by
    forward over reverse and reverse over reverse, each against central differences.
    """
    rng = np.random.default_rng(11)
    along = [rng.normal(size=array.shape) for array in arrays]

    def loss(arrays: Any) -> Any:
        return jnp.sum(jnp.sin(f(*arrays)))

    def dot(left: Any, right: Any) -> Any:
        return sum(jnp.vdot(a, b) for a, b in zip(left, right, strict=True))

    @jax.jit
    def derivatives(arrays: Any, along: Any) -> Any:
        value, slope = jax.jvp(loss, (arrays,), (along,))
        gradient, forward = jax.jvp(jax.grad(loss), (arrays,), (along,))
        reverse = jax.grad(lambda arrays: dot(jax.grad(loss)(arrays), along))(arrays)
        return value, slope, gradient, forward, reverse

    with jax.enable_x64(True):
        moved = [
            [a + sign * step * b for a, b in zip(arrays, along, strict=True)]
            for sign in (-1, 1)
        ]
        low, high, here = (
            jax.tree.map(np.asarray, derivatives(arrays, along))
            for arrays in (*moved, list(arrays))
        )
    _, slope, gradient, forward, reverse = here
    np.testing.assert_allclose(slope, (high[0] - low[0]) / (2 * step), rtol=1e-5)
    products = zip(gradient, along, strict=True)
    np.testing.assert_allclose(slope, sum(np.vdot(a, b) for a, b in products))
    for by_forward, by_reverse, after, before in zip(
        forward, reverse, high[2], low[2], strict=True
    ):
        difference = (after - before) / (2 * step)
        scale = np.abs(difference).max()
        np.testing.assert_allclose(by_forward / scale, difference / scale, atol=1e-5)
        np.testing.assert_allclose(by_reverse, by_forward, rtol=1e-9, atol=1e-9)
