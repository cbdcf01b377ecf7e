"""The figure of the nets that are trained to show what depth does."""

from typing import TYPE_CHECKING

import numpy as np

from experiments.gradient_vanishing import learning, optima, residual
from experiments.harness.claims import Metrics
from experiments.harness.figures import (
    COLORS,
    MARKERS,
    SHADE,
    dots,
    new_figure,
    shown,
    spread,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def plots(metrics: Metrics) -> "dict[str, Figure]":
    """Every figure of those rows that were measured."""
    figures = {}
    if "resnet-steps" in metrics:
        figures["resnets"] = _resnets(metrics)
    if "train-errors" in metrics:
        figures |= {"depth": _depth(metrics), "starving": _starving(metrics)}
    if "optima" in metrics:
        figures["optima"] = _optima(metrics)
    return figures


def _resnets(metrics: Metrics) -> "Figure":
    figure = new_figure(
        11,
        3.8,
        "A residual network, its plain twin and one of sigmoids without batch norm. "
        "Left: the gradient in every layer before training, mean of the seeds; gray: "
        "within a tenth to ten times that of the last layer. Right: trained on digits; "
        "a dot per net, a bar for the mean.",
    )
    left, right = figure.subplots(1, 2)
    _gradients_by_layer(left, metrics)
    _learned(right, metrics)
    return figure


def _depth(metrics: Metrics) -> "Figure":
    figure = new_figure(
        11,
        3.8,
        "Trained on digits; faint lines and dots are seeds, strong lines their means, "
        "geometric ones of changes. Right: the norm of the change of each kernel over "
        "the norm it began with.",
    )
    left, right = figure.subplots(1, 2)
    _race(left, metrics)
    _changes(right, metrics)
    return figure


def _starving(metrics: Metrics) -> "Figure":
    """Whether the first layer keeps up, and whether anything is learned, by rate."""
    figure = new_figure(
        9,
        3.6,
        f"{learning.DEEP} hidden layers of sigmoids by SGD at every rate; a dot per "
        "seed, lines through the means. Left: log10 of the relative change of the "
        "first hidden kernel over that of the last; gray: within a tenth to ten times. "
        "Right: the train error where that was measured; dotted: chance.",
    )
    panels = figure.subplots(1, 2)
    shows = ("change-ratios-by-rate", "errors-by-rate")
    names = ("log10 of first over last change", "train error, %")
    titles = ("Does the first layer keep up?", "Is anything learned?")
    for place, (axes, name) in enumerate(zip(panels, shows, strict=True)):
        values = shown(metrics, name)  # [rate, seed]
        style = {"color": COLORS[place], "marker": MARKERS[place]}
        axes.plot(learning.RATES, values, ls="", ms=3, alpha=0.5, **style)
        axes.plot(learning.RATES, values.mean(1), ms=6, **style)
        axes.set_xscale("log")
        axes.set_xlabel("learning rate of SGD")
        axes.set_ylabel(names[place])
        axes.set_title(titles[place])
    panels[0].axhspan(-1, 1, color=SHADE, lw=0, zorder=0)
    panels[1].axhline(90, color=COLORS[6], ls=":", lw=1)
    panels[1].set_ylim(0, 100)
    return figure


def _race(axes: "Axes", metrics: Metrics) -> None:
    errors = shown(metrics, "train-errors")  # [arm, seed, step]
    took = shown(metrics, "steps-to-goal")
    steps = np.arange(1, errors.shape[-1] + 1)
    for place, name in enumerate(learning.RACERS):
        color = COLORS[place]
        for seed in errors[place]:
            axes.plot(steps, seed, color=color, alpha=0.25, lw=0.8)
        middle = np.exp(np.log(took[place]).mean())
        label = f"{name}: {middle:.0f} steps"
        axes.plot(steps, errors[place].mean(0), color=color, label=label)
    goal = 100 * learning.GOAL
    axes.axhline(goal, color=COLORS[6], ls=":", lw=1)
    axes.annotate(
        f"{goal:.0f} %",
        (steps[-1], goal),
        (0, 3),
        textcoords="offset points",
        ha="right",
        fontsize=8,
    )
    axes.set_xscale("log")
    axes.set_ylim(0, 100)
    axes.set_xlabel("steps of SGD")
    axes.set_ylabel("train error, %")
    axes.set_title(f"How fast {learning.SHALLOW} hidden layers learn")
    axes.legend(loc="lower left", fontsize=8)


def _changes(axes: "Axes", metrics: Metrics) -> None:
    place = 0
    for optimizer, dash in (("sgd", "-"), ("adam", "--")):
        moved = shown(metrics, f"changes/{optimizer}")[..., : learning.DEEP]
        layers = np.arange(1, learning.DEEP + 1)
        for name, each in zip(learning.LEARNERS[optimizer], moved, strict=True):
            style = {"color": COLORS[place], "marker": MARKERS[place]}
            for seed in each:
                axes.plot(layers, seed, ls="", ms=3, alpha=0.4, **style)
            mean = np.exp(np.log(each).mean(0))
            label = f"{name}, {'SGD' if optimizer == 'sgd' else 'Adam'}"
            axes.plot(layers, mean, ls=dash, ms=5, label=label, **style)
            place += 1
    axes.set_yscale("log")
    axes.set_xticks(range(1, learning.DEEP + 1))
    axes.set_xlabel("hidden layer, 1 next to the pixels")
    axes.set_ylabel("relative change of the kernel")
    axes.set_title("Which layers learn")
    axes.set_ylim(top=40)  # room for the legend
    axes.legend(fontsize=8, ncols=2, loc="upper right")


def _optima(metrics: Metrics) -> "Figure":
    figure = new_figure(
        6,
        3.8,
        f"Nets of {optima.WIDTH} units per layer, trained on digits until the gradient "
        "is below a thousandth of that at the start; a dot per restart of all seeds, "
        "a line through the geometric means.",
    )
    axes = figure.subplots()
    losses = shown(metrics, "optima")  # [seed, depth, restart]
    for place, layers in enumerate(optima.DEPTHS):
        every = losses[:, place].ravel()
        x = spread(layers, len(every))
        axes.plot(x, every, ls="", marker="o", ms=3, alpha=0.4, color=COLORS[0])
    mean = np.exp(np.log(losses).mean((0, 2)))
    axes.plot(optima.DEPTHS, mean, color=COLORS[1], marker="s", label="mean")
    best = losses.min((0, 2))
    axes.plot(optima.DEPTHS, best, color=COLORS[2], marker="^", ls="--", label="best")
    numbers = shown(metrics, "optima-parameters")
    names = [f"{d}\n{n}" for d, n in zip(optima.DEPTHS, numbers, strict=True)]
    axes.set_xticks(optima.DEPTHS, names)
    axes.set_xlabel("hidden layers, and parameters")
    axes.set_ylabel("train loss at the end, nats")
    axes.set_title("Where small nets end")
    axes.legend(fontsize=8)
    return figure


def _gradients_by_layer(axes: "Axes", metrics: Metrics) -> None:
    for place, name in enumerate(residual.DESIGNS):
        profile = shown(metrics, f"gradient-by-layer/{name}")
        axes.plot(
            np.arange(1, len(profile) + 1),
            profile - profile[-1],
            color=COLORS[place],
            marker=MARKERS[place],
            ms=4,
            label=name.replace("-", ", "),
        )
    axes.axhspan(-1, 1, color=SHADE, lw=0)
    axes.set_xlabel("layer")
    axes.set_ylabel("log10 of the gradient\nover that of the last layer")
    axes.set_title("At initialization")
    axes.legend(fontsize=8)


def _learned(axes: "Axes", metrics: Metrics) -> None:
    for place, name in enumerate(residual.RATES):
        errors = np.asarray(metrics[f"train-error/{name}"])
        mean = errors.mean()
        dots(axes, place, errors, mean, COLORS[place], f"{mean:.2f} %")
    axes.set_xticks(range(len(residual.RATES)), list(residual.RATES))
    axes.set_xlim(-0.6, len(residual.RATES) - 0.4)
    axes.set_ylim(0, max(1.1 * axes.get_ylim()[1], 1))
    number = len(shown(metrics, "gradient-by-layer/plain")) + 1
    steps = int(shown(metrics, "resnet-steps")[0])
    axes.set_ylabel("train error, %")
    axes.set_title(f"{number} layers with batch norm, {steps} steps")
