"""Trees of arrays: drawn, and against each other, leaf by leaf."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np


def drawn_like(shapes: Any) -> Any:
    """Normal values in a tree of shapes and dtypes; compiles nothing."""
    generator = np.random.default_rng(1)
    return jax.tree.map(
        lambda leaf: jnp.asarray(generator.normal(size=leaf.shape), leaf.dtype), shapes
    )


def assert_same_trees(
    found: Any, expected: Any, rtol: float = 0.0, atol: float = 0.0
) -> None:
    """One structure, with leaves in it, of one shape each and of values this close."""
    leaves, structure = jax.tree.flatten(found)
    others, expected_structure = jax.tree.flatten(expected)
    assert structure == expected_structure
    assert leaves, "no leaf to compare"
    for leaf, other in zip(leaves, others, strict=True):
        assert np.shape(leaf) == np.shape(other)
        assert np.allclose(leaf, other, rtol, atol, equal_nan=True), (leaf, other)
