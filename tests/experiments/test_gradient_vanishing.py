"""The pieces of the gradient experiment, small; its rows, controls and settings."""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnn_jax.data import Split
from experiments.gradient_vanishing import (
    CLAIMS,
    Config,
    depths,
    recurrence,
)
from experiments.gradient_vanishing.claims_of_depth import TRAINED_DEPTH
from experiments.gradient_vanishing.claims_of_recall import RECALL
from experiments.harness.claims import Images
from experiments.harness.seeds import keys
from experiments.harness.table import statements
from experiments.harness.verdicts import judge, judge_controls

KIN = ("relu", "leaky", "prelu", "rrelu", "maxout")
LEDGER = {
    *(
        f"rnn-gradient-exponential/{activation}-{gain}"
        for activation in ("linear", "tanh", "sigmoid")
        for gain in ("0.5", "1", "4")
    ),
    "rnn-gradient-exponential/orthogonal-linear",
    "rnn-gradient-exponential/identity-relu",
    *(f"small-entries-vanish/{arm}" for arm in ("small", "large")),
    *(
        f"sigmoid-rarely-explodes/{gain}-{bias}"
        for gain in (1, 2, 4, 8, 16)
        for bias in ("bias-0", "centered")
    ),
    *(
        f"relu-solves-vanishing/{activation}-{init}-{net}"
        for activation in KIN
        for init in ("glorot", "he", "orthogonal")
        for net in ("mlp", "rnn")
    ),
    *(f"batch-norm-solves-vanishing/{net}" for net in ("mlp", "rnn")),
    *(
        f"lstm-solves-{trouble}/{bias}-{gain}"
        for trouble in ("vanishing", "exploding")
        for bias in ("0", "1", "5", "chrono")
        for gain in (1, 2, 4, 8)
    ),
    *(
        f"lstm-gates-are-binary/{when}{which}"
        for when in ("init", "trained")
        for which in ("", "-input-output")
    ),
    "lstm-additive",
    "gate-gradient-near-one",
    *(f"gru-simpler/{arm}" for arm in ("count", "convention")),
    *(f"gru-update/{arm}" for arm in ("chung", "cho")),
    *(f"gru-reset/{arm}" for arm in ("zero", "scalar", "vector")),
    *(f"elmo-projection/{arm}" for arm in ("count", "clips")),
    "bidirectional-sees-both",
    "resnet-no-vanishing",
}
TRAINED = {claim.id for claim in (*TRAINED_DEPTH, *RECALL)}


def test_every_row_and_arm_that_needs_no_training_is_a_claim_and_nothing_else():
    assert {claim.id for claim in CLAIMS} - TRAINED == LEDGER
    assert len(CLAIMS) == len(LEDGER | TRAINED)


def test_every_row_is_guarded():
    assert all(claim.controls for claim in CLAIMS)


def net(activation: str, kernel, bias=0.0, start=0.0) -> recurrence.Net:
    size = len(kernel)
    return recurrence.Net(
        jnp.asarray(list(recurrence.FUNCTIONS).index(activation)),
        jnp.asarray(kernel, jnp.float32),
        jnp.full(size, bias),
        jnp.full(size, start),
    )


def test_the_norm_of_a_linear_net_is_that_of_the_power_of_its_kernel():
    kernel = np.random.default_rng(0).normal(size=(5, 5)) / 20
    found = jax.jit(recurrence.log_norms, static_argnums=1)(
        net("linear", kernel), (1, 60)
    )
    power = [np.linalg.norm(np.linalg.matrix_power(kernel, d), 2) for d in (1, 60)]
    np.testing.assert_allclose(found, np.log10(power), rtol=1e-4)
    assert found[1] < -38  # below every float32


