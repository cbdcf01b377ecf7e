"""The figures of the report, drawn from the metrics alone."""

from typing import TYPE_CHECKING

import numpy as np

from experiments.gradient_vanishing import (
    depths,
    figures_of_depth,
    figures_of_recall,
    memories,
    recurrence,
)
from experiments.gradient_vanishing.recurrence import EXPLODED_LOG_NORM
from experiments.harness.claims import Metrics
from experiments.harness.figures import COLORS, MARKERS, SHADE, new_figure, shown

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def plot(metrics: Metrics) -> "dict[str, Figure]":
    """Every figure of what was measured; the first is the answer at a glance."""
    figures = {}
    if "growth" in metrics:
        figures = {"answer": _answer(metrics), "layers": _layers(metrics)}
    figures |= figures_of_depth.plots(metrics)
    if "growth" in metrics:
        figures |= {
            "memories": _memories(metrics),
            "explosions": _explosions(metrics),
            "gates": _gates(metrics),
        }
    return figures | figures_of_recall.plots(metrics)


def _answer(metrics: Metrics) -> "Figure":
    figure = new_figure(
        12,
        4.8,
        "The norm of the gradient between two steps over their distance, mean of the "
        "seeds of its logarithm: straight lines are exponential. Left: RNNs without "
        "inputs. Right: LSTMs with random inputs, from cell to cell. Gray: within 10⁻³ "
        "to 10³.",
    )
    left, right = figure.subplots(1, 2)
    growth = shown(metrics, "growth").mean(0)
    for place in np.argsort(-growth[:, -1]):  # the legend in the order of the lines
        arm = recurrence.ARMS[place]
        left.plot(recurrence.DISTANCES, growth[place], **_style_of_net(arm))
    norms = shown(metrics, "memory-norms").mean(0)
    for row, bias in enumerate(memories.BIASES):
        for gain, dash in ((1, "-"), (8, "--")):
            arm = f"{bias}-{gain}"
            values = norms[memories.ARMS.index(arm)]
            label = f"forget bias {bias}, gain {gain}"
            style = {"color": COLORS[row], "ls": dash, "label": label}
            right.plot(memories.DISTANCES, values, **style)
    left.set_title("Plain RNNs: exponential away from gain 1,\nisometries not at all")
    right.set_title(
        "LSTMs: a large forget bias keeps the gradient,\na large gain explodes"
    )
    for axes in (left, right):
        axes.set_ylabel("log10 of the gradient's norm")
        axes.axhspan(-EXPLODED_LOG_NORM, EXPLODED_LOG_NORM, color=SHADE, lw=0)
        axes.set_xlabel("distance, steps")
        axes.legend(
            loc="upper left", bbox_to_anchor=(1.0, 1.0), fontsize=8, handlelength=2.6
        )
    return figure


def _style_of_net(arm: str) -> dict:
    """Color by activation, dashes by gain; the first of two that may agree is wide."""
    if arm in recurrence.ISOMETRIES:
        wide = arm == recurrence.ISOMETRIES[0]
        color, dash, label = COLORS[6], "-" if wide else ":", arm.replace("-", ", ")
    else:
        activation, gain = arm.split("-")
        wide = activation == recurrence.ACTIVATIONS[0]
        color = COLORS[recurrence.ACTIVATIONS.index(activation)]
        dash = (":", "--", "-")[list(map(str, recurrence.GAINS)).index(gain)]
        label = f"{activation}, gain {gain}"
    width, alpha = (4, 0.5) if wide else (1.6, 1)
    return {"color": color, "ls": dash, "label": label, "lw": width, "alpha": alpha}


def _layers(metrics: Metrics) -> "Figure":
    figure = new_figure(
        9,
        6.4,
        "The gradient that reaches the first of 20 layers or steps over that of the "
        "last; a dot per seed, a bar for the mean. Gray: neither a tenth nor ten "
        "times.",
    )
    logs = shown(metrics, "log-ratios")  # [seed, activation, init, net]
    rows = figure.subplots(2, 1)
    for row, what in enumerate(("MLP, layers", "RNN, steps")):
        _ratios(rows[row], logs[..., row], what)
    rows[0].legend(fontsize=8, loc="lower center", ncols=3)
    return figure


def _ratios(axes: "Axes", logs: np.ndarray, what: str) -> None:
    """Groups of activations, one mark per initialization."""
    names = list(depths.ACTIVATIONS)
    axes.axhspan(-1, 1, color=SHADE, lw=0)
    for column, init in enumerate(depths.INITS):
        place = np.arange(len(names)) + 0.26 * (column - 1)
        style = {"color": COLORS[column], "ls": ""}
        for seed in logs[..., column]:
            axes.plot(place, seed, marker=".", ms=4, alpha=0.5, **style)
        mean = logs[..., column].mean(0)
        axes.plot(
            place, mean, marker=MARKERS[column], ms=6, label=_named(init), **style
        )
    axes.set_xticks(range(len(names)), names, fontsize=8)
    axes.set_ylabel("log10 of first\nover last gradient")
    axes.set_title(f"{what} 1 and {depths.LAYERS}")


