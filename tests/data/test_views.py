"""The two views: exact integers, enlarged as image libraries do."""

import hashlib

import jax
import numpy as np
import pytest

from cnn_jax import data
from cnn_jax.data import views


def test_plain_divides_by_the_white_level():
    images = np.array([0, 4, 16], np.uint8).reshape(1, 1, 3, 1)
    assert views.plain(images, 16).ravel().tolist() == [0, 0.25, 1]


def test_the_canvas_of_digits_has_an_empty_margin_of_six_pixels(warm_dir):
    images = data.load("digits", view="canvas", cache_dir=warm_dir).train.images
    assert images.shape == (1437, 32, 32, 1)
    assert images.dtype == np.float32
    assert images[:, 6:26, 6:26].sum() == pytest.approx(images.sum(), rel=1e-6)
    inked = images.max((0, 3)) > 0
    assert inked[6:26].any(1).all()
    assert not inked[:6].any()
    assert not inked[26:].any()
    assert not inked[:, :6].any()
    assert not inked[:, 26:].any()


@pytest.mark.parametrize(("before", "after"), [(8, 20), (8, 9), (5, 15), (1, 4)])
def test_enlarging_agrees_with_jax_image_resize(before, after):
    images = np.random.default_rng(0).integers(0, 17, (3, before, before, 1))
    enlarged = views.canvas(images.astype(np.uint8), 16, after, after)
    shape = (3, after, after, 1)
    expected = jax.image.resize(images.astype(np.float32) / 16, shape, "bilinear")
    np.testing.assert_allclose(enlarged, expected, atol=1e-6)


def test_the_canvas_of_digits_has_the_same_bits_for_good(warm_dir):
    images = data.load("digits", view="canvas", cache_dir=warm_dir).test.images
    assert hashlib.sha256(images.tobytes()).hexdigest()[:16] == "c8a35f6096a00efb"


def test_an_image_that_fits_is_only_moved_to_the_middle():
    images = np.full((1, 28, 28, 1), 255, np.uint8)
    wide = views.canvas(images, 255, 28, 40)
    assert wide.shape == (1, 40, 40, 1)
    assert (wide[:, 6:34, 6:34] == 1).all()
    assert wide.sum() == 28 * 28


def test_every_field_holds_its_whole_image_at_a_place_of_its_own():
    images = np.random.default_rng(0).random((400, 3, 2, 1)).astype(np.float32)
    canvases, places = views.field(images, 5, seed=3)
    assert canvases.shape == (400, 8, 7, 1)
    assert canvases.dtype == np.float32
    for canvas, image, (top, left) in zip(canvases, images, places, strict=True):
        np.testing.assert_array_equal(canvas[top : top + 3, left : left + 2], image)
        assert np.count_nonzero(canvas) == np.count_nonzero(image)
    assert {tuple(place) for place in places} == set(np.ndindex(6, 6))
    assert places[:3].tolist() == [[2, 0], [1, 3], [0, 0]]
