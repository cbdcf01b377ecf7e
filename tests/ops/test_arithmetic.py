"""Closed forms against measured shapes, counted loops and the support of gradients."""

import itertools
import math
import re
from fractions import Fraction
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnn_jax.ops import (
    Field,
    Layer,
    conv,
    field_positions,
    num_macs,
    num_params,
    output_shapes,
    receptive_field,
)
from tests import reference

POOL3 = Layer((3, 3), strides=2, padding="VALID")
POOL2 = Layer((2, 2), strides=2, padding="VALID")


def dense(features, *window):
    return Layer(window or (1, 1), features, padding="VALID")


VGG16 = [
    layer
    for features, repeats in ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))
    for layer in (*[Layer((3, 3), features)] * repeats, POOL2)
]
ALEXNET = [
    Layer((11, 11), 96, strides=4, padding="VALID"),
    POOL3,
    Layer((5, 5), 256),
    POOL3,
    *(Layer((3, 3), features) for features in (384, 384, 256)),
    POOL3,
]
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


def stack(layers: Any, sizes: Any, channels: int = 1):
    """The layers as convolutions with kernels of ones; a pool is depthwise."""

    def apply(inputs):
        for layer in layers:
            groups, features = layer.feature_group_count, layer.features
            if features is None:
                groups = features = inputs.shape[-1]
            shape = (*layer.kernel_size, inputs.shape[-1] // groups, features)
            inputs = conv(
                inputs,
                jnp.ones(shape),
                strides=layer.strides,
                padding=layer.padding,
                kernel_dilation=layer.kernel_dilation,
                input_dilation=layer.input_dilation,
                feature_group_count=groups,
                algorithm="direct",
            )
        return inputs

    return apply, jnp.zeros((1, *sizes, channels))


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


def test_known_receptive_fields() -> None:
    for axis in receptive_field(ALEXNET, (227, 227)):
        assert axis[:2] == (195, 32)
    for axis in receptive_field(VGG16):
        assert axis == Field(212, 32, -90)
    assert receptive_field([Layer(3, 1), Layer(3, 1, kernel_dilation=2)]) == (
        Field(7, 1, -3),
    )


def test_an_upsampling_has_a_fraction_as_stride() -> None:
    layers = [Layer(4, 1, input_dilation=2, padding=((2, 2),))]
    assert receptive_field(layers) == (Field(2, Fraction(1, 2), -1),)
    assert [each.tolist() for each in field_positions(layers, (3,))] == [[1, 2]]


FIELDS = {
    "rank 1": (
        (30,),
        [(15,), (22,)],
        [Layer(3, 1, kernel_dilation=4), Layer(2, 1, strides=1, padding="CAUSAL")],
    ),
    "strided, 2 axes": (
        (23, 24),
        [(2, 3), (3, 6), (2, 5)],
        [
            Layer((3, 2), 1, strides=2),
            Layer((2, 2), strides=(2, 1), padding="VALID"),
            Layer((2, 3), 1, kernel_dilation=(2, 1)),
        ],
    ),
    "transposed": (
        (14,),
        [(6,), (7,), (8,), (9,)],
        [
            Layer(3, 1, strides=2, padding="FULL"),
            Layer(4, 1, input_dilation=3, padding=1),
            Layer(2, 1, kernel_dilation=2),
        ],
    ),
}


@pytest.mark.parametrize("name", FIELDS)
def test_fields_are_the_supports_of_gradients(name: str) -> None:
    """Kernels are positive, so no gradient cancels."""
    sizes, positions, layers = FIELDS[name]
    apply, inputs = stack(layers, sizes)

    @jax.jit
    def supports(inputs):
        _, pull = jax.vjp(apply, inputs)
        units = jnp.stack(
            [jnp.zeros(pull_shape).at[(0, *p, 0)].set(1.0) for p in positions]
        )
        return jax.vmap(lambda unit: pull(unit)[0])(units)[:, 0, ..., 0]

    pull_shape = jax.eval_shape(apply, inputs).shape
    fields = receptive_field(layers, sizes)
    largest = np.zeros(len(sizes), int)
    for position, support in zip(positions, np.asarray(supports(inputs)), strict=True):
        expected = np.zeros(sizes, bool)
        reached = field_positions(layers, position, sizes)
        expected[np.ix_(*reached)] = True
        np.testing.assert_array_equal(support != 0, expected)
        largest = np.maximum(largest, [int(np.ptp(r)) + 1 for r in reached])
        for axis, inputs_of, p in zip(fields, reached, position, strict=True):
            start = axis.offset + axis.stride * p
            assert start == inputs_of[0] or (
                name == "transposed" and start < inputs_of[0]
            )
    np.testing.assert_array_equal(largest, [axis.size for axis in fields])


def test_padding_that_depends_on_the_size_needs_the_size() -> None:
    layers = [Layer(3, 1, strides=2)]
    with pytest.raises(ValueError, match=r"'SAME' with strides \(2,\) depends, got No"):
        receptive_field(layers)
    assert receptive_field(layers, (7,)) == (Field(3, 2, -1),)
    assert receptive_field(layers, (8,)) == (Field(3, 2, 0),)


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
