"""Closed forms of sizes and costs against measured shapes and counted loops."""

import itertools
import math
import re
from typing import Any

import jax
import numpy as np
import pytest

from cnn_jax.ops import (
    Layer,
    field_positions,
    num_macs,
    num_params,
    output_shapes,
    receptive_field,
)
from tests import reference
from tests.ops.arithmetic_cases import ALEXNET, POOL2, VGG16, stack


def dense(features, *window):
    return Layer(window or (1, 1), features, padding="VALID")


LENET = [
    Layer((5, 5), 6, padding="VALID"),
    POOL2,
    Layer((5, 5), 16, padding="VALID"),
    POOL2,
    dense(120, 5, 5),
    dense(84),
    dense(10),
]
MIXED = [
    Layer((3, 2), 4, strides=(2, 1), padding=((1, 0), (2, 1))),
    Layer((2, 2), None, strides=2, padding="VALID"),
    Layer((2, 3), 6, kernel_dilation=(2, 1), feature_group_count=2),
    Layer((3, 3), 2, strides=(1, 2), input_dilation=(2, 3), padding="FULL"),
]


def test_published_numbers_of_parameters() -> None:
    head = [dense(4096, 7, 7), dense(4096), dense(1000)]
    assert num_params([*VGG16, *head], 3) == 138_357_544
    head = [dense(4096, 6, 6), dense(4096), dense(1000)]
    assert num_params([*ALEXNET, *head], 3) == 62_378_344
    assert num_params(LENET, 1) == 61_706


def test_published_sizes_and_multiply_accumulates() -> None:
    assert output_shapes(VGG16, (224, 224, 3))[-1] == (7, 7, 512)
    assert [shape[0] for shape in output_shapes(ALEXNET, (227, 227, 3))] == [
        *(55, 27, 27, 13, 13, 13, 13, 6)
    ]
    head = [dense(4096, 7, 7), dense(4096), dense(1000)]
    assert num_macs([*VGG16, *head], (224, 224, 3)) == 15_470_264_320


def test_groups_divide_parameters_and_multiply_accumulates() -> None:
    one = Layer((3, 3), 8, use_bias=False)
    four = Layer((3, 3), 8, use_bias=False, feature_group_count=4)
    assert num_params([one], 4) == 4 * num_params([four], 4) == 9 * 4 * 8
    assert num_macs([one], (5, 5, 4)) == 4 * num_macs([four], (5, 5, 4))


def test_sizes_are_those_of_the_operations() -> None:
    ranges = ((1, 6), (1, 3), (1, 2), (1, 2), (1, 3))
    paddings = ("SAME", "VALID", "FULL", "CAUSAL", "REFLECT", 1, ((2, -1),))
    number = 0
    for (n, k, s, d, i), padding in itertools.product(
        itertools.product(*ranges), paddings
    ):
        layer = Layer(
            k, 2, strides=s, padding=padding, kernel_dilation=d, input_dilation=i
        )
        apply, inputs = stack([layer], (n,))
        try:
            (expected,) = output_shapes([layer], (n, 1))
        except ValueError as error:
            with pytest.raises(ValueError, match=re.escape(str(error))):
                jax.eval_shape(apply, inputs)
            continue
        assert jax.eval_shape(apply, inputs).shape == (1, *expected)
        number += 1
    assert number > 150


def test_sizes_of_a_stack_with_pools_groups_and_input_dilation() -> None:
    apply, inputs = stack(MIXED, (12, 17), 2)
    shape = jax.eval_shape(apply, inputs).shape[1:]
    assert output_shapes(MIXED, (12, 17, 2))[-1] == shape


