"""Derivatives of the fast recurrent layers, against the plain scan and differences."""

from functools import partial

import hypothesis
import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from cnn_jax import ops
from tests.derivatives import check_derivatives
from tests.ops.recurrent_cases import CASES, FAST
from tests.ops.sharded import run_on_four_devices
from tests.trees import assert_same_trees

TIMES = {
    "rnn": {"reverse": True},
    "lstm": {"lengths": np.array([3, 2])},
    "gru": {"reverse": True, "lengths": np.array([2, 0]), "keep_order": True},
    "gru-chung": {},
}


def layer_and_scan(name, **time):
    """The fast layer and what it is to equal, both functions of (params, x, carry)."""
    case = CASES[name]

    def slow(params, inputs, carry):
        return ops.scan(case.step, params, carry, inputs, **time)

    return partial(case.layer, **time), slow


def total(function):
    def loss(*arrays):
        leaves = jax.tree.leaves(function(*arrays))
        return sum(jnp.sum(jnp.sin((1 + k) * leaf)) for k, leaf in enumerate(leaves))

    return loss


def along(arrays):
    rng = np.random.default_rng(7)
    return jax.tree.map(lambda array: rng.normal(size=np.shape(array)), arrays)


def dot(left, right):
    pairs = zip(jax.tree.leaves(left), jax.tree.leaves(right), strict=True)
    return sum(jnp.vdot(a, b) for a, b in pairs)


@pytest.mark.parametrize("name", FAST)
def test_every_first_and_second_derivative_is_that_of_the_plain_scan(name):
    params, carry, inputs = CASES[name].draw(steps=3)
    arrays = (params, inputs, carry)
    tangents = along(arrays)

    def derivatives(function, arrays):
        loss = total(function)
        gradient = jax.grad(loss, (0, 1, 2))
        forward = jax.jvp(function, arrays, tangents)
        over_reverse = jax.jvp(gradient, arrays, tangents)
        reverse = jax.grad(lambda *at: dot(gradient(*at), tangents), (0, 1, 2))(*arrays)
        return forward, over_reverse, reverse

    with jax.enable_x64(True):
        got, wanted = jax.jit(
            lambda arrays: [
                derivatives(each, arrays)
                for each in layer_and_scan(name, **TIMES[name])
            ]
        )(arrays)
    assert_same_trees(got, wanted, 1e-11, 1e-11)


@hypothesis.settings(max_examples=5)
@hypothesis.given(
    st.sampled_from(sorted(FAST)),
    st.integers(1, 3),
    st.integers(1, 5),
    st.integers(1, 7),
    st.integers(1, 3),
    st.booleans(),
    st.data(),
)
def test_derivatives_of_any_sizes_and_lengths_are_those_of_the_plain_scan(
    name, batch, steps, size, hidden, reverse, data
):
    params, carry, inputs = CASES[name].draw((batch,), steps, size, hidden)
    lengths = st.lists(st.integers(0, steps), min_size=batch, max_size=batch)
    time = {"lengths": np.array(data.draw(lengths)), "reverse": reverse}
    arrays = (params, inputs, carry)

    def derivatives(function):
        gradient = jax.grad(total(function), (0, 1, 2))
        return jax.jvp(gradient, arrays, along(arrays))

    with jax.enable_x64(True):
        got, wanted = jax.jit(
            lambda: [derivatives(each) for each in layer_and_scan(name, **time)]
        )()
    assert_same_trees(got, wanted, 1e-11, 1e-11)


