"""Rotations and scalings against scipy.ndimage, turned arrays and closed forms."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import ndimage

from cnn_jax.instruments import rescale, rotate, sample
from tests.derivatives import check_derivatives

# Our borders, and what scipy calls them.
MODES = {
    "ZERO": "grid-constant",
    "CIRCULAR": "grid-wrap",
    "REFLECT": "mirror",
    "REPLICATE": "nearest",
}


@pytest.fixture
def images():
    return jax.random.normal(jax.random.key(0), (2, 7, 6, 2))


def interpolated(images, source, mode):
    """scipy's linear interpolation where `source(*position)` points, in float64."""
    spatial = images.shape[1:-1]
    positions = np.asarray([source(*p) for p in np.ndindex(spatial)]).T
    planes = [
        ndimage.map_coordinates(plane, positions, order=1, mode=mode).reshape(spatial)
        for plane in np.moveaxis(np.asarray(images, np.float64), -1, 1).reshape(
            -1, *spatial
        )
    ]
    shape = (images.shape[0], images.shape[-1], *spatial)
    return np.moveaxis(np.reshape(planes, shape), 1, -1)


@pytest.mark.parametrize("border", MODES)
def test_a_rotation_reads_where_the_angle_points(images, border):
    turn = jax.jit(partial(rotate, border=border))
    for degrees in (30.0, -77.5, 130.0):
        cosine, sine = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))

        def source(row, column, cosine=cosine, sine=sine):
            r, c = row - 3, column - 2.5
            return 3 + r * cosine + c * sine, 2.5 + c * cosine - r * sine

        expected = interpolated(images, source, MODES[border])
        np.testing.assert_allclose(turn(images, degrees), expected, atol=5e-6)


def test_a_rotation_is_scipys_in_direction_and_center(images):
    expected = ndimage.rotate(
        np.asarray(images, np.float64),
        25,
        axes=(2, 1),
        reshape=False,
        order=1,
        mode="grid-constant",
    )
    np.testing.assert_allclose(jax.jit(rotate)(images, 25.0), expected, atol=5e-6)


@pytest.mark.parametrize("size", [1, 4, 5])
def test_quarter_turns_of_square_images_are_exact(size):
    square = jax.random.normal(jax.random.key(1), (2, size, size, 1))
    turn = jax.jit(rotate)
    for quarters in (-3, -1, 0, 1, 2, 3, 4, 9):
        turned = turn(square, 90.0 * quarters)
        np.testing.assert_array_equal(turned, np.rot90(square, quarters, axes=(1, 2)))


@pytest.mark.parametrize("border", MODES)
def test_a_scaling_reads_at_the_divided_distance_from_the_center(images, border):
    grow = jax.jit(partial(rescale, border=border))
    for factors in ((1.5, 1.5), (0.4, 0.4), (2.0, 0.7)):

        def source(row, column, factors=factors):
            return 3 + (row - 3) / factors[0], 2.5 + (column - 2.5) / factors[1]

        expected = interpolated(images, source, MODES[border])
        np.testing.assert_allclose(grow(images, factors), expected, atol=5e-6)


def test_scalings_work_on_other_numbers_of_spatial_axes():
    grow = jax.jit(rescale)
    line = jax.random.normal(jax.random.key(2), (1, 9, 3))
    expected = interpolated(line, lambda p: (4 + (p - 4) / 1.3,), "grid-constant")
    np.testing.assert_allclose(grow(line, 1.3), expected, atol=5e-6)
    solid = jax.random.normal(jax.random.key(3), (1, 3, 4, 1, 1))
    expected = interpolated(
        solid,
        lambda a, b, c: (1 + (a - 1) / 1.3, 1.5 + (b - 1.5) / 1.3, c),
        "grid-constant",
    )
    np.testing.assert_allclose(grow(solid, 1.3), expected, atol=5e-6)


def test_no_scaling_is_the_image_itself_and_tripling_repeats_the_middle(images):
    np.testing.assert_array_equal(rescale(images, 1.0), images)
    wide = rescale(jnp.arange(9.0).reshape(1, 9, 1), 3.0)
    np.testing.assert_allclose(wide[0, :, 0], 4 + np.arange(-4, 5) / 3, rtol=1e-6)


