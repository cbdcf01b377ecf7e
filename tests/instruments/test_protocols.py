"""The papers' protocols on classifiers whose agreement is known."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnn_jax.instruments import (
    consistency_of_batch_pairs,
    consistency_of_crops,
    consistency_of_rolls,
)


def place(num_classes):
    """A classifier that names the position of the pixel at its first corner."""

    def apply(_, images):
        return jax.nn.one_hot(images[:, 0, 0, 0].astype(jnp.int32), num_classes)

    return apply


def numbered(num_images, size):
    """Images whose pixels are numbered row by row."""
    pixels = jnp.arange(float(size * size)).reshape(1, size, size, 1)
    return jnp.broadcast_to(pixels, (num_images, size, size, 1))


KEY = jax.random.key(0)


@pytest.mark.parametrize(("diagonal", "agreeing"), [(False, 1 / 9), (True, 1 / 3)])
def test_crops_are_drawn_evenly_from_all_offsets(diagonal, agreeing):
    share = consistency_of_crops(
        KEY,
        place(25),
        None,
        numbered(4000, 5),
        size=(3, 3),
        num_offsets=3,
        diagonal=diagonal,
        batch_size=1,
    )
    assert share == pytest.approx(agreeing, abs=0.03)


def test_along_the_diagonal_both_offsets_are_one():
    def apply(_, images):
        row, column = jnp.divmod(images[:, 0, 0, 0], 5)
        return jax.nn.one_hot((row == column).astype(jnp.int32), 2)

    arguments = (KEY, apply, None, numbered(500, 5))
    keywords = {"size": (3, 2), "num_offsets": 3, "batch_size": 1}
    assert consistency_of_crops(*arguments, diagonal=True, **keywords) == 1
    assert consistency_of_crops(*arguments, **keywords) < 0.8


def test_the_furthest_crop_is_the_corner_of_the_image():
    """Of 2 offsets the second reads the pixel at (1, 1), and nothing beyond."""

    def apply(_, images):
        assert images.shape[1:] == (4, 4, 1)
        first = images[:, 0, 0, 0]
        intact = images[:, -1, -1, 0] == first + 3 * 5 + 3
        return jnp.stack([intact, ~intact], -1).astype(jnp.float32)

    share = consistency_of_crops(
        KEY, apply, None, numbered(64, 5), size=(4, 4), num_offsets=2, batch_size=1
    )
    assert share == 1


def test_rolls_are_circular_and_never_reach_the_positive_end():
    def apply(_, images):
        position = jnp.argmax(images.reshape(len(images), -1), axis=1)
        return jax.nn.one_hot(position, 25)

    def never(_, images):
        position = jnp.argmax(images.reshape(len(images), -1), axis=1)
        moved_down = (position // 5 == 3) | (position % 5 == 3)
        return jax.nn.one_hot(moved_down.astype(jnp.int32), 2)

    images = jnp.zeros((4000, 5, 5, 1)).at[:, 2, 2].set(1.0)
    measure = jax.jit(consistency_of_rolls, static_argnums=1, static_argnames=WORDS)
    share = measure(KEY, apply, None, images, max_shift=1, batch_size=1)
    assert share == pytest.approx(1 / 4, abs=0.03)
    assert measure(KEY, never, None, images, max_shift=1, batch_size=1) == 1
    # Out on one side, in on the other: nothing is lost.
    corner = jnp.zeros((500, 5, 5, 1)).at[:, 0, 0].set(1.0)
    total = measure(KEY, lambda _, x: _whole(x), None, corner, batch_size=1)
    assert total == 1


WORDS = ("max_shift", "batch_size")


def _whole(images):
    total = jnp.sum(images, axis=(1, 2, 3))
    return jnp.stack([total, jnp.full_like(total, 0.5)], -1)


def test_a_batch_shares_its_pair():
    images = numbered(8, 5).at[4:].set(0)  # the second batch always agrees
    keys = jax.random.split(jax.random.key(1), 40)

    def sample(key):
        keywords = {"size": (4, 4), "num_offsets": 2, "batch_size": 4}
        return consistency_of_crops(key, place(25), None, images, **keywords)

    shares = jax.jit(jax.vmap(sample))(keys)
    assert set(shares.tolist()) == {0.5, 1.0}


def test_what_protocols_cannot_draw_is_refused():
    images = numbered(2, 5)
    with pytest.raises(ValueError, match=r"size \+ num_offsets - 1 pixels or more"):
        consistency_of_crops(KEY, place(25), None, images, size=(3, 3), num_offsets=4)
    with pytest.raises(ValueError, match="expected max_shift of 1 or more, got 0"):
        consistency_of_rolls(KEY, place(25), None, images, max_shift=0)
    with pytest.raises(ValueError, match="expected batch_size of 1 or more, got 0"):
        consistency_of_rolls(KEY, place(25), None, images, batch_size=0)


def test_sampled_pairs_average_to_the_share_with_identical_pairs_counted():
    predictions = jax.random.randint(jax.random.key(2), (9, 64), 0, 3)
    equal = np.asarray(predictions)[:, None] == np.asarray(predictions)[None]

    def sample(key):
        return consistency_of_batch_pairs(key, predictions, np.arange(9), batch_size=8)

    drawn = jax.vmap(sample)(jax.random.split(jax.random.key(3), 2000))
    np.testing.assert_allclose(drawn.mean(), equal.mean(), atol=0.01)


def test_one_batch_shares_one_pair_and_candidates_limit_the_draw():
    predictions = jnp.arange(5)[:, None] * jnp.ones((1, 10), int)
    drawn = [
        float(consistency_of_batch_pairs(key, predictions, np.asarray([1, 3])))
        for key in jax.random.split(jax.random.key(4), 20)
    ]
    assert set(drawn) == {0.0, 1.0}
    # Two batches of five, and only the first depends on the shift.
    predictions = predictions.at[:, 5:].set(0)

    def sample(key):
        return consistency_of_batch_pairs(key, predictions, np.arange(5), batch_size=5)

    drawn = jax.vmap(sample)(jax.random.split(jax.random.key(6), 20))
    assert set(drawn.tolist()) == {0.5, 1.0}
    only = consistency_of_batch_pairs(jax.random.key(5), predictions, np.asarray([2]))
    assert only == 1
