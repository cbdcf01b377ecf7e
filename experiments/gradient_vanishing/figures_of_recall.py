"""The figures of recurrent nets in training, drawn from the metrics alone."""

from typing import TYPE_CHECKING, cast

import numpy as np

from experiments.gradient_vanishing import clipping, near_steps
from experiments.gradient_vanishing.memories import BINS, GATES
from experiments.gradient_vanishing.recall import CELLS, KINDS, LENGTH, NETS, TASKS
from experiments.harness.claims import Images, Metrics
from experiments.harness.figures import COLORS, MARKERS, SHADE, dots, new_figure, shown

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

CHANCE = 100 / KINDS  # %
HIGHEST = 1e6  # loss, beyond which it is drawn as not finite
NAMES = {
    "rnn": "RNN",
    "lstm": "LSTM",
    "gru": "GRU",
    "hard-tanh": "LSTM,\nhard tanh",
    "softsign": "LSTM,\nsoftsign",
    "clipped-linear-gates": "LSTM, gates\nclipped linear",
    "tanh-gates": "LSTM, gates\ntanh",
}


def plots(metrics: Metrics) -> "dict[str, Figure]":
    """Every figure of those rows that were measured."""
    draw = {
        "recall": ("recall/lstm", _recall),
        "near-steps": ("near-steps", _near_steps),
        "clipping": ("clipping-last", _clipping),
        "trained-gates": ("trained-gates", _trained_gates),
    }
    return {
        name: figure(metrics)
        for name, (metric, figure) in draw.items()
        if metric in metrics
    }


def _accuracy(metrics: Metrics, name: str) -> np.ndarray:
    return np.asarray(cast(Images, metrics[name]).values).mean(1)


def _recall(metrics: Metrics) -> "Figure":
    figure = new_figure(
        12,
        4.4,
        f"Left: how often nets name the first of {LENGTH} symbols. Right: how often a "
        "linear probe finds the first symbol in the last state, after training to name "
        "the first symbol or the last. A dot per net, a bar for the mean.",
    )
    left, right = figure.subplots(1, 2, width_ratios=(1.6, 1), sharey=True)
    for place, name in enumerate(NETS):
        _percents(left, place, _accuracy(metrics, f"recall/{name}"), COLORS[place])
    left.set_xticks(range(len(NETS)), list(NAMES.values()), fontsize=8)
    left.set_title(f"First-symbol recall, {LENGTH} steps")
    left.set_ylabel("accuracy, %")
    arms = [(cell, task) for cell in CELLS for task in TASKS]
    for place, (cell, task) in enumerate(arms):
        values = _accuracy(metrics, f"probe/{cell}-{task}")
        _percents(right, place, values, COLORS[list(NETS).index(cell)])
    asked = {"needed": "first", "unneeded": "last"}
    texts = [f"{NAMES[cell]},\n{asked[task]}" for cell, task in arms]
    right.set_xticks(range(len(arms)), texts, fontsize=8)
    right.set_xlabel("net, and the symbol that it was trained to name")
    right.set_title("First symbol, found in the last state")
    for axes in (left, right):
        axes.axhline(CHANCE, color=COLORS[6], ls=":", lw=1)
        axes.set_ylim(0, 108)
    left.annotate(
        "chance", (0.42, CHANCE), (0, -11), textcoords="offset points", fontsize=8
    )
    return figure


def _percents(axes: "Axes", place: int, values: np.ndarray, color: str) -> None:
    mean = float(values.mean())
    dots(axes, place, values, mean, color, f"{mean:.0f} %")


def _near_steps(metrics: Metrics) -> "Figure":
    profiles = shown(metrics, "near-steps")  # [seed, cell, step]
    figure = new_figure(
        8,
        4,
        "The gradient of first-symbol recall that reaches each step at the first "
        "update, over that of the last step; a line per seed. Gray: the last quarter, "
        "within which it has to halve.",
    )
    axes = figure.subplots()
    axes.axvspan(LENGTH - near_steps.NEAR, LENGTH - 1, color=SHADE, lw=0)
    axes.axhline(-np.log10(2), color=COLORS[6], ls=":", lw=1)
    axes.annotate(
        "half", (0, -np.log10(2)), (0, 3), textcoords="offset points", fontsize=8
    )
    for place, cell in enumerate(CELLS):
        for seed, profile in enumerate(profiles[:, place]):
            axes.plot(
                profile - profile[-1],
                color=COLORS[place],
                lw=1,
                alpha=0.7,
                label=NAMES[cell] if seed == 0 else None,
            )
    axes.set_xlabel("step")
    axes.set_ylabel("log10 of the gradient\nover that of the last step")
    axes.legend(fontsize=8)
    return figure