def test_samples_fade_to_zero_over_one_pixel_or_continue():
    line = jnp.asarray([8.0, 4.0]).reshape(1, 2, 1)
    positions = jnp.asarray([-1.5, -0.75, 0.25, 1.0, 1.5, 2.5])[:, None]
    read = {border: sample(line, positions, border=border)[0, :, 0] for border in MODES}
    np.testing.assert_array_equal(read["ZERO"], [0, 2, 7, 4, 2, 0])
    np.testing.assert_array_equal(read["REPLICATE"], [8, 8, 7, 4, 4, 4])
    np.testing.assert_array_equal(read["CIRCULAR"], [6, 5, 7, 4, 6, 6])
    np.testing.assert_array_equal(read["REFLECT"], [6, 5, 7, 4, 6, 6])


def test_samples_take_any_shape_of_positions(images):
    positions = jax.random.uniform(jax.random.key(4), (3, 1, 2, 2), maxval=5)
    read = jax.jit(sample)
    values = read(images, positions)
    assert values.shape == (2, 3, 1, 2, 2)
    alone = read(images, positions[1, 0, 1])
    np.testing.assert_allclose(values[:, 1, 0, 1], alone, rtol=1e-6)


@pytest.mark.parametrize("border", ["REFLECT", "CIRCULAR", "REPLICATE"])
def test_an_axis_of_one_pixel_goes_on_as_that_pixel(border):
    row = jax.random.normal(jax.random.key(5), (1, 1, 3, 1))
    turned = rotate(row, 90.0, border=border)
    np.testing.assert_array_equal(turned, jnp.full_like(row, row[0, 0, 1, 0]))


def test_derivatives_are_exact_in_pixels_angles_and_factors():
    def moved(images, degrees, factor):
        turned = rotate(images, degrees, border="REFLECT")
        return jnp.sum(jnp.sin(turned) * rescale(images, factor))

    images = np.random.default_rng(6).normal(size=(1, 4, 3, 1))
    check_derivatives(moved, (images, np.asarray(20.3), np.asarray(1.23)))


def test_half_precision_is_interpolated_in_single(images):
    half = images.astype(jnp.bfloat16)
    turn = jax.jit(rotate)
    expected = turn(half.astype(jnp.float32), 33.0).astype(jnp.bfloat16)
    turned = turn(half, 33.0)
    assert turned.dtype == jnp.bfloat16
    np.testing.assert_array_equal(turned, expected)


def test_integers_are_interpolated_and_returned_in_single_precision():
    whole = jnp.full((1, 8, 8, 1), 255, jnp.uint8)
    whole = whole.at[0, 3, 2, 0].set(3)
    for motion, amount in ((rotate, 30.0), (rescale, 1.5)):
        warp = jax.jit(partial(motion, border="REPLICATE"))
        warped = warp(whole, amount)
        assert warped.dtype == jnp.float32
        expected = warp(whole.astype(jnp.float32), amount)
        np.testing.assert_allclose(warped, expected, rtol=1e-6)


def test_what_cannot_be_turned_scaled_or_sampled_is_refused(images):
    with pytest.raises(ValueError, match=r"expected inputs \[N, H, W, C\]"):
        rotate(images[..., 0], 90.0)
    with pytest.raises(ValueError, match=r"one angle in degrees, got shape \(2,\)"):
        rotate(images, jnp.ones(2))
    with pytest.raises(ValueError, match=r"border: expected one of .*got 'SAME'"):
        rotate(images, 10.0, border="SAME")
    with pytest.raises(ValueError, match=r"a factor, or 2 of them, got shape \(3,\)"):
        rescale(images, (1.0, 1.0, 1.0))
    with pytest.raises(ValueError, match="expected a positive factor, got 0"):
        rescale(images, 0)
    with pytest.raises(ValueError, match=r"positions of 2 numbers.*got shape \(4, 3\)"):
        sample(images, jnp.zeros((4, 3)))
