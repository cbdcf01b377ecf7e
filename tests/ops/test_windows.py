"""Paddings, sizes and windows against loops and against what numpy pads."""

import itertools
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

from cnn_jax.ops import windows
from tests import reference


def test_one_integer_stands_for_every_axis() -> None:
    assert windows.canonical(2, 3, "strides") == (2, 2, 2)


def test_a_sequence_gives_one_integer_per_axis() -> None:
    assert windows.canonical([2, 3], 2, "strides") == (2, 3)


@pytest.mark.parametrize("value", [0, -1, (1, 0), (1,), (1, 2, 3), 1.5, None, "ab"])
def test_what_is_not_one_positive_integer_per_axis_is_refused(value: Any) -> None:
    with pytest.raises(ValueError, match=r"strides: expected one integer >= 1 or 2 of"):
        windows.canonical(value, 2, "strides")


@pytest.mark.parametrize("name", windows.PADDING_NAMES)
def test_named_paddings_add_what_their_names_promise(name: str) -> None:
    for n, k, s, d in itertools.product((1, 2, 5, 8), (1, 2, 3, 4), (1, 2, 3), (1, 2)):
        axis = ((n,), (k,), (s,), (d,))
        mode, pairs = windows.resolve_padding(name, *axis)
        assert (mode, list(pairs)) == reference.border(name, *axis)


@pytest.mark.parametrize(
    ("padding", "pairs"),
    [
        (1, ((1, 1), (1, 1))),
        ((1, 2), ((1, 1), (2, 2))),
        (((0, 1), (2, 3)), ((0, 1), (2, 3))),
        (((-1, 0), (2, -3)), ((-1, 0), (2, -3))),
        ([[1, 2], 3], ((1, 2), (3, 3))),
    ],
)
def test_explicit_paddings_are_zeros_per_side(padding: Any, pairs: Any) -> None:
    resolved = windows.resolve_padding(padding, (7, 7), (3, 3), (1, 1), (1, 1))
    assert resolved == ("zeros", pairs)


@pytest.mark.parametrize("padding", ["same", "ZEROS", (1,), ((1, 2, 3), 1), 1.5, None])
def test_an_unknown_padding_is_answered_with_the_names(padding: Any) -> None:
    with pytest.raises(ValueError, match="expected one of SAME, VALID, FULL, CAUSAL, "):
        windows.resolve_padding(padding, (7, 7), (3, 3), (1, 1), (1, 1))


def test_causal_padding_of_an_image_is_refused() -> None:
    with pytest.raises(ValueError, match=r"'CAUSAL': expected 1 spatial axis .* got 2"):
        windows.resolve_padding("CAUSAL", (7, 7), (3, 3), (1, 1), (1, 1))


@pytest.mark.parametrize("mode", ["wrap", "reflect", "edge"])
@pytest.mark.parametrize("size", [1, 2, 5])
def test_borders_hold_the_values_that_numpy_pads(mode: Any, size: int) -> None:
    inputs = np.arange(2.0 * size * 3).reshape(1, size, 3, 2)
    padded = windows.pad(jnp.asarray(inputs), ((2, 3), (1, 0)), mode)
    expected = np.pad(inputs, [(0, 0), (2, 3), (1, 0), (0, 0)], mode=mode)
    np.testing.assert_array_equal(padded, expected)


def test_negative_pairs_crop_and_the_fill_value_is_free() -> None:
    inputs = jnp.arange(4.0).reshape(1, 4, 1)
    padded = windows.pad(inputs, ((-1, 2),), "zeros", -jnp.inf)
    assert padded[0, :, 0].tolist() == [1, 2, 3, -np.inf, -np.inf]


def test_an_empty_axis_has_no_values_to_repeat() -> None:
    with pytest.raises(ValueError, match=r"'wrap': expected spatial sizes >= 1"):
        windows.pad(jnp.zeros((1, 0, 1)), ((1, 1),), "wrap")


def test_dilating_puts_zeros_between_neighbors() -> None:
    inputs = jnp.asarray([1.0, 2.0, 3.0]).reshape(1, 3, 1)
    assert windows.dilate(inputs, (3,))[0, :, 0].tolist() == [1, 0, 0, 2, 0, 0, 3]


def test_output_sizes_count_the_windows_that_fit() -> None:
    ranges = ((1, 4, 9), (1, 2, 3), (1, 2, 3), (1, 2), (0, 2), (0, 1))
    for n, k, s, d, low, high in itertools.product(*ranges):
        expected = reference.num_windows(n + low + high, k, s, d)
        if expected:
            assert windows.output_size(n, k, s, d, low, high) == expected


def test_a_window_larger_than_the_padded_input_is_refused_with_the_sizes() -> None:
    message = (
        r"kernel larger than the padded input: expected at most 5 positions "
        r"\(size 4, padding 0 \+ 1\), got 7 \(window 4, dilation 2\)"
    )
    with pytest.raises(ValueError, match=message):
        windows.output_size(4, 4, 1, 2, 0, 1)


def test_an_empty_axis_has_no_windows_unless_padding_holds_some() -> None:
    assert windows.output_size(0, 3, 1, 1, 1, 1) == 0
    assert windows.output_size(0, 3, 1, 1, 2, 2) == 2


@pytest.mark.parametrize(
    ("spatial", "window", "strides", "dilation"),
    [
        ((9,), (3,), (2,), (2,)),
        ((7, 6), (3, 2), (2, 1), (1, 3)),
        ((4, 5, 3), (2, 3, 1), (1, 2, 1), (2, 1, 1)),
    ],
)
def test_patches_are_the_windows_with_channels_last(
    spatial: Any, window: Any, strides: Any, dilation: Any
) -> None:
    inputs = np.random.default_rng(0).normal(size=(2, *spatial, 3)).astype("float32")
    pairs = [(0, 0)] * len(spatial)
    patches = np.asarray(
        windows.patches(jnp.asarray(inputs), window, strides=strides, dilation=dilation)
    )
    number = 0
    for position, tap, values in reference.taps(
        inputs, window, strides, dilation, "zeros", pairs
    ):
        at = (slice(None), *position, *tap)
        np.testing.assert_array_equal(patches[at], values)
        number += values.size
    assert patches.size == number


def test_patches_of_an_empty_axis_are_empty() -> None:
    patches = windows.patches(jnp.zeros((2, 0, 4, 1)), (2, 3))
    assert patches.shape == (2, 0, 2, 2, 3, 1)
