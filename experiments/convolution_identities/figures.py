"""The figures of the report, drawn from the metrics alone."""

from typing import TYPE_CHECKING, cast

import numpy as np

from experiments.convolution_identities.answer import answer
from experiments.convolution_identities.denoising import FILTERS, LEVELS
from experiments.harness.claims import Grid, Metrics
from experiments.harness.figures import COLORS, new_figure, shown

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LEAST = 1e-17  # where a distance of exactly 0 is drawn


def plot(metrics: Metrics) -> "dict[str, Figure]":
    """Every figure; the first is the answer at a glance."""
    return {
        "answer": answer(metrics),
        "uses-of-pixels": _uses(metrics),
        "matrix": _matrix(metrics),
        "flip": _flip(metrics),
        "sizes": _sizes(metrics),
        "denoising": _denoising(metrics),
    }


def _uses(metrics: Metrics) -> "Figure":
    """How often each pixel of one small map is used, a number in every pixel."""
    figure = new_figure(
        9,
        3.4,
        "To how many products each pixel of a 6 x 6 map contributes under a 3 x 3 "
        "kernel. Without padding a corner is used once and the interior nine times; "
        "full padding uses all alike, but only at stride 1.",
    )
    titles = ("no padding", "full padding", "full padding, stride 2")
    uses = np.asarray(metrics["uses"])[0]
    for axes, title, image in zip(figure.subplots(1, 3), titles, uses, strict=True):
        drawn = axes.imshow(image, vmin=0, vmax=9, cmap="cividis")
        for (row, column), value in np.ndenumerate(image):
            shade = "white" if value < 5 else "black"
            axes.text(
                column, row, f"{value:.0f}", color=shade, ha="center", va="center"
            )
        axes.set_title(title)
        axes.set_xlabel("column, px")
        axes.set_xticks(range(6))
        axes.set_yticks(range(6))
        axes.set_ylabel("row, px")
    figure.colorbar(drawn, ax=figure.axes, label="products per pixel", shrink=0.9)
    return figure


def _matrix(metrics: Metrics) -> "Figure":
    """The dense matrix of one convolution, and the layouts of im2col."""
    figure = new_figure(
        9,
        4.4,
        "Left: the dense layer that a convolution is (6 x 6 map, 3 x 3 kernel, zero "
        "padding of 1): 36 x 36 weights, of which all but a few are 0 and the others "
        "are nine numbers over and over. Right: im2col as the note draws it, a column "
        "per window, so that the rows follow the kernel.",
    )
    left, right = figure.subplots(1, 2)
    matrix = np.asarray(metrics["matrix"])[0]
    top = np.abs(matrix).max()
    nonzero = np.where(matrix == 0, np.nan, matrix)
    left.set_facecolor("0.93")
    drawn = left.imshow(nonzero, cmap="RdBu_r", vmin=-top, vmax=top)
    left.set_title("a convolution as a matrix (gray: 0)")
    left.set_xlabel("input pixel")
    left.set_ylabel("output pixel")
    figure.colorbar(drawn, ax=left, label="weight", shrink=0.7)
    pixels = shown(metrics, "im2col/pixels")
    right.imshow(np.ones_like(pixels), cmap="gray", vmin=0, vmax=1)
    for (row, column), value in np.ndenumerate(pixels):
        right.text(column, row, f"{value:.0f}", ha="center", va="center", fontsize=7)
    right.set_title("the 9 x 16 matrix of im2col, by pixel number")
    right.set_xlabel("window")
    right.set_ylabel("element of the kernel")
    return figure


