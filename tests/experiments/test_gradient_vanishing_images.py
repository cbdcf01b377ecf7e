"""What the gradient experiment takes of a data set."""

import numpy as np

from cnn_jax import data
from cnn_jax.data import Split
from experiments.gradient_vanishing.images import MOST, small


def test_digits_are_taken_as_they_are():
    digits = data.load("digits").train
    assert len(digits.labels) == MOST
    for found, wanted in zip(small(digits), digits, strict=True):
        np.testing.assert_array_equal(found, wanted)
        assert found.dtype == wanted.dtype


def test_larger_images_are_averaged_about_their_middle():
    """A block of MNIST has 4 × 4 pixels, and two rows of zeros lie around the image."""
    images = np.zeros((2000, 28, 28, 1), np.float32)
    images[7, :2, :2] = 1  # in the first block, of which it is a quarter
    images[7, 2:6, 26:] = 1  # in the last block of the second row: half of it
    images[1436, 10:14, 10:14] = 0.5  # a whole block
    labels = np.arange(2000, dtype=np.int32)
    found = small(Split(images, labels))
    assert found.images.shape == (MOST, 8, 8, 1)
    assert found.images.dtype == np.float32
    assert found.labels.tolist() == labels[:MOST].tolist()
    corner = np.zeros((8, 8))
    corner[0, 0], corner[1, 7] = 0.25, 0.5
    np.testing.assert_array_equal(found.images[7, ..., 0], corner)
    block = np.zeros((8, 8))
    block[3, 3] = 0.5
    np.testing.assert_array_equal(found.images[1436, ..., 0], block)
