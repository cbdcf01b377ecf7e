"""Figures of gradient_vanishing: what they draw, and of which topics."""

from typing import Any

import numpy as np

from experiments.gradient_vanishing import (
    figures_of_depth,
    learning,
    optima,
    residual,
)
from experiments.gradient_vanishing.figures import plot
from experiments.harness.claims import Shown


def test_the_figure_of_depth_shows_every_arm():
    draw = np.random.default_rng(0)
    shown = {
        "train-errors": draw.uniform(0, 100, (3, 2, 50)),
        "steps-to-goal": draw.integers(1, 50, (3, 2)),
        "changes/sgd": draw.uniform(0.01, 1, (2, 2, 6)),
        "changes/adam": draw.uniform(0.01, 1, (2, 2, 6)),
        "optima": draw.uniform(0.2, 0.3, (2, len(optima.DEPTHS), 3)),
        **{f"gradient-by-layer/{name}": np.zeros(7) for name in residual.DESIGNS},
        "optima-parameters": np.arange(len(optima.DEPTHS)),
        "resnet-steps": np.asarray([5]),
        "change-ratios-by-rate": draw.normal(size=(len(learning.RATES), 2)),
        "errors-by-rate": draw.uniform(0, 90, (len(learning.RATES), 2)),
    }
    metrics: Any = {name: Shown(each, name) for name, each in shown.items()} | {
        f"train-error/{name}": np.ones(2) for name in residual.RATES
    }
    figures = figures_of_depth.plots(metrics)
    assert list(figures) == ["resnets", "depth", "starving", "optima"]
    race, changes = figures["depth"].axes
    labels = race.get_legend_handles_labels()[1]
    assert [label.split(":")[0] for label in labels] == list(learning.RACERS)
    assert len(changes.get_legend_handles_labels()[1]) == 4
    ratio, error = figures["starving"].axes
    for axes, name in ((ratio, "change-ratios-by-rate"), (error, "errors-by-rate")):
        mean: Any = axes.get_lines()[2].get_ydata()
        np.testing.assert_allclose(mean, shown[name].mean(1))


def test_topics_that_were_not_measured_have_no_figures():
    metrics: Any = {
        "resnet-steps": Shown(np.asarray([5]), "steps"),
        **{f"train-error/{name}": np.ones(2) for name in residual.RATES},
        **{
            f"gradient-by-layer/{name}": Shown(np.zeros(7), name)
            for name in residual.DESIGNS
        },
    }
    assert list(plot(metrics)) == ["resnets"]