def count_products(layer: Layer, n: int) -> tuple[int, int]:
    """(all, those with an input) of one axis, by loops over float64 arrays."""
    (axis,) = layer.axes
    ones = reference.spread(np.ones((1, n, 1)), (axis.input_dilation,))
    window, strides, dilation = ((axis[j],) for j in range(3))
    pairs: Any = layer.padding
    mode = "zeros"
    if isinstance(pairs, str):
        size = ones.shape[1:-1]
        mode, pairs = reference.border(pairs, size, window, strides, dilation)
    taps = reference.taps(ones, window, strides, dilation, mode, pairs)
    values = [float(value[0, 0]) for *_, value in taps]
    return len(values), int(sum(values))


def test_products_are_those_that_loops_count() -> None:
    ranges = ((1, 2, 5, 6), (1, 2, 3), (1, 2, 3), (1, 2), (1, 2, 3))
    paddings = ("SAME", "VALID", "FULL", "CIRCULAR", ((2, 1),), ((-1, 3),))
    number = 0
    for (n, k, s, d, i), padding in itertools.product(
        itertools.product(*ranges), paddings
    ):
        layer = Layer(
            k, 1, strides=s, padding=padding, kernel_dilation=d, input_dilation=i
        )
        every, real = count_products(layer, n)
        if every == 0 or (padding == "CIRCULAR" and i > 1):
            continue
        assert num_macs([layer], (n, 1)) == every
        assert num_macs([layer], (n, 1), padded=False) == real, layer
        number += 1
    assert number > 600


def test_the_products_of_axes_channels_and_layers_multiply_and_add() -> None:
    layer = Layer((3, 2), 6, strides=(2, 1), feature_group_count=2)
    along = [count_products(Layer(3, 1, strides=2), 7), count_products(Layer(2, 1), 5)]
    for padded, index in ((True, 0), (False, 1)):
        one = math.prod(counts[index] for counts in along) * 2 * 6
        assert num_macs([layer], (7, 5, 4), padded=padded) == one
        twice = num_macs([layer, Layer((1, 1), 1)], (7, 5, 4), padded=padded)
        assert twice == one + 4 * 5 * 6


def test_a_transposed_convolution_multiplies_what_its_adjoint_does() -> None:
    """Without the zeros between its inputs; with them, s times as much per axis."""
    forward = Layer(3, 1, strides=2, padding="VALID")
    backward = Layer(3, 1, input_dilation=2, padding="FULL")
    assert output_shapes([backward], (5, 1)) == ((11, 1),)
    macs = num_macs([forward], (11, 1))
    assert macs == num_macs([backward], (5, 1), padded=False) == 15
    assert num_macs([backward], (5, 1)) == 33


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Layer((3, 3), 4, strides=(1, 2, 3)), "strides: expected one integer"),
        (lambda: Layer((3,), padding="WRAP"), None),
        (lambda: output_shapes([Layer((3, 3))], (5, 1)), "expected 2 spatial axes"),
        (lambda: output_shapes([Layer(7, padding="VALID")], (5, 1)), "at most 5 posi"),
        (lambda: num_params([Layer(3, 4, feature_group_count=3)], 3), "a divisor of 3"),
        (lambda: receptive_field([]), "layers: expected at least one, got none"),
        (lambda: field_positions([Layer(3)], (1, 2)), "one integer per axis, 1, got"),
        (
            lambda: num_macs(
                [Layer(3, 1, padding="CIRCULAR", input_dilation=2)],
                (4, 1),
                padded=False,
            ),
            "expected 1 beside a border that repeats inputs",
        ),
    ],
)
def test_what_has_no_meaning_is_refused(call: Any, message: str | None) -> None:
    if message is None:
        layer = call()
        call, message = lambda: output_shapes([layer], (5, 1)), "expected one of SAME"
    with pytest.raises(ValueError, match=message):
        call()


def test_layers_are_values() -> None:
    same = Layer([3, 3], 4, padding=[[1, 1], 1])
    assert same == Layer((3, 3), 4, padding=((1, 1), (1, 1)))
    assert len({same, Layer((3, 3), 4, padding=1)}) == 1
