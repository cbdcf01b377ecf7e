"""The gated cells of the gradient experiment, before training."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from cnn_jax.ops import gru_step, init_gru, lstm_step
from experiments.gradient_vanishing import (
    cells,
    memories,
)
from experiments.harness.seeds import keys


def test_gains_scale_the_kernels_of_the_state_alone():
    params = cells.random_params(jax.random.key(0), init_gru, 2, 3)
    scaled = memories.with_gain(params, jnp.asarray(4.0))
    for entry, leaves in params.items():
        for leaf, value in leaves.items():
            factor = 4 if (entry[0], leaf) == ("h", "kernel") else 1
            np.testing.assert_array_equal(scaled[entry][leaf], factor * value)


def test_the_gates_are_those_of_the_step():
    """c' = f c + i g: with the cell at 1 and at 0 the step tells f and i g."""
    params, biases, inputs = memories._drawn(jax.random.key(1))
    params = memories.with_biases(params, {name: b[1] for name, b in biases.items()})
    h = jnp.full(memories.WIDTH, 0.3)
    (at_one, _), _ = lstm_step(params, (jnp.ones_like(h), h), inputs[0])
    (at_zero, _), out = lstm_step(params, (jnp.zeros_like(h), h), inputs[0])
    gates = memories.gates(params, (h, h), inputs[0])
    np.testing.assert_allclose(at_one - at_zero, gates["f"], atol=1e-6)
    np.testing.assert_allclose(gates["o"] * jnp.tanh(at_zero), out, atol=1e-6)
    g = jnp.tanh(inputs[0] @ params["ig"]["kernel"] + h @ params["hg"]["kernel"])
    np.testing.assert_allclose(gates["i"] * g, at_zero, atol=1e-6)


def test_the_gates_of_a_new_lstm_are_judged_with_and_without_the_forget_gates():
    shares = np.zeros((1, len(memories.ARMS), 3))
    shares[:, memories.ARMS.index("0-1")] = 0.1, 0.8, 0.3
    shares[:, memories.ARMS.index("5-1")] = 0.2, 0.9, 0.4
    found: Any = memories._judged_gates(shares)
    np.testing.assert_allclose(found["gates-saturated/init"], [0.4])
    np.testing.assert_allclose(found["gates-saturated/init-input-output"], [0.2])
    np.testing.assert_allclose(found["forget-gate-saturated/5"], [0.9])


def test_the_open_cell_has_norm_one_and_a_half_open_one_forgets():
    metrics: Any = memories.cell_path(keys(0, 1))
    assert metrics["cell-path-norm/open"].tolist() == [1]
    assert metrics["cell-path-norm/half-open"][0] < 1e-20


def test_a_sigmoid_is_never_steeper_than_a_quarter():
    metrics: Any = cells.slopes()
    assert metrics["largest-slope/sigmoid"].tolist() == [0.25]
    assert metrics["largest-slope/tanh"].tolist() == [1]


def test_parameters_are_those_that_flax_and_the_formula_have():
    metrics: Any = cells.sizes_of_cells()
    assert metrics["parameters"].values.tolist() == [1216, 1600]
    assert metrics["kernels-less-3-to-4"] == 0
    assert metrics["elmo-kernels-less-formula"] == 0
    assert metrics["elmo-biases-less-formula"] == 0


def test_a_candidate_is_that_of_a_gru_with_its_gate_fixed():
    params, h, inputs = cells._gru_case(jax.random.key(0))
    r = jnp.linspace(0, 1, len(h))
    found = cells.candidate(params, h, inputs, r, "before", "tanh")
    sums = inputs @ params["in"]["kernel"] + params["in"]["bias"]
    sums += (r * h) @ params["hn"]["kernel"] + params["hn"]["bias"]
    np.testing.assert_allclose(found, np.tanh(sums), atol=1e-6)


def test_negating_the_update_gate_swaps_the_two_conventions():
    params, h, inputs = cells._gru_case(jax.random.key(2))
    cho, _ = gru_step(params, h, inputs, update="cho")
    chung, _ = gru_step(cells._negated(params), h, inputs, update="chung")
    np.testing.assert_allclose(cho, chung, atol=1e-6)


def test_a_reset_gate_per_unit_can_let_more_through_as_it_falls():
    found = cells._vector_example()
    assert found["increases/vector"].tolist() == [1]
    assert found["decreases/alike"].tolist() == [1]
