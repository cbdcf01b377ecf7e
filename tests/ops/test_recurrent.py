"""Recurrent layers: their values against loops, each other and closed forms."""

from functools import partial
from typing import Any

import hypothesis
import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnn_jax import ops
from cnn_jax.ops.recurrent import activations, fused, over_time
from tests import reference_recurrent
from tests.ops.recurrent_cases import CASES, FAST
from tests.trees import assert_same_trees

TIMES: dict[str, Any] = {
    "forward": {},
    "reverse": {"reverse": True},
    "lengths": {"lengths": np.array([3, 0])},
    "reverse-lengths": {"reverse": True, "lengths": np.array([3, 1])},
    "kept-order": {"reverse": True, "keep_order": True, "lengths": np.array([3, 4])},
}


def loops(case, params, carry, inputs, **time):
    state = carry if isinstance(carry, tuple) else (carry,)
    state, outputs = reference_recurrent.over_time(
        case.reference, params, inputs, state, **time
    )
    return (state if isinstance(carry, tuple) else state[0]), outputs


@pytest.mark.parametrize("name", CASES)
def test_layers_equal_loops(name):
    case = CASES[name]
    params, carry, inputs = case.draw()

    @jax.jit
    def all_times(params, inputs, carry):
        return [case.layer(params, inputs, carry, **time) for time in TIMES.values()]

    with jax.enable_x64(True):
        got = all_times(params, inputs, carry)
    wanted = [loops(case, params, carry, inputs, **time) for time in TIMES.values()]
    assert_same_trees(got, wanted, 1e-12, 1e-12)


@pytest.mark.parametrize("name", ["lstm-elmo", "gru", "rnn"])
def test_scans_of_a_step_equal_loops(name):
    case = CASES[name]
    params, carry, inputs = case.draw()

    @jax.jit
    def all_times(params, carry, inputs):
        run = partial(ops.scan, case.step, params, carry, inputs)
        return [run(**time) for time in TIMES.values()]

    with jax.enable_x64(True):
        got = all_times(params, carry, inputs)
    wanted = [loops(case, params, carry, inputs, **time) for time in TIMES.values()]
    assert_same_trees(got, wanted, 1e-12, 1e-12)


@hypothesis.settings(max_examples=15)
@hypothesis.given(
    st.sampled_from(sorted(FAST)),
    st.integers(0, 3),
    st.integers(1, 5),
    st.integers(1, 9),
    st.integers(1, 3),
    st.booleans(),
    st.data(),
)
def test_any_sizes_and_lengths_equal_loops(
    name, batch, steps, size, hidden, reverse, data
):
    case = FAST[name]
    params, carry, inputs = case.draw((batch,), steps, size, hidden)
    lengths = np.array(
        data.draw(st.lists(st.integers(0, steps), min_size=batch, max_size=batch)),
        np.int32,
    )
    with jax.enable_x64(True):
        run = jax.jit(partial(case.layer, reverse=reverse))
        got = run(params, inputs, carry, lengths=lengths)
    if batch:
        wanted = loops(case, params, carry, inputs, lengths=lengths, reverse=reverse)
        assert_same_trees(got, wanted, 1e-12, 1e-12)
    else:
        assert got[1].shape == (0, steps, hidden)


