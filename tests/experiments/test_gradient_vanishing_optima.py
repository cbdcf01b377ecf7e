"""Where nets too small for their data end, small."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnn_jax.data import Split
from experiments import gradient_vanishing
from experiments.gradient_vanishing import optima
from experiments.gradient_vanishing.claims_of_depth import TRAINED_DEPTH
from experiments.harness.lab import Lab
from experiments.harness.seeds import keys
from experiments.harness.verdicts import judge


def split(number: int = 130, seed: int = 0) -> Split:
    draw = np.random.default_rng(seed)
    images = draw.random((number, 8, 8, 1)).astype(np.float32)
    return Split(images, (np.arange(number) % 10).astype(np.int32))


LAB = Lab("digits", None, lambda *_, **__: None, lambda *_: None)


def verdict(metrics: dict[str, Any]) -> str:
    (claim,) = (each for each in TRAINED_DEPTH if each.id == "deeper-worse-optima")
    return judge([claim], metrics)[0].verdict


def optima_metrics(restarts: int) -> dict[str, Any]:
    """Of five seeds; the slopes have a spread, so that an interval can be made."""
    return {
        "loss-slope": 0.1 + 0.01 * np.sin(np.arange(restarts)),
        "gradient-left": np.full((5, 4), 9e-4),
        "least-error": np.full(5, 30.0),
    }


def test_a_restart_that_has_not_arrived_makes_the_row_invalid():
    metrics = optima_metrics(25)
    assert verdict(metrics) == "supported"
    metrics["gradient-left"][3, 1] = 2e-3
    assert verdict(metrics) == "invalid"


def test_fewer_than_ten_restarts_of_a_depth_decide_nothing():
    assert verdict(optima_metrics(10)) == "supported"
    assert verdict(optima_metrics(9)) == "inconclusive"


def test_a_quadratic_is_minimized_until_a_thousandth_of_its_gradient_is_left():
    curvature = np.asarray([1.0, 10.0, 100.0])
    visited = []

    def objective(at):
        visited.append(at.copy())
        return at @ (curvature * at) / 2, curvature * at

    end = optima.minimize(objective, lambda _: np.diag(curvature), np.ones(3), (100, 1))
    assert end.method == "L-BFGS"
    assert end.left < optima.TOLERANCE
    gradients = [np.linalg.norm(curvature * at) for at in visited]
    left = np.linalg.norm(curvature * end.params) / gradients[0]
    assert end.left == pytest.approx(left)
    assert end.calls == len(visited) - 1


def test_a_point_that_is_only_tried_is_no_optimum():
    """The first trial of a line search lands on the plateau of a narrow well."""

    def objective(at):
        inside = np.exp(-np.sum((at / 0.15) ** 2) / 2)
        return 1 - inside, inside * at / 0.15**2

    def hessian(at):
        scaled = (at / 0.15) ** 2
        return np.diag(np.exp(-scaled / 2) * (1 - scaled) / 0.15**2)

    end = optima.minimize(objective, hessian, np.asarray([0.2]), (100, 1))
    assert abs(end.params[0]) < 0.01
    assert end.left < optima.TOLERANCE


@pytest.mark.parametrize(("iterations", "method"), [(100, "Newton"), (1, "stalled")])
def test_what_stalls_goes_on_by_newton_and_is_told(iterations, method):
    """From beside a saddle, where the second curvature is negative, to a minimum."""

    def objective(at):
        return np.sum(at**4 / 4 - at**2 / 2), at**3 - at

    start = np.asarray([1.5, 0.1])
    end = optima.minimize(
        objective, lambda at: np.diag(3 * at**2 - 1), start, (1, iterations)
    )
    assert end.method == method
    assert (end.left < optima.TOLERANCE) == (method == "Newton")
    assert np.allclose(end.params, 1, atol=0.01) == (method == "Newton")
    gradients = [np.linalg.norm(objective(at)[1]) for at in (end.params, start)]
    assert end.left == pytest.approx(gradients[0] / gradients[1])


def test_the_slope_over_depth_is_that_of_the_log_losses(monkeypatch):
    """Losses 2^(depth · (1 + restart)): ln 2 per layer, and twice as much."""

    def optima_of(images, labels, depth, seeds, budget):
        assert images.dtype == jnp.float64
        method = ("L-BFGS", "Newton")[depth == 6]
        for seed in seeds:
            loss, curvature = 2.0 ** (depth * (1 + seed[-1])), depth - 3.0
            yield optima.Optimum(loss, 0.5, curvature, 1e-4, method, 3)

    monkeypatch.setattr(optima, "_optima", optima_of)
    metrics: Any = optima.optima(keys(0, 3), LAB, split(), 2, (7, 1))
    wanted = np.log(2) * np.asarray([1, 2] * 3)
    np.testing.assert_allclose(metrics["loss-slope"], wanted, rtol=1e-12)
    assert metrics["gradient-left"].shape == (3, len(optima.DEPTHS))
    assert metrics["least-error"].tolist() == [50, 50, 50]
    methods = [[6, 0, 0]] * 3 + [[0, 6, 0]]
    assert metrics["optima-methods"].values.tolist() == methods
    assert metrics["optima-parameters"].values[1] == 65 * 4 + 5 * 4 + 5 * 10
    table = metrics["optima-ends"].values
    assert table[:, 0].tolist() == ["hidden layers", "1", "2", "4", "6"]
    assert table[1:, 1].tolist() == ["310", "330", "370", "410"]
    assert table[1:, 2].tolist() == ["6"] * 4
    assert table[1:, 3].tolist() == ["0", "0", "6", "6"]
    assert table[1, 4] == "3.0000"  # the mean of 2 and 4
    curvatures = metrics["optima-curvatures"].values
    assert curvatures.shape == (3, len(optima.DEPTHS), 2)
    assert curvatures[2, :, 1].tolist() == [-2, -1, 1, 3]


@pytest.mark.parametrize(("iterations", "newton"), [(400, 20), (7, 1)])
def test_newtons_method_gets_a_twentieth_of_the_iterations(
    monkeypatch, iterations, newton
):
    seen = []
    monkeypatch.setattr(
        gradient_vanishing.optima, "optima", lambda *each: seen.append(each)
    )
    config = gradient_vanishing.Config(iterations=iterations)
    gradient_vanishing._trained(keys(0, 1), config, LAB, split())["optima"]["optima"]()
    assert seen[0][-1] == (iterations, newton)


def test_nets_without_an_optimum_yet_keep_more_of_their_gradient():
    """One iteration of each is not enough; twins of one seed begin alike."""
    with jax.enable_x64(True):
        images = jnp.asarray(split().images.reshape(130, 64), jnp.float64)
        seeds = [[1, 2], [1, 2], [1, 3]]
        ends = list(optima._optima(images, jnp.arange(130) % 10, 1, seeds, (1, 1)))
    assert ends[0] == ends[1] != ends[2]
    assert all(end.left > optima.TOLERANCE for end in ends)
    assert {end.method for end in ends} == {"stalled"}


def test_the_curvature_is_the_smallest_eigenvalue_of_the_hessian(monkeypatch):
    """Against central differences of the gradient, where a net was left."""
    ends = []
    minimize = optima.minimize

    def remembered(*arguments):
        ends.append(minimize(*arguments))
        return ends[-1]

    monkeypatch.setattr(optima, "minimize", remembered)
    with jax.enable_x64(True):
        images = jnp.asarray(split().images.reshape(130, 64)[:, :3], jnp.float64)
        labels = jnp.arange(130) % 10
        (found,) = optima._optima(images, labels, 1, [[1, 2]], (5, 1))
        objective, hessian, _ = optima._problem([3, 4, 10], images, labels)
        at, steps = ends[0].params, 1e-5 * np.eye(66)
        columns = [objective(at + s)[1] - objective(at - s)[1] for s in steps]
        wanted = np.stack(columns) / 2e-5
        np.testing.assert_allclose(hessian(at), wanted, atol=1e-8)
    assert found.curvature == pytest.approx(np.linalg.eigvalsh(wanted)[0], abs=1e-7)
    assert found.curvature < 0