def test_a_centered_sigmoid_stays_at_a_half_and_loses_three_quarters_a_step():
    """b = −U·1/2 keeps h = 1/2, where the slope is 1/4."""
    kernel = 3 * np.eye(4)
    found = jax.jit(recurrence.log_norms, static_argnums=1)(
        net("sigmoid", kernel, bias=-1.5, start=0.5), (100,)
    )
    np.testing.assert_allclose(found, 100 * math.log10(3 / 4), rtol=1e-4)


def test_the_centered_biases_of_a_draw_have_the_middle_as_a_fixed_point():
    drawn = recurrence._sigmoids(jax.random.key(0))["8-centered"]
    sums = jnp.full(recurrence.WIDTH, 0.5) @ drawn.kernel + drawn.bias
    np.testing.assert_allclose(sums, 0, atol=1e-5)


def test_powers_of_equal_entries_stay_at_one_or_end_at_zero():
    metrics: Any = recurrence.entries()
    np.testing.assert_allclose(metrics["norm/small"], 1, rtol=1e-5)
    assert metrics["norm/large"] == 0
    np.testing.assert_allclose(metrics["log-norm/below"], 200 * math.log10(0.9), 1e-4)
    np.testing.assert_allclose(metrics["log-norm/full"], 200 * math.log10(320), 1e-4)


@pytest.fixture(scope="module")
def growing() -> Any:
    return recurrence.growth(keys(0, 1))


def test_isometries_have_rate_zero_and_scaled_ones_that_of_their_scale(growing):
    for arm in recurrence.ISOMETRIES:
        assert growing[f"rate/{arm}"][0] < 1e-5
    assert growing["rate-error"][0] < 1e-5


def test_the_rate_of_a_linear_net_is_near_the_logarithm_of_its_gain(growing):
    """The spectral radius of a random matrix of variance 1/n is about 1."""
    rates = dict(zip(recurrence.ARMS, growing["rates"].values, strict=True))
    for gain in recurrence.GAINS:
        assert abs(rates[f"linear-{gain}"] - math.log(gain)) < 0.25
    assert abs(growing["rate/linear-0.5"] + rates["linear-0.5"]) < 1e-6


def digits_like() -> Split:
    images = np.random.default_rng(0).random((20, 8, 8, 1)).astype(np.float32)
    return Split(images, np.arange(20, dtype=np.int32) % 10)


@pytest.fixture(scope="module")
def task():
    return jax.jit(depths.draw)(jax.random.key(0), digits_like())


def plain_gradients(task, function, init, net):
    """‖∂L/∂h_l‖ by one gradient of the whole network, in float64."""
    kernels, drives, start, labels = (
        np.asarray(each, each.dtype if each.dtype.kind == "i" else float)
        for each in (
            task.kernels[net, init],
            task.drives[net],
            task.starts[net],
            task.labels[net],
        )
    )
    with jax.enable_x64(True):

        def loss(offsets):
            h = start + offsets[0]
            for layer in range(depths.LAYERS):
                sums = h @ kernels[layer][:, :: depths.PIECES] + drives[layer]
                h = function(sums) + offsets[layer + 1]
            logs = jax.nn.log_softmax(h @ np.asarray(task.readout, float))
            return -jnp.mean(logs[np.arange(len(labels)), labels])

        zeros = jnp.zeros((depths.LAYERS + 1, *start.shape))
        return np.linalg.norm(jax.grad(loss)(zeros), axis=(1, 2))


@pytest.mark.parametrize("net", [0, 1])
def test_a_profile_is_the_gradient_to_every_layer(task, net):
    index = list(depths.ACTIVATIONS).index("sigmoid"), 1, net
    found = jax.jit(depths.profile)(task, *map(jnp.asarray, index))
    wanted = plain_gradients(task, jax.nn.sigmoid, 1, net)
    np.testing.assert_allclose(found, np.log10(wanted), atol=2e-3)


def test_lapack_gets_one_matrix_at_a_time():
    """Calls with a batch wait for threads, and two of them for each other."""
    draw = jax.jit(depths.draw).lower(jax.random.key(0), digits_like())
    calls = [line for line in draw.as_text().splitlines() if "@lapack" in line]
    assert calls
    assert all('num_batch_dims = "0"' in call for call in calls)


