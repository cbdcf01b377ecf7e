"""The trained nets of depth of the gradient experiment, small."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from cnn_jax.data import Split
from cnn_jax.models import ResNet
from experiments import gradient_vanishing
from experiments.gradient_vanishing import (
    CLAIMS,
    descent,
    learning,
    residual,
)
from experiments.gradient_vanishing.claims_of_depth import TRAINED_DEPTH
from experiments.gradient_vanishing.descent import Arm
from experiments.harness.lab import Lab
from experiments.harness.seeds import keys
from experiments.harness.verdicts import judge

LEDGER = {
    "relu-converges-faster",
    "early-layers-starve/sgd",
    "early-layers-starve/adam",
    "deeper-worse-optima",
    "resnet-motivation",
}


def split(number: int = 130, seed: int = 0) -> Split:
    draw = np.random.default_rng(seed)
    images = draw.random((number, 8, 8, 1)).astype(np.float32)
    return Split(images, (np.arange(number) % 10).astype(np.int32))


LAB = Lab("digits", None, lambda *_, **__: None, lambda *_: None)


def test_every_trained_row_of_depth_is_a_claim():
    assert {claim.id for claim in TRAINED_DEPTH} == LEDGER
    assert set(CLAIMS) >= set(TRAINED_DEPTH)
    assert all(claim.controls for claim in TRAINED_DEPTH)


def test_chunks_are_those_that_the_setting_knows():
    assert descent.CHUNK == gradient_vanishing.CHUNK


def test_steps_count_from_one_and_a_goal_out_of_reach_takes_all_of_them():
    errors = np.asarray([[0.9, 0.25, 0.9], [0.2, 0.9, 0.9], [0.9, 0.8, 0.26]])
    steps, missed = learning.steps_to(0.25, errors)
    assert steps.tolist() == [2, 1, 3]
    assert missed.tolist() == [False, False, True]


def fake_race(monkeypatch, **errors):
    """The race's metrics where the arms have these errors [seeds, steps]."""
    found = {
        name: descent.Descent(None, None, np.asarray(each, float))
        for name, each in errors.items()
    }
    monkeypatch.setattr(learning, "descend", lambda *_, **__: found)
    metrics: Any = learning.race(keys(0, 1), LAB, split(), 50)
    return metrics


def test_an_arm_that_runs_out_of_steps_is_a_bound_and_two_are_nothing(monkeypatch):
    never, second, fourth = [0.9] * 4, [0.9, 0.2, 0.2, 0.2], [0.9, 0.9, 0.9, 0.2]
    metrics = fake_race(
        monkeypatch,
        relu=[second, second, never],
        tanh=[fourth, never, never],
        sigmoid=[never, fourth, fourth],
    )
    np.testing.assert_array_equal(metrics["steps-over-relu/tanh"], [2, 2, np.nan])
    assert metrics["censored/tanh"].tolist() == [0, 1, 0]
    np.testing.assert_array_equal(metrics["steps-over-relu/sigmoid"], [2, 2, 1])
    assert metrics["censored/sigmoid"].tolist() == [1, 0, -1]
    assert metrics["fewest-steps"].tolist() == [2, 2, 4]


def verdict_of(name: str, metrics: dict[str, Any]) -> str:
    (claim,) = (claim for claim in TRAINED_DEPTH if claim.id == name)
    return judge([claim], metrics)[0].verdict


def race_metrics(**changes: Any) -> dict[str, Any]:
    return {
        "steps-over-relu/tanh": np.full(5, 2.0),
        "steps-over-relu/sigmoid": np.full(5, 2.0),
        "censored/tanh": np.zeros(5, int),
        "censored/sigmoid": np.zeros(5, int),
        "fewest-steps": np.full(5, 9),
    } | changes


