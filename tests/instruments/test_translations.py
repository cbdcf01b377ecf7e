"""Translations against numpy loops and closed forms."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnn_jax.instruments import band_limit, crop, fourier_shift, roll, slide


@pytest.fixture
def images():
    return jax.random.normal(jax.random.key(0), (3, 7, 6, 2))


def test_roll_moves_every_pixel_and_wraps(images):
    moved = roll(images, (2, -1))
    for row in range(7):
        for column in range(6):
            source = images[:, (row - 2) % 7, (column + 1) % 6]
            np.testing.assert_array_equal(moved[:, row, column], source)


@pytest.mark.parametrize("shift", [(0, 0), (2, -1), (-3, 4), (7, 0), (-9, 2)])
def test_slide_moves_every_pixel_and_fills_with_zeros(images, shift):
    moved = np.asarray(slide(images, shift))
    for row in range(7):
        for column in range(6):
            y, x = row - shift[0], column - shift[1]
            inside = 0 <= y < 7 and 0 <= x < 6
            expected = images[:, y, x] if inside else np.zeros((3, 2))
            np.testing.assert_array_equal(moved[:, row, column], expected)


@pytest.mark.parametrize(
    ("border", "mode"),
    [("REFLECT", "reflect"), ("REPLICATE", "edge"), ("CIRCULAR", "wrap")],
)
@pytest.mark.parametrize("shift", [(2, -1), (-6, 3), (0, 5)])
def test_slide_fills_from_the_border_as_padding_does(images, border, mode, shift):
    padded = np.pad(images, [(0, 0), (8, 8), (8, 8), (0, 0)], mode=mode)
    expected = padded[:, 8 - shift[0] :, 8 - shift[1] :][:, :7, :6]
    np.testing.assert_array_equal(slide(images, shift, border=border), expected)


def test_one_pixel_is_its_own_mirror_image():
    row = jnp.arange(3.0).reshape(1, 1, 3, 1)
    np.testing.assert_array_equal(slide(row, (4, 0), border="REFLECT"), row)


def test_an_unknown_border_is_refused(images):
    with pytest.raises(ValueError, match=r"border: expected one of .*got 'SAME'"):
        slide(images, (0, 1), border="SAME")


@pytest.mark.parametrize("shift", [(0, 0), (1, -1), (-2, 1)])
def test_a_crop_moves_the_content_by_the_shift(images, shift):
    top, left = 2 - shift[0], 1 - shift[1]
    expected = images[:, top : top + 3, left : left + 4]
    np.testing.assert_array_equal(crop(images, shift, size=(3, 4)), expected)
    traced = jax.jit(lambda shift: crop(images, shift, size=(3, 4)))(jnp.asarray(shift))
    np.testing.assert_array_equal(traced, expected)


@pytest.mark.parametrize(("shift", "lost"), [((0, 2), 0), ((0, -2), 3)])
def test_a_traced_crop_out_of_the_image_is_not_a_number(images, shift, lost):
    moved = jax.jit(lambda shift: crop(images, shift, size=(3, 4)))(jnp.asarray(shift))
    outside = np.arange(4) == lost
    np.testing.assert_array_equal(
        np.isnan(moved), np.broadcast_to(outside[:, None], moved.shape)
    )


@pytest.mark.parametrize(("dtype", "lost"), [(jnp.int16, -32768), (jnp.uint8, 255)])
def test_a_traced_crop_of_integers_out_of_the_image_takes_an_end_of_their_range(
    dtype, lost
):
    row = jnp.ones((1, 4, 1), dtype)
    moved = jax.jit(lambda shift: crop(row, shift, size=(2,)))(jnp.asarray([2]))
    np.testing.assert_array_equal(moved.ravel(), [lost, 1])


def test_a_crop_out_of_the_image_is_refused(images):
    with pytest.raises(ValueError, match="shift of -1 to 1 on axis 2, from 6 to 4"):
        crop(images, (0, 2), size=(3, 4))


@pytest.mark.parametrize("size", [(8, 4), (3,), (0, 3)])
def test_a_crop_larger_than_the_image_is_refused(images, size):
    with pytest.raises(ValueError, match=r"expected a size of 1 to \(7, 6\)"):
        crop(images, (0, 0), size=size)


@pytest.mark.parametrize("move", [roll, slide, lambda x, s: crop(x, s, size=(3, 3))])
def test_a_fraction_of_a_pixel_is_refused_where_it_would_be_cut_off(images, move):
    with pytest.raises(ValueError, match="expected a shift of integers, got float32"):
        move(images, jnp.asarray((0.5, 0.0)))


def test_shifts_may_be_traced_and_mapped(images):
    shifts = jnp.asarray([(0, 1), (2, -3)])
    moved = jax.jit(jax.vmap(slide, in_axes=(None, 0)))(images, shifts)
    np.testing.assert_array_equal(moved[1], slide(images, (2, -3)))


@pytest.mark.parametrize("rank", [1, 3])
def test_translations_work_on_other_numbers_of_spatial_axes(rank):
    inputs = jax.random.normal(jax.random.key(1), (2, *(5, 4, 3)[:rank], 2))
    shift = (1, -1, 2)[:rank]
    expected = np.roll(inputs, shift, tuple(range(1, rank + 1)))
    np.testing.assert_array_equal(roll(inputs, shift), expected)


def test_a_shift_of_the_wrong_length_is_refused(images):
    with pytest.raises(ValueError, match=r"expected a shift of 2 numbers.*got shape"):
        roll(images, (1, 2, 3))


def test_inputs_without_spatial_axes_are_refused():
    with pytest.raises(ValueError, match=r"expected inputs \[N, \*spatial, C\]"):
        slide(jnp.zeros((3, 4)), ())


@pytest.mark.parametrize("dtype", [jnp.uint8, jnp.int32])
def test_integers_are_shifted_and_limited_in_single_precision(dtype):
    whole = jax.random.randint(jax.random.key(4), (2, 9, 8, 1), 0, 256).astype(dtype)
    for move in (lambda x: fourier_shift(x, (0.5, -1.3)), band_limit):
        moved = move(whole)
        assert moved.dtype == jnp.float32
        np.testing.assert_array_equal(moved, move(whole.astype(jnp.float32)))


def test_a_whole_fourier_shift_is_a_roll(images):
    np.testing.assert_allclose(
        fourier_shift(images, (2, -1)), roll(images, (2, -1)), atol=2e-6
    )


def test_a_half_pixel_shift_moves_a_sine_by_half_a_pixel():
    positions = np.arange(16.0)
    wave = np.sin(2 * np.pi * 3 * positions / 16)[None, None, :, None]
    expected = np.sin(2 * np.pi * 3 * (positions - 0.5) / 16)
    inputs = jnp.asarray(np.broadcast_to(wave, (1, 4, 16, 1)), jnp.float32)
    moved = fourier_shift(inputs, (0, 0.5))
    np.testing.assert_allclose(moved[0, 2, :, 0], expected, atol=1e-6)


def test_two_half_pixel_shifts_are_one_pixel_for_band_limited_images():
    images = jax.random.normal(jax.random.key(2), (2, 8, 8, 1))
    twice = fourier_shift(fourier_shift(images, (0.5, 0)), (0.5, 0))
    assert jnp.max(jnp.abs(twice - roll(images, (1, 0)))) > 0.01
    limited = band_limit(images)
    twice = fourier_shift(fourier_shift(limited, (0.5, 0)), (0.5, 0))
    np.testing.assert_allclose(twice, roll(limited, (1, 0)), atol=2e-6)


@pytest.mark.parametrize("cutoff", [0.5, 0.3])
def test_band_limit_removes_the_frequencies_from_the_cutoff_on_and_no_others(cutoff):
    images = jax.random.normal(jax.random.key(3), (1, 8, 6, 1))
    before = np.fft.fft2(np.asarray(images), axes=(1, 2))
    after = np.fft.fft2(np.asarray(band_limit(images, cutoff)), axes=(1, 2))
    before[:, np.abs(np.fft.fftfreq(8)) >= cutoff] = 0
    before[:, :, np.abs(np.fft.fftfreq(6)) >= cutoff] = 0
    np.testing.assert_allclose(after, before, atol=1e-5)


def test_a_fourier_shift_has_the_precision_of_its_inputs(images):
    with jax.enable_x64(True):
        wave = np.sin(2 * np.pi * 2 * np.arange(7) / 7).reshape(1, 7, 1)
        moved = fourier_shift(jnp.asarray(wave), (0.3,))
        expected = np.sin(2 * np.pi * 2 * (np.arange(7) - 0.3) / 7)
        np.testing.assert_allclose(moved[0, :, 0], expected, atol=1e-13)
    half = images.astype(jnp.bfloat16)
    moved = fourier_shift(half, (0.3, 0.5))
    assert moved.dtype == jnp.bfloat16
    expected = fourier_shift(half.astype(jnp.float32), (0.3, 0.5)).astype(jnp.bfloat16)
    np.testing.assert_array_equal(moved, expected)
