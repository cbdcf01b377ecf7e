"""Trained recurrent nets of the gradient experiment: task, probe, clipping, rows."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnn_jax.ops import rnn
from experiments import gradient_vanishing
from experiments.gradient_vanishing import (
    Config,
    near_steps,
    readouts,
    recall,
)
from experiments.gradient_vanishing.claims_of_recall import RECALL
from experiments.gradient_vanishing.images import small
from experiments.harness.claims import Images
from experiments.harness.lab import Lab
from experiments.harness.seeds import keys
from experiments.harness.verdicts import judge, judge_controls

LEDGER = {
    "only-near-steps-update",
    *(
        f"clipping-fixes-explosion/{arm}"
        for arm in ("clipped", "unclipped", "unclipped-own-rate")
    ),
    *(
        f"state-overwritten/{cell}-{task}"
        for cell in ("rnn", "lstm", "gru")
        for task in ("unneeded", "needed")
    ),
    *(
        f"sigmoid-and-tanh-needed/{arm}"
        for arm in ("tanh-replaceable", "sigmoid-natural")
    ),
}


def test_every_row_of_trained_recurrent_nets_is_a_guarded_claim():
    assert {claim.id for claim in RECALL} == LEDGER
    assert len(RECALL) == len(LEDGER)
    assert all(claim.controls for claim in RECALL)


def quiet_lab() -> Lab:
    return Lab("digits", None, lambda *_, **__: None, lambda *_: None)


@pytest.fixture(scope="module")
def trained() -> recall.State:
    """An RNN that has been asked for the last symbol for a while."""
    net = recall.NETS["rnn"]
    _, after = recall.fit(keys(3, 2), quiet_lab(), "rnn", net, "unneeded", 100, 1e-2)
    return after


def test_a_net_asked_for_the_last_symbol_learns_to_name_it_and_not_the_first(trained):
    symbols = recall.sequences(9, 400)
    looked = readouts._looked_at(
        trained.params, jnp.asarray(symbols), recall.NETS["rnn"]
    )
    answers, states = map(np.asarray, looked)
    assert states.shape == (2, 2, 400, recall.WIDTH)
    assert (answers == symbols[:, -1]).mean() > 0.9
    assert (answers == symbols[:, 0]).mean() < 0.2


def test_seeds_differ_in_params_and_in_what_they_read(trained):
    assert not np.array_equal(trained.params[0], trained.params[1])
    streams = jax.random.key_data(trained.key)
    assert not np.array_equal(streams[0], streams[1])


def test_the_last_states_are_those_of_the_layer(trained):
    net = recall.NETS["rnn"]
    symbols = jnp.asarray(recall.sequences(9, 5))
    _, states = readouts._looked_at(trained.params, symbols, net)
    cell = net.tree(trained.params[1])["cell"]
    last, outputs = rnn(cell, recall.one_hot(symbols))
    np.testing.assert_allclose(states[1, 1], last, atol=1e-5)
    np.testing.assert_allclose(states[1, 0], outputs[:, 0], atol=1e-5)


def test_every_net_has_its_bias_and_its_activations():
    lstm = recall.NETS["lstm"].draw(jax.random.key(0))["cell"]
    np.testing.assert_array_equal(lstm["hf"]["bias"], recall.KEEP_BIAS)
    gru = recall.NETS["gru"].draw(jax.random.key(0))["cell"]
    np.testing.assert_array_equal(gru["iz"]["bias"], recall.KEEP_BIAS)
    np.testing.assert_array_equal(gru["ir"]["bias"], 0)
    assert len({net.options for net in recall.NETS.values()}) == 5
    symbols = jnp.asarray(recall.sequences(9, 3))
    outputs = [
        recall.NETS[name].outputs({"cell": lstm}, symbols)
        for name in ("lstm", "tanh-gates")
    ]
    assert np.abs(outputs[0] - outputs[1]).max() > 1e-3


def classes(number: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """States whose classes lie along a direction of small variance."""
    draw = np.random.RandomState(seed)
    labels = draw.randint(recall.KINDS, size=number)
    states = draw.normal(size=(number, 4)) * [10, 0.01, 1, 1]
    states[:, 1] += 0.1 * labels
    mixing = np.random.RandomState(0).normal(size=(4, 4))
    return (states @ mixing).astype(np.float32), labels


def test_the_probe_reads_what_is_there_however_small():
    states, labels = classes(2000, 1)
    others, truth = classes(500, 2)
    assert (readouts.probe(states, labels, others) == truth).mean() > 0.99


def test_the_probe_finds_nothing_where_nothing_is():
    draw = np.random.RandomState(0)
    states = draw.normal(size=(4000, 4))
    labels = draw.randint(recall.KINDS, size=4000)
    found = readouts.probe(states[:2000], labels[:2000], states[2000:])
    assert abs((found == labels[2000:]).mean() - 1 / recall.KINDS) < 0.03


def fabricated(first: np.ndarray, last: np.ndarray) -> readouts.Trained:
    """A net of one seed whose states name one symbol each, at h_1 and at h_T."""
    states = np.stack([np.eye(recall.WIDTH)[first], np.eye(recall.WIDTH)[last]])
    right = np.zeros((1, len(readouts.TEST)), bool)
    shares = np.asarray([[[0.2, 0.9, 0.3], [0.4, 0.9, 0.6]]])
    spread = {"shares": shares, "histograms": np.ones((1, 2, 3, 20))}
    return readouts.Trained(right, states[None].astype(np.float32), spread)


@pytest.fixture(scope="module")
def metrics() -> Any:
    """Of nets that name nothing right, but for the LSTM, always, and hard tanh."""
    symbols = np.concatenate([readouts.FITTED, readouts.TEST])
    net = fabricated(symbols[:, 0], symbols[:, -1])
    arms = dict.fromkeys((*readouts.ARMS, *readouts.VARIANTS), net)
    arms["lstm-needed"] = net._replace(right=~net.right)
    half = np.arange(len(readouts.TEST))[None] % 2 == 0
    arms["hard-tanh"] = net._replace(right=half)
    return readouts.with_readouts(dict(arms))


def test_each_metric_probes_the_state_and_the_symbol_that_it_names(metrics):
    assert metrics["probe-soon/rnn-needed"].values.mean() == 100
    assert metrics["named/gru-unneeded"].values.mean() == 0
    assert metrics["recall/lstm"].values.mean() == 100
    assert "named/lstm-needed" not in metrics
    assert "probe-soon/rnn-unneeded" not in metrics
    for name in ("probe/rnn-needed", "probe-shuffled/rnn-needed"):
        assert abs(metrics[name].values.mean() - 12.5) < 3
    assert metrics["probe/rnn-needed"].values.shape == (1, len(readouts.TEST))


def test_differences_are_of_the_arms_that_they_name(metrics):
    assert metrics["hard-tanh-less-lstm"].values.mean() == -50
    assert metrics["softsign-less-lstm"].values.mean() == -100
    assert metrics["lstm-less-rnn"].values.mean() == 100


def test_gates_are_judged_with_and_without_the_forget_gates(metrics):
    wanted = {
        "untrained": 1.4 / 3,
        "trained": 1.9 / 3,
        "untrained-input-output": 0.25,
        "trained-input-output": 0.5,
    }
    for arm, share in wanted.items():
        np.testing.assert_allclose(metrics[f"gates-saturated/{arm}"], [share])
    assert metrics["forget-gate-saturated/untrained"].tolist() == [0.9]


def test_the_gates_are_counted_before_and_after():
    net = recall.NETS["lstm"]
    before = recall.initial(keys(0, 1), net).params
    tree = net.tree(before[0])
    tree["cell"]["hi"]["bias"] = jnp.full(recall.WIDTH, 9.0)
    after = jax.flatten_util.ravel_pytree(tree)[0][None]
    shares = readouts._gates(net, before, after)["shares"]
    assert shares.shape == (1, 2, 3)
    opened = dict(zip(readouts.GATES, shares[0, 1] - shares[0, 0], strict=True))
    assert opened["i"] > 0.95
    assert shares[0, 0, readouts.GATES.index("f")] > 0.8  # σ(3) is 0.95


def test_the_profile_begins_with_the_gradient_to_the_first_state():
    net = recall.NETS["rnn"]
    tree = net.draw(jax.random.key(0))
    symbols = jnp.asarray(recall.sequences(9, 4))

    def loss(h: jax.Array) -> jax.Array:
        last, _ = rnn(tree["cell"], recall.one_hot(symbols), h)
        logs = jax.nn.log_softmax(recall.logits_of(tree, last))
        return -jnp.mean(logs[jnp.arange(4), symbols[:, 0]])

    wanted = jnp.linalg.norm(jax.grad(loss)(jnp.zeros((4, recall.WIDTH))))
    found = jax.jit(near_steps.log_gradients, static_argnums=(0, 3))(
        net, tree, symbols, 0
    )
    np.testing.assert_allclose(found[0], np.log10(wanted), atol=1e-3)


def test_an_update_changes_with_the_inputs_that_are_drawn_anew():
    tree = recall.NETS["rnn"].draw(jax.random.key(0))
    symbols = jnp.asarray(recall.sequences(9, 4))
    early = jnp.arange(recall.LENGTH) < 3
    others = jnp.where(early, (symbols + 1) % recall.KINDS, symbols)
    far, near = jax.jit(near_steps.changes)(tree, symbols, others)
    assert far > 0
    assert near == 0


def test_a_task_that_does_not_tell_memories_apart_decides_nothing(metrics):
    rows = [claim for claim in RECALL if claim.id.startswith("sigmoid-and-tanh")]
    five = {
        name: type(each)(np.repeat(each.values, 5, 0))
        for name, each in metrics.items()
        if name.endswith(("-less-lstm", "-less-rnn"))
    }
    verdicts = {each.id: each.verdict for each in judge(rows, five)}
    assert set(verdicts.values()) == {"refuted", "supported"}
    five["lstm-less-rnn"] = type(five["lstm-less-rnn"])(
        0 * five["lstm-less-rnn"].values
    )
    assert {each.verdict for each in judge(rows, five)} == {"invalid"}
    assert judge_controls(rows, five)[0].verdict == "refuted"


def test_a_state_is_overwritten_where_a_probe_that_works_finds_nothing():
    row = "state-overwritten/rnn-needed"
    (claim,) = (claim for claim in RECALL if claim.id == row)
    points = {
        "probe/rnn-needed": 15.0,
        "probe-shuffled/rnn-needed": 12.5,
        "probe-soon/rnn-needed": 100.0,
    }

    def verdict(**changes: float) -> str:
        found: Any = {
            name: Images(np.full((5, 1), value))
            for name, value in (points | changes).items()
        }
        return judge([claim], found)[0].verdict

    assert verdict() == "supported"
    assert verdict(**{"probe/rnn-needed": 60.0}) == "refuted"
    assert verdict(**{"probe-soon/rnn-needed": 15.0}) == "invalid"
    assert verdict(**{"probe-shuffled/rnn-needed": 30.0}) == "invalid"


@pytest.mark.parametrize("field", ["recall_steps", "clipped_runs", "trainings"])
def test_bad_settings_of_trained_recurrent_nets_are_refused_by_name(field):
    wrong: Any = {field: 0}
    with pytest.raises(ValueError, match=f"expected {field} in 1 to"):
        Config(**wrong)


def test_every_seed_trains_as_many_nets_as_asked(monkeypatch):
    given = []
    monkeypatch.setattr(
        readouts, "measurements", lambda keys, *_: given.extend(keys) or {}
    )
    lab = Lab("digits", None, lambda *_, **__: None, lambda *_: None)
    digits = small(lab.data().train)
    gradient_vanishing._trained(keys(0, 2), Config(trainings=3), lab, digits)
    assert len({str(jax.random.key_data(key)) for key in given}) == 6
