"""The order of examples in numpy is the one that jax draws."""

import jax
import numpy as np
import pytest

from cnn_jax.data import order


def words(key: jax.Array) -> np.ndarray:
    return np.asarray(jax.random.key_data(key))


@pytest.mark.parametrize("seed", [0, 1, 2**31, 2**32 - 1])
def test_keys_are_folded_as_jax_folds_them(seed: int):
    key = jax.random.key(seed)
    for number in (0, 1, 3, 2**31 + 5, 2**32 - 1):
        folded = jax.random.fold_in(key, np.uint32(number))
        np.testing.assert_array_equal(order.fold_in(words(key), number), words(folded))


# From 1,626 on jax sorts twice.
@pytest.mark.parametrize("number", [0, 1, 2, 17, 1437, 60_000])
def test_a_permutation_is_the_one_that_jax_draws(number: int):
    for seed in (0, 2**32 - 1):
        key = jax.random.key(seed)
        expected = jax.random.permutation(key, number)
        np.testing.assert_array_equal(order.permutation(words(key), number), expected)


def test_batches_follow_the_epochs_of_every_key():
    keys = jax.random.split(jax.random.key(3), 2)
    found = order.batches(words(keys), 17, 5, 2, 5)
    assert found.shape == (2, 5, 5)
    for key, batches in zip(keys, found, strict=True):
        root = jax.random.fold_in(key, 0)
        for step, batch in enumerate(batches, 2):
            epoch, place = divmod(step, 3)
            visited = jax.random.permutation(jax.random.fold_in(root, epoch), 17)
            np.testing.assert_array_equal(batch, visited[5 * place : 5 * place + 5])
