"""The figures of the report, drawn from the metrics alone."""

from typing import TYPE_CHECKING

import numpy as np

from experiments.harness.claims import Metrics
from experiments.harness.figures import COLORS, dots, new_figure, shown, spread
from experiments.harness.intervals import ratio_interval
from experiments.long_range_memory.claims import MADE
from experiments.long_range_memory.results import PUBLISHED_NETS, published
from experiments.long_range_memory.timing import UNSHARED

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TITLES = {
    "copy": "copy memory",
    "adding": "adding",
    "sequential": "digits row by row",
    "permuted": "digits in a fixed order",
}
OURS = {"LSTM": "lstm", "GRU": "gru", "RNN": "rnn", "TCN": "dilated"}
LEAST = 1e-4  # below it a loss is drawn at the edge


def plot(metrics: Metrics) -> "dict[str, Figure]":
    """Every figure; the first is the answer at a glance."""
    figures = {"answer": _answer(metrics), "learning": _learning(metrics)}
    figures["published"] = _published(metrics)
    if "step-seconds" in metrics:
        figures["seconds"] = _seconds(metrics)
    return figures


def _names(metrics: Metrics, name: str) -> list[str]:
    return shown(metrics, name).tolist()


def _answer(metrics: Metrics) -> "Figure":
    tasks = _names(metrics, "tasks")
    figure = new_figure(
        3.2 * len(tasks) + 0.6,
        3.9,
        "Copy memory and adding: test loss over the blind guess's, a dot per seed and "
        "the 95 % interval of the geometric mean. Above 0.9: no better than blind "
        "after this training; below 0.1: the whole sequence is used. Digits: percent "
        "right, a bar for the mean.",
    )
    panels = figure.subplots(1, len(tasks), squeeze=False)[0]
    for axes, task in zip(panels, tasks, strict=True):
        if task in MADE:
            _ratios(axes, metrics, task)
        else:
            _accuracies(axes, metrics, task)
        names = _names(metrics, "nets")
        axes.set_xticks(range(len(names)), names, rotation=35, ha="right")
        axes.set_xlim(-0.6, len(names) - 0.4)
    return figure


def _ratios(axes: "Axes", metrics: Metrics, task: str) -> None:
    ratios = np.maximum(shown(metrics, f"loss/{task}"), LEAST)
    for index, each in enumerate(ratios):
        mean = float(np.exp(np.log(each).mean()))
        _dots(axes, index, each, mean)
        if len(each) > 1:
            low, high = map(float, ratio_interval(each.astype(float)))
            ends = [max(low, LEAST / 2), high]
            axes.plot([index, index], ends, color=COLORS[index], lw=2)
    axes.set_yscale("log")
    axes.set_ylim(LEAST / 2, max(3, 1.3 * float(np.nanmax([1, *ratios.flat]))))
    _lines(axes)
    ticks = {1e-4: "≤0.0001", 1e-3: "0.001", 1e-2: "0.01", 0.1: "0.1", 0.9: "0.9"}
    axes.set_yticks(list(ticks), list(ticks.values()))
    axes.minorticks_off()
    axes.set_title(f"{TITLES[task]}: loss over blind guess")


def _lines(axes: "Axes") -> None:
    """The blind guess, and the thresholds of the claims."""
    for place, style in ((1.0, ":"), (0.9, "--"), (0.1, "--")):
        axes.axhline(place, color=COLORS[6], ls=style, lw=0.8, zorder=0)


def _accuracies(axes: "Axes", metrics: Metrics, task: str) -> None:
    for index, each in enumerate(shown(metrics, f"right/{task}")):
        mean = float(each.mean())
        _dots(axes, index, each, mean, f"{mean:.0f}")
    chance = float(shown(metrics, f"chance/{task}")[1])
    axes.axhline(chance, color=COLORS[6], ls=":", lw=0.8, zorder=0)
    axes.annotate(
        "chance",
        (1, chance),
        (-2, -9),
        xycoords=axes.get_yaxis_transform(),
        textcoords="offset points",
        ha="right",
        fontsize=8,
    )
    axes.set_ylim(0, 107)
    axes.set_title(f"{TITLES[task]}: % right")


def _dots(
    axes: "Axes", place: int, values: np.ndarray, mean: float, text: str = ""
) -> None:
    """A dot for every seed that has a value, and how many diverged; then no mean."""
    left = values[np.isfinite(values)]
    diverged = len(values) - len(left)
    if diverged:
        mean, text = np.nan, f"{diverged} diverged"
    if len(left):
        dots(axes, place, left, mean, COLORS[place], text)
    else:
        axes.annotate(text, (place, 1), ha="center", fontsize=8)