def _named(init: str) -> str:
    """Initializations by the names of people begin with a capital."""
    return init if init == "orthogonal" else init.capitalize()


def _memories(metrics: Metrics) -> "Figure":
    figure = new_figure(
        8,
        4.4,
        f"log10 of the norm of the gradient over {memories.FAR} steps by the gain of "
        "the recurrent kernels, with random inputs; a dot per seed, lines through the "
        "means. Gray: within 10⁻³ to 10³.",
    )
    axes = figure.subplots()
    axes.axhspan(-3, 3, color=SHADE, lw=0)
    norms = shown(metrics, "memory-norms")[..., -1]  # [seed, arm]
    by_bias = norms.reshape(len(norms), len(memories.BIASES), len(memories.GAINS))
    others = shown(metrics, "norms-of-others")
    lines = [
        *((f"LSTM, bias {b}", by_bias[:, i]) for i, b in enumerate(memories.BIASES)),
        *((name, others[:, i]) for i, name in enumerate(memories.WITHOUT)),
    ]
    for place, (name, values) in enumerate(lines):
        style = {"color": COLORS[place], "marker": MARKERS[place]}
        for seed in values:
            axes.plot(memories.GAINS, seed, ls="", ms=3, alpha=0.4, **style)
        axes.plot(memories.GAINS, values.mean(0), ms=6, label=name, **style)
    axes.set_xscale("log", base=2)
    axes.set_xticks(memories.GAINS, list(map(str, memories.GAINS)))
    axes.set_xlabel("gain of the recurrent kernels (1: flax's draw)")
    axes.set_ylabel("log10 of the gradient's norm")
    axes.legend(fontsize=8, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return figure


def _explosions(metrics: Metrics) -> "Figure":
    logs = shown(metrics, "sigmoid-norms")  # [draw, arm]
    distance = recurrence.EXPLOSION_DISTANCE
    figure = new_figure(
        8,
        4,
        f"Norms of the gradient over {distance} steps of sigmoid RNNs, a dot per draw "
        "of the kernel, and the share of draws above 10³ (gray line).",
    )
    axes = figure.subplots()
    axes.axhline(EXPLODED_LOG_NORM, color="#999999", lw=1)
    above = {"textcoords": "offset points", "fontsize": 8}
    axes.annotate("above this: exploded", (-0.45, EXPLODED_LOG_NORM), (0, 3), **above)
    spread = np.linspace(-0.14, 0.14, len(logs))
    top = logs.max()
    for place, arm in enumerate(recurrence.EXPLOSION_ARMS):
        row, column = divmod(place, len(recurrence.BIASES))
        x = row + 0.4 * column - 0.2
        label = recurrence.BIASES[column].replace("-", " ") if row == 0 else None
        style = {"color": COLORS[column], "marker": MARKERS[column], "label": label}
        axes.plot(x + spread, logs[:, place], ls="", ms=3, alpha=0.6, **style)
        share = np.mean(np.asarray(metrics[f"exploded/{arm}"])[:, 0])
        axes.annotate(
            f"{100 * share:.0f} %", (x, top * 1.1 + 8), ha="center", fontsize=8
        )
    gains = recurrence.EXPLOSION_GAINS
    axes.set_xticks(range(len(gains)), list(map(str, gains)))
    axes.set_ylim(top=top * 1.1 + 30)
    axes.set_xlabel("gain of the recurrent kernel")
    axes.set_ylabel("log10 of the gradient's norm")
    axes.legend(fontsize=8, loc="lower right")
    return figure


def _gates(metrics: Metrics) -> "Figure":
    counts = shown(metrics, "gate-histograms")  # [bias, bin]
    shares = shown(metrics, "saturated-gates")[:, memories.GATES.index("f")]
    figure = new_figure(
        10,
        2.8,
        "Values of the forget gate of an LSTM before training, over steps, units and "
        "seeds. Orange: within 0.1 of 0 or 1.",
    )
    panels = figure.subplots(1, len(counts), sharey=True)
    edges = np.linspace(0, 1, memories.BINS + 1)
    middle = (edges[:-1] + edges[1:]) / 2
    near = np.minimum(middle, 1 - middle) < 0.1
    for axes, bias, count, share in zip(
        panels, memories.BIASES, counts, shares, strict=True
    ):
        colors = [COLORS[1] if each else COLORS[0] for each in near]
        height = 100 * count / count.sum()
        axes.bar(middle, height, width=1 / memories.BINS, color=colors)
        axes.set_title(f"forget bias {bias}\n{share:.0f} % near 0 or 1", fontsize=9)
        axes.set_xlabel("forget gate")
        axes.set_xlim(0, 1)
        axes.set_xticks([0, 0.5, 1], ["0", "0.5", "1"])
    panels[0].set_ylabel("share, %")
    return figure
