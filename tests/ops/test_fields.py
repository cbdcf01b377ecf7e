"""Receptive fields against published ones and the support of gradients."""

from fractions import Fraction

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnn_jax.ops import Field, Layer, field_positions, receptive_field
from tests.ops.arithmetic_cases import ALEXNET, VGG16, stack


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