def _learning(metrics: Metrics) -> "Figure":
    """Validation loss over the blind guess's on the way."""
    tasks = _names(metrics, "tasks")
    figure = new_figure(
        3.2 * len(tasks) + 0.6,
        3.6,
        "Validation loss over the blind guess's during training, the geometric mean "
        "over seeds with every seed as a faint line. Dashed: 0.9 and 0.1; dotted: the "
        "blind guess.",
    )
    panels = figure.subplots(1, len(tasks), squeeze=False)[0]
    for axes, task in zip(panels, tasks, strict=True):
        curves = np.maximum(shown(metrics, f"curves/{task}"), LEAST)
        budget = 100 * np.arange(1, curves.shape[-1] + 1) / curves.shape[-1]
        for index, (name, seeds) in enumerate(
            zip(_names(metrics, "nets"), curves, strict=True)
        ):
            axes.plot(budget, seeds.T, color=COLORS[index], lw=0.6, alpha=0.35)
            mean = np.exp(np.log(seeds).mean(0))
            axes.plot(budget, mean, color=COLORS[index], label=name)
        if task in MADE:
            _lines(axes)
        axes.set_yscale("log")
        axes.set_xlabel("training steps, % of the budget")
        axes.set_title(TITLES[task])
    panels[0].set_ylabel("validation loss over blind guess")
    panels[0].legend(loc="lower left", fontsize=8)
    return figure


def _published(metrics: Metrics) -> "Figure":
    """Table 1 of Bai et al. beside ours, one panel per task."""
    figure = new_figure(
        11,
        3.4,
        "Ours (filled) beside Bai et al. 2018 (hollow). Theirs: MNIST, adding T = 600, "
        "copy memory T = 1,000, about 70,000 parameters (16,000 on copy memory), "
        "longer training, weight normalization and dropout; ours as in the tables. "
        "Digits: percent right; others: their loss over chance, ours over the blind "
        "guess's. Dotted: chance.",
    )
    rows = {"sequential": 0, "permuted": 1, "adding": 2, "copy": 3}
    panels = figure.subplots(1, len(rows))
    for axes, (task, row) in zip(panels, rows.items(), strict=True):
        made = task in MADE
        least = LEAST if made else 0
        values = np.maximum(published()[row], least)
        axes.plot(range(len(values)), values, "o", mfc="white", color=COLORS[6], ms=8)
        for index, each in _beside(metrics, task):
            places = spread(index, len(each))
            axes.plot(places, np.maximum(each, least), "o", color=COLORS[0], ms=4)
        axes.axhline(1.0 if made else 10.0, color=COLORS[6], ls=":", lw=0.8)
        axes.set_xticks(range(len(values)), PUBLISHED_NETS)
        axes.set_xlim(-0.5, len(values) - 0.5)
        axes.set_title(f"{TITLES[task]}: {'loss/blind' if made else '%'}")
        if made:
            axes.set_yscale("log")
        axes.set_ylim(*((LEAST / 2, None) if made else (0, 105)))
    return figure


def _beside(metrics: Metrics, task: str) -> list[tuple[int, np.ndarray]]:
    """Our numbers of each published net that was trained on the task, by its place."""
    if task not in _names(metrics, "tasks"):
        return []
    names = _names(metrics, "nets")
    table = shown(metrics, f"{'loss' if task in MADE else 'right'}/{task}")
    return [
        (index, table[names.index(OURS[name])])
        for index, name in enumerate(PUBLISHED_NETS)
        if OURS[name] in names
    ]


def _seconds(metrics: Metrics) -> "Figure":
    figure = new_figure(
        6,
        2.8,
        "Milliseconds of one training step on copy memory, 32 sequences, equal "
        "parameters (the unshared net has the dilated net's shape with an own kernel "
        "at every step, and as many times its parameters), without compilation.",
    )
    axes = figure.subplots()
    values = shown(metrics, "step-seconds")
    names = [*_names(metrics, "nets"), UNSHARED]
    axes.barh(range(len(names)), values, color=COLORS[: len(names)], height=0.65)
    for place, value in enumerate(values.tolist()):
        axes.annotate(
            f"{value:.1f}", (value, place), (4, -3), textcoords="offset points"
        )
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.set_xlim(0, 1.12 * float(values.max()))
    axes.set_xlabel("ms per training step")
    return figure