@pytest.mark.parametrize("name", FAST)
def test_derivatives_in_bfloat16_are_close_to_those_in_float64(name):
    params, carry, inputs = CASES[name].draw(steps=5)
    arrays = (params, inputs, carry)

    def derivatives(function, arrays, tangents):
        gradient = jax.grad(total(function), (0, 1, 2))
        return jax.jvp(gradient, arrays, tangents)

    layer, scan = layer_and_scan(name, **TIMES[name])
    with jax.enable_x64(True):
        wanted = jax.jit(partial(derivatives, scan))(arrays, along(arrays))
    low = jax.tree.map(
        partial(jnp.asarray, dtype=jnp.bfloat16), (arrays, along(arrays))
    )
    got = jax.jit(partial(derivatives, layer))(*low)
    for order, (ours, exact) in enumerate(zip(got, wanted, strict=True), start=1):
        largest = max(np.max(np.abs(leaf)) for leaf in jax.tree.leaves(exact))
        assert_same_trees(
            jax.tree.map(np.float64, ours), exact, 0, 0.02 * order * largest
        )


@pytest.mark.parametrize("name", ["rnn-residual", "lstm-elmo", "gru-before"])
def test_an_infinite_slope_beyond_an_end_reaches_no_derivative(name):
    params, _, inputs = CASES[name].draw(steps=2)
    params = {
        entry: {leaf: value * (leaf != "bias") for leaf, value in of.items()}
        for entry, of in params.items()
    }

    def loss(params, inputs):  # infinitely steep at 0, from where sequences begin
        layer = partial(CASES[name].layer, activation=jnp.cbrt)
        return jnp.sum(jnp.sin(layer(params, inputs, lengths=np.array([2, 0]))[1]))

    def derivatives(*arrays):
        return jax.jvp(jax.grad(loss, (0, 1)), arrays, arrays)

    for found in jax.jit(derivatives)(*jax.tree.map(np.float32, (params, inputs))):
        assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(found))
        np.testing.assert_array_equal(found[1][1], 0)


def test_derivatives_of_both_orders_and_modes_agree_with_differences():
    params, carry, inputs = CASES["lstm"].draw(steps=3, size=2, hidden=2)
    check_derivatives(CASES["lstm"].layer, (params, inputs, carry))


def test_jacobians_hessians_maps_loops_and_remat_are_those_of_the_plain_scan():
    params, carry, inputs = CASES["lstm"].draw(steps=3, size=2, hidden=2)
    many = jax.tree.map(lambda leaf: np.stack([leaf, -leaf, 2 * leaf]), params)

    def everything(function):
        loss = total(jax.checkpoint(function))

        def descend(params, _):
            gradient = jax.grad(loss)(params, inputs, carry)
            return jax.tree.map(lambda p, g: p - 0.1 * g, params, gradient), gradient

        return {
            "jacfwd": jax.jacfwd(function)(params, inputs, carry),
            "hessian": jax.hessian(loss)(params, inputs, carry),
            "vmap": jax.vmap(jax.grad(loss, (0, 1)), (0, None, None))(
                many, inputs, carry
            ),
            "loop": lax.scan(descend, params, length=2),
        }

    with jax.enable_x64(True):
        got, wanted = jax.jit(
            lambda: [everything(each) for each in layer_and_scan("lstm")]
        )()
    assert_same_trees(got, wanted, 1e-10, 1e-10)


def test_a_map_over_inputs_under_a_gradient_sums_over_them():
    params, carry, inputs = CASES["gru"].draw((3, 2), steps=3)

    def mapped(function):
        def loss(params):
            outputs = jax.vmap(lambda x, h: function(params, x, h)[1])(inputs, carry)
            return jnp.sum(outputs**2)

        return jax.grad(loss)(params)

    with jax.enable_x64(True):
        got, wanted = jax.jit(
            lambda: [mapped(each) for each in layer_and_scan("gru")]
        )()
    assert_same_trees(got, wanted, 1e-12, 1e-12)


def test_the_gradient_of_a_kernel_is_one_product_after_the_loop():
    params, carry, inputs = CASES["lstm"].draw((5,), steps=7, size=40)

    def loss(params):
        return jnp.sum(CASES["lstm"].layer(params, inputs, carry, unroll=1)[1])

    with jax.enable_x64(True):
        jaxpr = jax.make_jaxpr(jax.grad(loss))(params)
        text = jax.jit(jax.grad(loss)).lower(params).as_text()
    assert "linear_map" in str(jaxpr)
    assert text.count("stablehlo.while") == 2
    # Two loops with one product each, x @ kernel before, two kernels' gradients after.
    assert text.count("stablehlo.dot_general") == 5