def _clipping(metrics: Metrics) -> "Figure":
    figure = new_figure(
        12,
        4.2,
        f"Loss after {clipping.STEPS} steps of gradient descent on a ReLU RNN whose "
        "gradients explode, a dot per run; above the gray line it is not finite or "
        "above 10⁶. Above the dots: how many runs diverged, and how many learned (a "
        f"loss below {clipping.LEARNED:g} of chance, which is dotted). Where both are "
        "0 %, nothing diverged and nothing was learned.",
    )
    axes = figure.subplots()
    top = 100 * HIGHEST
    _last_losses(axes, metrics, top)
    _shares_of_runs(axes, metrics, 3 * top)
    axes.set_yscale("log")
    axes.set_ylim(top=300 * top)
    axes.axhline(top / 6, color="#999999", lw=1)
    beyond = {"textcoords": "offset points", "fontsize": 8}
    axes.annotate("higher, or not finite", (0, top / 6), (0, 3), **beyond)
    axes.axhline(np.log(KINDS), color=COLORS[6], ls=":", lw=1)
    axes.set_xticks(range(len(clipping.RATES)), [f"{r:g}" for r in clipping.RATES])
    axes.set_xlabel("learning rate")
    axes.set_ylabel("loss at the end, nats")
    axes.legend(fontsize=8, loc="center left", bbox_to_anchor=(1.0, 0.5))
    return figure


def _place(rate: int, arm: int) -> float:
    """Where an arm stands on the axis of the rates."""
    return rate + 0.4 * arm - 0.2


def _last_losses(axes: "Axes", metrics: Metrics, top: float) -> None:
    last = shown(metrics, "clipping-last")  # [rate, arm, run]
    heights = np.where(last <= HIGHEST, last, top)  # not where it is not a number
    for rate, arm in np.ndindex(*last.shape[:2]):
        axes.plot(
            _place(rate, arm) + np.linspace(-0.15, 0.15, last.shape[2]),
            heights[rate, arm],
            MARKERS[arm],
            ms=3,
            alpha=0.6,
            color=COLORS[arm],
            label=list(clipping.ARMS)[arm] if rate == 0 else None,
        )


def _shares_of_runs(axes: "Axes", metrics: Metrics, height: float) -> None:
    """How many runs diverged, above how many learned."""
    gone = shown(metrics, "clipping-diverged")  # [rate, arm], as the next
    learned = shown(metrics, "clipping-learned")
    for rate, arm in np.ndindex(*gone.shape):
        shares = f"{gone[rate, arm]:.0f} %\n{learned[rate, arm]:.0f} %"
        axes.annotate(shares, (_place(rate, arm), height), ha="center", fontsize=8)
    beside = len(gone) - 0.5, height
    axes.annotate("diverged\nlearned", beside, fontsize=8, annotation_clip=False)


def _trained_gates(metrics: Metrics) -> "Figure":
    counts = shown(metrics, "trained-gate-histograms")  # [when, gate, bin]
    shares = shown(metrics, "trained-gates")
    figure = new_figure(
        10,
        4.6,
        "Values of an LSTM's gates before and after training on first-symbol recall, "
        "over steps, units, sequences and nets. Orange: within 0.1 of 0 or 1.",
    )
    panels = figure.subplots(2, len(GATES), sharex=True, sharey=True)
    middle = (np.arange(BINS) + 0.5) / BINS
    near = np.minimum(middle, 1 - middle) < 0.1
    colors = [COLORS[1] if each else COLORS[0] for each in near]
    titles = {"i": "input gate", "f": "forget gate", "o": "output gate"}
    for (row, column), axes in np.ndenumerate(panels):
        count = counts[row, column]
        axes.bar(middle, 100 * count / count.sum(), width=1 / BINS, color=colors)
        name = titles[GATES[column]] if row == 0 else ""
        share = f"{shares[row, column]:.0f} % near 0 or 1"
        axes.set_title(f"{name}\n{share}" if name else share, fontsize=9)
    for axes, when in zip(panels[:, 0], ("before", "after"), strict=True):
        axes.set_ylabel(f"{when} training\nshare, %")
    for axes in panels[-1]:
        axes.set_xlabel("value")
        axes.set_xlim(0, 1)
    return figure