@pytest.mark.parametrize("name", ops.ACTIVATION_NAMES)
def test_the_slope_of_an_activation_is_its_derivative(name):
    x = np.array([-3.5, -0.9, -0.2, 0.3, 0.8, 3.5])
    with jax.enable_x64(True):
        function = activations.function_of(name)
        wanted = jax.vmap(jax.grad(function))(x)
        got = activations.slope(name, function(jnp.asarray(x)))
    np.testing.assert_allclose(got, wanted, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", FAST)
def test_named_activations_equal_other_functions_of_the_same_values(name):
    case = FAST[name]
    params, carry, inputs = case.draw()
    names = {"gate": "hard_sigmoid", "activation": "softsign"}
    functions = {
        "gate": lambda x: jnp.clip(x / 6 + 0.5, 0, 1),
        "activation": lambda x: x / (1 + jnp.abs(x)),
    }
    if case.kind == "rnn":
        del names["gate"], functions["gate"]

    def both(params, inputs):
        def loss(options, params, inputs):
            return jnp.sum(jnp.sin(case.layer(params, inputs, carry, **options)[1]))

        return [
            jax.value_and_grad(partial(loss, options), (0, 1))(params, inputs)
            for options in (names, functions)
        ]

    with jax.enable_x64(True):
        got, wanted = jax.jit(both)(params, inputs)
    assert_same_trees(got, wanted, 1e-9, 1e-9)


@pytest.mark.parametrize("name", ["lstm", "rnn-residual"])
def test_padding_reaches_no_output_and_no_gradient(name):
    case = CASES[name]
    params, carry, inputs = case.draw()
    lengths = np.array([2, 3])
    padded = inputs.copy()
    padded[0, 2:], padded[1, 3:] = np.nan, np.inf

    def loss(inputs, params):
        last, outputs = case.layer(params, inputs, carry, lengths=lengths)
        return sum(jnp.sum(leaf**2) for leaf in jax.tree.leaves((last, outputs)))

    with jax.enable_x64(True):
        both = jax.jit(jax.value_and_grad(loss, (0, 1)))
        got = both(padded, params)
        assert_same_trees(got, both(inputs, params))
        assert (got[1][0][0, 2:] == 0).all()


@pytest.mark.parametrize(
    ("name", "reverse", "chunk_length"),
    [("gru", False, 2), ("lstm", True, 2), ("rnn-residual", True, 7)],
)
def test_chunks_of_any_length_change_no_value_and_no_gradient(
    name, reverse, chunk_length
):
    case = CASES[name]
    params, carry, inputs = case.draw(steps=5)
    time = {"lengths": np.array([5, 2]), "reverse": reverse}

    def both(params, length):
        def loss(params):
            last, outputs = case.layer(
                params, inputs, carry, chunk_length=length, **time
            )
            leaves = jax.tree.leaves((last, outputs))
            return sum(jnp.sum(jnp.sin(leaf)) for leaf in leaves)

        return jax.value_and_grad(loss)(params)

    with jax.enable_x64(True):
        run = jax.jit(both, static_argnums=1)
        got, wanted = run(params, chunk_length), run(params, None)
    assert_same_trees(got, wanted, 1e-12, 1e-12)


@pytest.mark.parametrize("name", ["rnn", "lstm", "gru"])
def test_an_accelerators_choices_give_the_same(name, monkeypatch):
    """Off a CPU inputs are multiplied before the loop, which runs in steps of eight."""
    case = CASES[name]
    params, carry, inputs = case.draw((4,), 11)

    def loss(params, inputs):
        last, outputs = case.layer(
            params, inputs, carry, lengths=np.array([11, 3, 0, 9])
        )
        return sum(jnp.sum(jnp.sin(each)) for each in jax.tree.leaves((last, outputs)))

    def gradients(on_cpu: bool):
        for module in (over_time, fused):
            monkeypatch.setattr(module, "on_cpu", lambda: on_cpu)
        assert over_time.steps_at_once() == (1 if on_cpu else 8)
        return jax.value_and_grad(loss, (0, 1))(params, inputs)

    with jax.enable_x64(True):
        there, here = gradients(False), gradients(True)
    assert_same_trees(there, here, 1e-12, 1e-12)


def test_unrolled_loops_and_more_batch_axes_give_the_same():
    case = FAST["lstm"]
    params, carry, inputs = case.draw((2, 3))
    lengths = np.array([[4, 3, 1], [0, 2, 4]])
    with jax.enable_x64(True):
        got = case.layer(params, inputs, carry, lengths=lengths, unroll=3)
        for row in range(2):
            one = [
                case.layer(
                    params,
                    inputs[row],
                    (carry[0][row], carry[1][row]),
                    lengths=lengths[row],
                )
            ]
            assert_same_trees(
                jax.tree.map(lambda x, row=row: x[row], got), one[0], 1e-12, 1e-12
            )


def test_large_inputs_are_multiplied_before_the_loop_with_the_same_result():
    case = FAST["gru"]
    params, carry, inputs = case.draw((1,), size=40)
    with jax.enable_x64(True):
        many = np.repeat(inputs, 12, axis=0)
        alone = case.layer(params, inputs, carry)[1]
        together = case.layer(params, many, np.repeat(carry, 12, axis=0))[1]
        text = jax.jit(case.layer).lower(params, inputs, carry).as_text()
    np.testing.assert_allclose(together[3], alone[0], rtol=1e-12)
    assert "tensor<4x1x12xf64>" in text  # [T, N, 3·H]: one product


@pytest.mark.parametrize("name", ["lstm", "gru", "rnn"])
def test_bfloat16_is_close_and_a_wider_carry_stays_wide(name):
    case = FAST[name]
    params, carry, inputs = case.draw()
    exact = loops(case, params, carry, inputs)
    low, x = jax.tree.map(partial(jnp.asarray, dtype=jnp.bfloat16), (params, inputs))
    for dtype in (jnp.bfloat16, jnp.float32):
        first = jax.tree.map(partial(jnp.asarray, dtype=dtype), carry)

        def loss(p, x, first):
            got = case.layer(p, x, first)
            return jnp.sum(got[1] ** 2), got

        gradient, got = jax.jit(jax.grad(loss, has_aux=True))(low, x, first)
        assert {leaf.dtype for leaf in jax.tree.leaves(got)} == {jnp.dtype(dtype)}
        wide = jax.tree.map(np.float64, got)
        assert_same_trees(wide, exact, 0.05, 0.05)
        assert {leaf.dtype for leaf in jax.tree.leaves(gradient)} == {
            jnp.dtype(jnp.bfloat16)
        }


def test_the_two_updates_are_one_with_the_update_gate_negated():
    params, carry, inputs = FAST["gru"].draw()
    negated = dict(params)
    for entry in ("iz", "hz"):
        negated[entry] = jax.tree.map(np.negative, params[entry])
    with jax.enable_x64(True):
        cho = ops.gru(params, inputs, carry)
        chung = ops.gru(negated, inputs, carry, update="chung")
    assert_same_trees(chung, cho, 1e-12, 1e-12)


def test_the_limits_hold_for_cells_and_projections():
    case = CASES["lstm-elmo"]
    params, carry, inputs = case.draw(steps=9)
    (c, _), outputs = case.layer(params, 9 * inputs, carry)
    assert (abs(c) <= 0.4).all()
    assert (abs(outputs) <= 0.3).all()
    assert (abs(outputs) == np.float32(0.3)).any()


def test_inputs_without_features_leave_the_state_to_itself():
    params, carry, inputs = FAST["lstm"].draw()
    for gate in "ifgo":
        params[f"i{gate}"] = {"kernel": np.zeros((0, 4))}
    with jax.enable_x64(True):
        got = ops.lstm(params, inputs[..., :0], carry)
    assert_same_trees(
        got, loops(FAST["lstm"], params, carry, inputs[..., :0]), 1e-12, 1e-12
    )


def test_default_carries_are_zero():
    for case in FAST.values():
        params, carry, inputs = case.draw()
        zeros = jax.tree.map(np.zeros_like, carry)
        with jax.enable_x64(True):
            assert_same_trees(
                case.layer(params, inputs), case.layer(params, inputs, zeros)
            )


def test_params_without_biases_are_those_with_zero_biases():
    for case in FAST.values():
        params, carry, inputs = case.draw()
        none = {name: {"kernel": entry["kernel"]} for name, entry in params.items()}
        zero = {
            name: {k: v * (k == "kernel") for k, v in entry.items()}
            for name, entry in params.items()
        }
        with jax.enable_x64(True):
            got = case.layer(none, inputs, carry)
            assert_same_trees(got, case.layer(zero, inputs, carry), 1e-12, 1e-12)


def test_lengths_of_a_narrow_type_end_where_they_say():
    inputs = np.random.default_rng(0).normal(size=(1, 300, 3)).astype(np.float32)
    params = ops.init_rnn(jax.random.key(0), 3, 2)
    narrow = ops.rnn(params, inputs, lengths=np.array([100], np.uint8))
    wide = ops.rnn(params, inputs, lengths=np.array([100]))
    assert_same_trees(narrow, wide)
    assert not np.asarray(narrow[1][0, 100:]).any()


@pytest.mark.parametrize("init", [ops.init_rnn, ops.init_lstm, ops.init_gru])
def test_parameters_of_half_precision_are_the_single_ones_rounded(init):
    half = init(jax.random.key(0), 3, 4, dtype=jnp.bfloat16)
    single = init(jax.random.key(0), 3, 4)
    rounded = jax.tree.map(lambda leaf: leaf.astype(jnp.bfloat16), single)
    assert_same_trees(half, rounded)