def test_with_jit_disabled_a_gradient_is_still_computed():
    params, carry, inputs = CASES["rnn"].draw(steps=2)
    loss = total(CASES["rnn"].layer)
    with jax.enable_x64(True):
        with jax.disable_jit():
            got = jax.grad(loss)(params, inputs, carry)
        wanted = jax.grad(loss)(params, inputs, carry)
    assert_same_trees(got, wanted, 1e-12, 1e-12)


SHARDED = """
import jax, jax.numpy as jnp, numpy as np
from jax.sharding import PartitionSpec as P
from cnn_jax.ops import gru, init_gru, init_lstm, lstm
mesh = jax.make_mesh((4,), ("batch",), axis_types=(jax.sharding.AxisType.Auto,))
inputs = jax.random.normal(jax.random.key(0), (8, 5, 3))
lengths = jnp.arange(8) % 6
both = init_lstm(jax.random.key(1), 3, 4), init_gru(jax.random.key(2), 4, 4)
def loss(params, inputs, lengths):
    _, outputs = lstm(params[0], inputs, lengths=lengths)
    _, outputs = gru(params[1], outputs, reverse=True)
    return jnp.sum(outputs ** 2)
wanted = jax.jit(jax.grad(loss, (0, 1)))(both, inputs, lengths)
mapped = jax.shard_map(
    lambda *of: jax.lax.psum(loss(*of), "batch"),
    mesh=mesh, in_specs=(P(), P("batch"), P("batch")), out_specs=P(),
)
got = jax.jit(jax.grad(mapped, (0, 1)))(both, inputs, lengths)
for part, each in zip(*map(jax.tree.leaves, (got, wanted)), strict=True):
    assert np.allclose(part, each, atol=1e-5), "values"
print("sharded alike", len(jax.devices()))
"""


def test_a_mesh_of_devices_gives_the_same_gradients() -> None:
    assert run_on_four_devices(SHARDED) == "sharded alike 4\n"


@pytest.mark.parametrize("chunk_length", [None, 2])
@pytest.mark.parametrize("num_mapped", [2, 3])
def test_a_map_that_is_compiled_before_its_gradient_has_that_of_calls(
    num_mapped, chunk_length
):
    params, _, inputs = CASES["gru"].draw(steps=3)
    stack = jax.tree.map(lambda leaf: np.stack([leaf] * num_mapped), params)
    stack = jax.tree.map(
        lambda leaf: leaf * np.linspace(1, 2, leaf.size).reshape(leaf.shape), stack
    )

    def loss(params):
        _, outputs = ops.gru(params, inputs, chunk_length=chunk_length)
        return jnp.sum(outputs**3)

    with jax.enable_x64(True):
        mapped = jax.jit(jax.vmap(loss))
        got = jax.grad(lambda stack: jnp.sum(mapped(stack)))(stack)
        wanted = jax.jit(lambda stack: jax.lax.map(jax.grad(loss), stack))(stack)
    assert_same_trees(got, wanted, 1e-12, 1e-12)


@pytest.mark.parametrize(("batch", "size"), [(2, 0), (0, 2)])
def test_gradients_without_features_or_sequences_are_there(batch, size):
    params, _, inputs = CASES["lstm"].draw((batch,), size=2)
    inputs = inputs[..., :size]
    params = {
        name: entry
        | {"kernel": entry["kernel"][:size] if name[0] == "i" else entry["kernel"]}
        for name, entry in params.items()
    }

    def loss(params, inputs):
        return jnp.sum(ops.lstm(params, inputs)[1] ** 2)

    gradients = jax.grad(loss, (0, 1))(params, inputs)
    shapes = jax.tree.map(jnp.shape, gradients)
    assert shapes == jax.tree.map(jnp.shape, (params, inputs))