def test_a_bound_can_support_that_the_relu_is_faster_and_cannot_refute_it():
    late = {"censored/sigmoid": np.ones(5, int)}
    row = "relu-converges-faster"
    assert verdict_of(row, race_metrics()) == "supported"
    assert verdict_of(row, race_metrics(**late)) == "supported"
    low = {"steps-over-relu/sigmoid": np.full(5, 1.2)}
    assert verdict_of(row, race_metrics(**low)) == "refuted"
    assert verdict_of(row, race_metrics(**low, **late)) == "inconclusive"
    lost = {"censored/sigmoid": np.asarray([0, 0, 0, 0, -1])}
    assert verdict_of(row, race_metrics(**lost)) == "inconclusive"
    assert verdict_of(row, race_metrics(**low, **lost)) == "refuted"
    neither = {"steps-over-relu/sigmoid": np.asarray([2, 2, 2, 2, np.nan])}
    assert verdict_of(row, race_metrics(**neither)) == "invalid"


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
@pytest.mark.parametrize("activation", ["sigmoid", "relu"])
def test_a_net_that_only_wanders_tells_nothing_about_its_layers(optimizer, activation):
    row = f"early-layers-starve/{optimizer}"
    metrics = {
        f"change-ratio/{optimizer}-sigmoid": np.full(5, -2.0),
        f"change-ratio/{optimizer}-relu": np.full(5, 0.0),
        f"last-change/{optimizer}-sigmoid": np.full(5, 1.0),
        f"error-after/{optimizer}-sigmoid": np.full(5, 49.0),
        f"error-after/{optimizer}-relu": np.full(5, 49.0),
    }
    assert verdict_of(row, metrics) == "supported"
    metrics[f"error-after/{optimizer}-{activation}"] = np.full(5, 51.0)
    assert verdict_of(row, metrics) == "invalid"


@functools.cache
def fifty_steps() -> tuple[Any, descent.Examples]:
    """Two arms of two seeds."""
    digits = split()
    data = descent.examples(digits, digits)
    arms = {"a": Arm("tanh", 0.1), "b": Arm("relu", 0.2)}
    found = descent.descend(
        keys(3, 2), LAB, "x", data, arms, hidden=2, optimizer="sgd", steps=50
    )
    return found, data