def _flip(metrics: Metrics) -> "Figure":
    """The distance of two trainings over the steps, and what they learn."""
    figure = new_figure(
        9,
        3.8,
        "Two nets learn the digits; one correlates, one convolves by Fourier "
        "transforms. Started with the flipped kernel they take the same way, one "
        "flipped of the other, to rounding in float64; started with the same kernel "
        "they do not. Every line is a seed. Right: one kernel of each after training, "
        "seed 0.",
    )
    axes, *kernels = figure.subplots(1, 3, width_ratios=(2.6, 1, 1))
    for name, color in (("unflipped", COLORS[1]), ("flipped", COLORS[0])):
        grid = cast(Grid, metrics[f"flip-is-learned-away/{name}"])
        steps = np.arange(1, grid.values.shape[1] + 1)
        for seed, values in enumerate(grid.values):
            label = f"starts {name}" if seed == 0 else None
            axes.plot(steps, np.maximum(values, LEAST), color=color, lw=1, label=label)
    axes.axhline(1e-4, color="black", lw=1, ls="--")
    axes.text(1, 1.6e-4, "tolerance", fontsize=9)
    axes.set_yscale("log")
    axes.set_ylim(LEAST, 10)
    axes.set_xlabel("training step")
    axes.set_ylabel("distance of the nets, relative")
    axes.legend(loc="center right")
    pair = np.asarray(metrics["kernels"])[0]
    top = np.abs(pair).max()
    for panel, kernel, title in zip(
        kernels, pair, ("correlating", "convolving"), strict=True
    ):
        drawn = panel.imshow(kernel, cmap="RdBu_r", vmin=-top, vmax=top)
        panel.set_title(title)
        panel.set_xticks(range(len(kernel)))
        panel.set_yticks(range(len(kernel)))
    figure.colorbar(drawn, ax=kernels, label="weight", shrink=0.6)
    return figure


def _sizes(metrics: Metrics) -> "Figure":
    """Several input sizes share an output size; the note's formula names one."""
    figure = new_figure(
        9,
        3.8,
        "A convolution of stride 3 (kernel 3, padding 1) takes up to three input sizes "
        "to one output size. The formula i = (o-1)s + k - 2p names the smallest of "
        "them, which is why a transposed convolution has to be told its output shape.",
    )
    axes = figure.subplots()
    out, inputs = np.asarray(metrics["inputs-of-outputs"])[0].T
    stated = (out - 1) * 3 + 3 - 2
    right = inputs == stated
    axes.plot(
        out[~right],
        inputs[~right],
        "X",
        color=COLORS[1],
        ms=8,
        label="formula is wrong",
    )
    axes.plot(out[right], inputs[right], "o", color=COLORS[0], ms=8, label="is right")
    axes.plot(np.unique(out), np.unique(stated), color=COLORS[0], lw=1)
    axes.set_xlabel("output size o of the convolution, px")
    axes.set_ylabel("input size i, px")
    axes.set_xticks(np.unique(out))
    axes.set_yticks(np.unique(stated))
    axes.legend(loc="upper left")
    axes.set_title("From the output size the input size does not follow")
    return figure


def _denoising(metrics: Metrics) -> "Figure":
    """Error ratios over the noise, a line per photograph, a panel per filter."""
    figure = new_figure(
        9,
        4.2,
        "Root mean square error after filtering over before, one line per photograph "
        "(13) and their geometric mean. Below 1 averaging helps; little noise is worth "
        "less than the detail that the average costs.",
    )
    ratios = shown(metrics, "error-ratios")
    panels = figure.subplots(1, len(FILTERS), sharey=True)
    for index, (axes, name) in enumerate(zip(panels, FILTERS, strict=True)):
        every = ratios[..., index]
        axes.plot(LEVELS, every.T, color="0.7", lw=0.8)
        mean = np.exp(np.log(every).mean(0))
        axes.plot(LEVELS, mean, color=COLORS[0], marker="o", lw=2, label="mean")
        axes.axhline(1, color="black", lw=1, ls="--")
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_xticks(LEVELS, [f"{level:g}" for level in LEVELS])
        axes.set_yticks([0.25, 0.5, 1, 2, 4], ["1/4", "1/2", "1", "2", "4"])
        axes.minorticks_off()
        axes.set_title(name)
        axes.set_xlabel("noise sd, of full scale")
    panels[0].set_ylabel("error, filtered / raw")
    panels[0].legend(loc="upper right")
    return figure
