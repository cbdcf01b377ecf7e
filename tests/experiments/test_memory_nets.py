"""The nets of the long-range memory experiment: sizes, fields, first parameters."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.long_range_memory import nets, tasks
from experiments.long_range_memory.nets import NETS, build, initial, num_params
from experiments.long_range_memory.results import bound
from experiments.long_range_memory.tasks import adding, copy_memory
from tests.experiments.memory_cases import ADDING, COPY

EVERY = {"copy": COPY, "adding": ADDING, "digits": tasks.digits(64)}


@pytest.mark.parametrize("task", EVERY.values(), ids=EVERY)
@pytest.mark.parametrize("name", NETS)
def test_nets_have_the_parameters_of_the_closed_form_and_match(name, task):
    net = build(name, task)
    assert net.num_params == num_params(name, task, net.model.features)
    assert abs(net.num_params / build("dilated", task).num_params - 1) < 0.05


@pytest.mark.parametrize("length", [61, 100, 200, 500, 1000])
@pytest.mark.parametrize("make", [copy_memory, adding])
def test_fields_keep_the_bounds_of_the_claims_at_every_length(make, length):
    task = make(length)
    shallow, dilated = (build(name, task) for name in ("shallow", "dilated"))
    least = bound("dilated", task.name, task)
    assert least == (length + 10 if task.name == "copy" else length)
    assert dilated.field >= task.needed
    assert dilated.field > least or (dilated.field == least and task.name == "adding")
    most = bound("shallow", task.name, task)
    assert most == (length if task.name == "copy" else length / 20)
    assert shallow.field < most


def test_the_fewest_dilations_are_taken():
    assert nets.dilations(140) == (1, 2, 4, 8)  # a field of 211
    assert nets.dilations(141) == (1, 2, 4, 8, 16)
    assert nets.dilations(1) == (1,)


def test_a_shallow_net_sees_less_than_a_twentieth():
    assert [nets.shallow_kernel_size(n) for n in (60, 61, 100, 101, 200)] == [
        1,
        2,
        2,
        3,
        5,
    ]


def test_only_the_plain_rnn_begins_without_an_orthogonal_recurrent_kernel():
    for name in ("rnn", "orthogonal", "gru"):
        net = build(name, COPY)
        tree = nets.as_tree(net, jnp.asarray(initial(jax.random.key(0), net)))
        entry = "hr" if name == "gru" else "h"
        kernel = np.asarray(tree["layer1"]["cell"][entry]["kernel"])
        eye = np.eye(len(kernel))
        assert np.allclose(kernel @ kernel.T, eye, atol=1e-5) == (name != "rnn")
        largest = np.linalg.norm(kernel, 2)
        assert 0.99 < largest < 1.01 if name != "rnn" else 1.5 < largest < 2.5


def test_the_lstm_begins_by_keeping():
    net = build("lstm", COPY)
    cell = nets.as_tree(net, jnp.asarray(initial(jax.random.key(0), net)))["layer1"]
    biases = {name: float(cell["cell"][f"h{name}"]["bias"].mean()) for name in "ifgo"}
    assert biases == {"i": 0, "f": 1, "g": 0, "o": 0}


def test_convolutions_begin_at_the_scale_of_a_relu():
    net = build("dilated", COPY)
    tree = nets.as_tree(net, jnp.asarray(initial(jax.random.key(0), net)))
    kernel = np.asarray(tree["layer2_conv"]["kernel"])  # [8, 10, 10]
    np.testing.assert_allclose(kernel.var(), 2 / 80, rtol=0.15)
    dense = np.asarray(tree["logits"]["kernel"])
    np.testing.assert_allclose(dense.var(), 1 / 10, rtol=0.4)