def test_an_arm_goes_the_steps_of_plain_gradient_descent():
    """Against optax's own SGD, step by step, of the second arm and seed."""
    found, data = fifty_steps()
    init_key, order_key = jax.random.split(keys(3, 2)[1])
    params = descent.init(init_key, jnp.asarray(2**0.5), 2)
    np.testing.assert_allclose(
        found["b"].before[0]["kernel"][1], params[0]["kernel"], rtol=1e-6
    )
    rule = optax.sgd(0.2)

    @jax.jit
    def step(params, chosen):
        def loss(params):
            h = data.images[chosen]
            for layer in params[:-1]:
                h = jax.nn.relu(h @ layer["kernel"] + layer["bias"][None])
            logits = h @ params[-1]["kernel"] + params[-1]["bias"][None]
            logs = jax.nn.log_softmax(logits)
            return -jnp.mean(logs[jnp.arange(len(chosen)), data.labels[chosen]])

        updates, _ = rule.update(jax.grad(loss)(params), rule.init(params))
        return optax.apply_updates(params, updates)

    for now in range(50):
        epoch, place = divmod(now, 130 // descent.BATCH)
        order = jax.random.permutation(jax.random.fold_in(order_key, epoch), 130)
        params = step(params, order[place * descent.BATCH :][: descent.BATCH])
    for layer, wanted in zip(found["b"].after, params, strict=True):
        np.testing.assert_allclose(layer["kernel"][1], wanted["kernel"], atol=1e-4)


def test_errors_are_those_of_the_watched_digits_after_each_step():
    found, data = fifty_steps()
    names = list(descent.FUNCTIONS)
    for name, activation in (("a", "tanh"), ("b", "relu")):
        for seed in range(2):
            last = jax.tree.map(lambda leaf, seed=seed: leaf[seed], found[name].after)
            place = jnp.asarray(names.index(activation))
            logits = descent.logits_of(last, place, data.watched_images)
            wrong = np.mean(np.argmax(logits, 1) != data.watched_labels)
            np.testing.assert_allclose(found[name].errors[seed, -1], wrong, atol=1e-6)
    assert found["a"].errors.shape == (2, 50)
    assert not np.isnan(found["a"].errors).any()


def test_rare_looks_see_the_same_errors_at_the_steps_between_them():
    each, data = fifty_steps()
    options: dict = {"hidden": 2, "optimizer": "sgd", "steps": 50, "every": 25}
    rare = descent.descend(
        keys(3, 2), LAB, "x", data, {"b": Arm("relu", 0.2)}, **options
    )
    assert rare["b"].errors.shape == (2, 2)
    np.testing.assert_allclose(rare["b"].errors, each["b"].errors[:, 24::25], atol=0.01)


def test_the_relative_change_is_that_of_each_kernel():
    before = [{"kernel": np.ones((1, 2, 2))}, {"kernel": np.full((1, 2, 3), 2.0)}]
    after = [{"kernel": np.ones((1, 2, 2)) + 3}, {"kernel": np.full((1, 2, 3), 2.5)}]
    found = learning.relative_changes(descent.Descent(before, after, np.zeros((1, 1))))
    np.testing.assert_allclose(found, [[3, 0.25]])


def test_starving_is_shown_at_every_rate_in_their_order(monkeypatch):
    """The first kernel moves by the rate, the last hidden one by 1."""

    def descend(keys, lab, label, data, arms, **options):
        def ends(rate):
            kernels = [np.ones((1, 2, 2))] * (learning.DEEP + 1)
            before = [{"kernel": kernel} for kernel in kernels]
            after = [{"kernel": 2 * kernel} for kernel in kernels]
            after[0] = {"kernel": (1 + rate) * kernels[0]}
            return descent.Descent(before, after, np.asarray([[1.0, rate / 100]]))

        return {name: ends(arm.rate) for name, arm in arms.items()}

    monkeypatch.setattr(learning, "descend", descend)
    found: Any = learning.changes("sgd", keys(0, 1), LAB, split(), 50)
    rates = np.asarray(learning.RATES)
    ratios = found["change-ratios-by-rate"].values
    np.testing.assert_allclose(ratios, np.log10(rates)[:, None], rtol=1e-6)
    np.testing.assert_allclose(found["errors-by-rate"].values[:, 0], rates)
    judged = np.log10(learning.LEARNERS["sgd"]["sigmoid"].rate)
    np.testing.assert_allclose(found["change-ratio/sgd-sigmoid"], judged)
    error = found["error-after/sgd-sigmoid"]
    np.testing.assert_allclose(error, learning.LEARNERS["sgd"]["sigmoid"].rate)
    assert found["changes/sgd"].values.shape == (2, 1, learning.DEEP + 1)


def test_kernels_are_drawn_at_the_variance_of_he_and_twins_begin_alike():
    nets = [ResNet(8, **residual.DESIGNS[name]) for name in residual.DESIGNS]
    drawn = [residual.initial(jax.random.key(0), net, (8, 8, 1)) for net in nets]
    shapes = jax.eval_shape(nets[2].init, jax.random.key(0), jnp.ones((1, 8, 8, 1)))
    assert jax.tree.map(jnp.shape, drawn[2]) == jax.tree.map(
        jnp.shape, shapes["params"]
    )
    jax.tree.map(np.testing.assert_array_equal, drawn[0], drawn[1])
    kernel = drawn[0]["layer7_conv"]["kernel"]  # 64 of 3x3x64
    np.testing.assert_allclose(kernel.var() * 9 * 64 / 2, 1, rtol=0.02)
    np.testing.assert_array_equal(drawn[0]["layer7_norm"]["scale"], 1)
    np.testing.assert_array_equal(drawn[0]["layer7_norm"]["bias"], 0)


def test_the_gap_of_twins_is_in_points_of_train_error(monkeypatch):
    metrics: Any = {"train-error/plain": [3.0, 4.0], "train-error/residual": [1.0, 4.5]}
    gap: Any = residual.gap(metrics)
    assert gap["plain-less-residual"].tolist() == [2, -0.5]
    calls = []

    def train(*arguments):
        calls.append(arguments)
        return np.asarray([0.25])

    monkeypatch.setattr(residual, "train", train)
    learned: Any = residual.learning("plain", keys(0, 1), LAB, split(), 8, 3)
    assert learned["train-error/plain"].tolist() == [25]
    np.testing.assert_allclose(calls[0][-1], [residual.RATES["plain"]])


def test_a_gradient_that_left_the_floats_is_at_most_their_smallest():
    logs = residual.bounded(np.asarray([-np.inf, -17.0, 2.0], np.float32))
    np.testing.assert_allclose(logs, [-37.93, -17, 2], atol=0.01)