def test_initializations_have_their_variances_and_the_rnn_repeats_its_kernel(task):
    glorot, he, orthogonal = task.kernels[0]
    np.testing.assert_allclose(glorot.var() * depths.WIDTH, 1, rtol=0.02)
    np.testing.assert_allclose(he, 2**0.5 * glorot, rtol=1e-6)
    for piece in range(depths.PIECES):
        kernel = orthogonal[3, :, piece :: depths.PIECES]
        np.testing.assert_allclose(
            kernel.T @ kernel, np.eye(depths.WIDTH), rtol=0, atol=1e-5
        )
    np.testing.assert_array_equal(task.kernels[1][:, 0], task.kernels[1][:, 7])
    assert not np.array_equal(task.kernels[0][:, 0], task.kernels[0][:, 7])


def metrics_of_controls(holding: bool) -> dict[str, Any]:
    """A metric for every control, far on the side where it holds, or fails."""
    far = 0.9 if holding else -1e4
    found: dict[str, Any] = {}
    for claim in CLAIMS:
        for control in claim.controls:
            threshold = control.threshold or 0.0
            away = {"<": -far, "<=": -far, ">": far, ">=": far}
            if control.estimate == "share":
                value = np.stack([np.full(100, float(holding)), np.ones(100)], 1)
            elif control.relation in away:
                value = np.full(5, threshold + away[control.relation])
            else:
                wanted = threshold if control.relation == "=" else control.center
                value = np.full(5, wanted + (0 if holding else far))
            accuracy = control.estimate == "accuracy"
            found[control.metric] = Images(value[:, None]) if accuracy else value
    return found


def test_every_control_can_hold_and_can_fail():
    for holding, verdict in ((True, "supported"), (False, "refuted")):
        for control in judge_controls(CLAIMS, metrics_of_controls(holding)):
            assert control.verdict == verdict, control.id


def test_a_number_just_beyond_its_rule_is_refuted():
    (claim,) = (claim for claim in CLAIMS if claim.id == "lstm-solves-vanishing/0-1")
    good = metrics_of_controls(True)
    for value, verdict in ((-2.9, "supported"), (-3.1, "refuted")):
        judged = judge([claim], good | {"log-norm/0-1": np.full(5, value)})
        assert judged[0].verdict == verdict


def test_the_readme_tells_of_how_deep_a_network_and_when_its_gradient_is_measured():
    (claim,) = (claim for claim in CLAIMS if claim.id == "resnet-no-vanishing")
    (told,) = statements([{"statement": claim.statement}])
    assert f"of {Config().depth} layers" in told
    assert "at initialization" in told


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("draws", 0, "expected draws in 1 to 10000, got 0"),
        ("depth", 30, "expected a depth of 6n \\+ 2 in 8 to 110, got 30"),
        ("depth", 116, "expected a depth of 6n \\+ 2 in 8 to 110, got 116"),
        ("steps", 75, "expected steps as a multiple of 50 up to 1000000, got 75"),
        ("steps", 0, "expected steps as a multiple of 50 up to 1000000, got 0"),
        (
            "sgd_steps",
            75,
            "expected sgd_steps as a multiple of 50 up to 1000000, got 75",
        ),
        ("restarts", 0, "expected restarts in 1 to 1000000, got 0"),
        ("iterations", 0, "expected iterations in 1 to 1000000, got 0"),
        ("resnet_steps", 0, "expected resnet_steps in 1 to 1000000, got 0"),
        ("topics", "depths", "expected topics as all or from initial, .*'depths'"),
        ("topics", "depth,depth", "each once, got 'depth,depth'"),
    ],
)
def test_bad_settings_are_refused_by_name(field, value, message):
    with pytest.raises(ValueError, match=message):
        Config(**{field: value})
