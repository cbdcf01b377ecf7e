"""Draws of the seeds."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.harness.seeds import cut, normals


def test_numbers_are_cut_once_and_no_more_than_there_are():
    first, second = cut(jnp.arange(7.0), (2, 2), (3,))
    np.testing.assert_array_equal(first, [[0, 1], [2, 3]])
    np.testing.assert_array_equal(second, [4, 5, 6])
    with pytest.raises(ValueError, match="expected at most 7 numbers, got 8"):
        cut(jnp.arange(7.0), (2, 2), (4,))


def test_normals_are_one_draw_of_variance_1():
    one, other = normals(jax.random.key(3), (50, 2, 40), (4000,))
    assert (one.shape, other.shape) == ((50, 2, 40), (4000,))
    both = np.concatenate([np.ravel(one), other])
    np.testing.assert_array_equal(both, jax.random.normal(jax.random.key(3), (8000,)))
    assert len(set(both.tolist())) > 7900
