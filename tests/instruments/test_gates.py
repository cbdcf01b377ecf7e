"""Gates: their values along a sequence, and the shares near 0 and 1."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnn_jax.instruments import gate_values, saturation


def gates(params, carry, inputs):
    return {"forget": jax.nn.sigmoid(params * carry), "input": inputs}


def step(params, carry, inputs):
    values = gates(params, carry, inputs)
    carry = values["forget"] * carry + values["input"]
    return carry, carry


def test_gates_are_those_of_the_carry_that_enters_each_step():
    inputs = np.random.default_rng(0).normal(size=(7, 3)).astype(np.float32)
    found = jax.jit(lambda *given: gate_values(gates, step, *given))(
        jnp.float32(2), jnp.ones(3), inputs
    )
    carry, expected = np.ones(3), []
    for now in inputs:
        forget = 1 / (1 + np.exp(-2 * carry))
        expected.append(forget)
        carry = forget * carry + now
    np.testing.assert_allclose(found["forget"], expected, rtol=1e-5)
    np.testing.assert_array_equal(found["input"], inputs)


def test_shares_count_the_ends_and_nothing_beyond():
    values = jnp.asarray([[-0.1, 0.0, 0.1, 0.11, 0.5], [0.89, 0.9, 1.0, 1.1, 0.95]])
    low, high, histogram = jax.jit(saturation)(values)
    assert low == pytest.approx(0.2)
    assert high == pytest.approx(0.3)
    assert histogram.shape == (20,)
    assert histogram.sum() == 8


def test_the_margin_and_the_bins_are_arguments():
    values = jnp.asarray([0.05, 0.2, 0.3, 0.45, 0.55, 0.75, 1.0, 1.0])
    low, high, histogram = saturation(values, margin=0.25, bins=4)
    assert low == pytest.approx(2 / 8)
    assert high == pytest.approx(3 / 8)
    np.testing.assert_array_equal(histogram, [2, 2, 1, 3])


def test_a_sigmoid_of_a_wide_normal_is_saturated_as_often_as_its_tails_say():
    key = jax.random.key(0)
    values = jax.nn.sigmoid(5 * jax.random.normal(key, (20_000,)))
    low, high, _ = saturation(values)
    # P(5z > ln 9) of a standard normal z, to 5 standard errors.
    expected = 1 - float(jax.scipy.stats.norm.cdf(np.log(9) / 5))
    error = 5 * (expected * (1 - expected) / 20_000) ** 0.5
    assert low == pytest.approx(expected, abs=error)
    assert high == pytest.approx(expected, abs=error)


def test_the_histogram_counts_beyond_the_digits_of_half_precision():
    histogram = saturation(jnp.full(5000, 0.95, jnp.bfloat16)).histogram
    assert histogram.sum() == 5000


@pytest.mark.parametrize("margin", [0, 0.5, 0.7, float("nan")])
def test_a_margin_that_is_no_share_below_a_half_is_refused(margin):
    with pytest.raises(ValueError, match=r"margin: expected a number in \(0, 0.5\)"):
        saturation(jnp.ones(3), margin=margin)
