"""The figure that shows every verdict at a glance."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from experiments.convolution_identities.claims import CLAIMS
from experiments.harness.claims import Claim, Metrics, is_tolerance
from experiments.harness.figures import COLORS, new_figure
from experiments.harness.samples import evaluations
from experiments.harness.verdicts import judge

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FLOOR = 1e-10  # where an error of exactly 0 is drawn
SHADES = {"supported": COLORS[0], "refuted": COLORS[1]}
MARKERS = {"supported": "o", "refuted": "X"}
TOTAL = "averaging-denoises/total-error"
CAPTION = (
    "Blue circles: statements that hold; orange crosses: statements that do not. Left: "
    "relative error of two sides, every case and seed a dot, the worst one large; the "
    "bar is the tolerance that it has to stay left of. Right: in how many of the "
    "counted cases the statement holds. Below: error of noisy photographs, filtered "
    "over raw, a dot each, with the 95 % interval of the mean."
)


def answer(metrics: Metrics) -> "Figure":
    """Errors against their tolerances, counts as shares of cases, photographs."""
    figure = new_figure(12, 7.4, CAPTION)
    panels = figure.subplot_mosaic(
        [["errors", "counts"], ["errors", "photographs"]],
        width_ratios=(1.15, 1),
        height_ratios=(1, 0.1),
    )
    verdicts = {each.id: each for each in judge(CLAIMS, metrics)}
    found = {name: each.verdict for name, each in verdicts.items()}
    rounding = [
        claim
        for claim in CLAIMS
        if any(is_tolerance(r, claim.kind) for r in claim.rules)
    ]
    counted = [claim for claim in CLAIMS if claim not in rounding and claim.id != TOTAL]
    _errors(panels["errors"], rounding, metrics, found)
    _counts(panels["counts"], counted, metrics, found)
    (finding,) = verdicts[TOTAL].findings
    interval = (finding.low, finding.mean, finding.high)
    _photographs(panels["photographs"], metrics, interval, found[TOTAL])
    return figure


def _errors(
    axes: "Axes", claims: list[Claim], metrics: Metrics, verdicts: Mapping[str, str]
) -> None:
    """One row per law: its errors, the worst one, its tolerance."""
    jitter = np.random.default_rng(0)
    for row, claim in enumerate(claims):
        rule = next(r for r in claim.rules if is_tolerance(r, claim.kind))
        values = np.maximum(evaluations(rule, metrics[rule.metric]).ravel(), FLOOR)
        color, marker = _look(verdicts[claim.id])
        height = row + jitter.uniform(-0.25, 0.25, values.size)
        axes.plot(values, height, ".", ms=3, alpha=0.3, color=color, rasterized=True)
        axes.plot(values.max(), row, marker, ms=9, color=color, mec="white")
        axes.vlines(rule.threshold or 0, row - 0.42, row + 0.42, color="black", lw=1.5)
    axes.set_xscale("log")
    axes.set_xlim(FLOOR / 2, 10)
    axes.set_xticks(
        [FLOOR, 1e-8, 1e-6, 1e-4, 1e-2, 1], ["0", "1e-8", "1e-6", "1e-4", "0.01", "1"]
    )
    axes.minorticks_off()
    axes.set_xlabel("relative error ‖left - right‖ / ‖right‖")
    axes.set_title("Do the two sides agree? (bar: tolerance)")
    _rows(axes, claims)


def _counts(
    axes: "Axes", claims: list[Claim], metrics: Metrics, verdicts: Mapping[str, str]
) -> None:
    """One row per count: the share of cases in which the statement holds."""
    for row, claim in enumerate(claims):
        holds, cases = _cases(claim, metrics)
        color, marker = _look(verdicts[claim.id])
        share = 100 * holds / cases
        axes.plot([0, share], [row, row], color=color, lw=3, solid_capstyle="butt")
        axes.plot(share, row, marker, ms=9, color=color, mec="white", clip_on=False)
        axes.text(106, row, f"{holds:,} of {cases:,}", va="center", fontsize=8)
    axes.set_xlim(0, 104)
    axes.set_xticks([0, 25, 50, 75, 100])
    axes.set_xlabel("cases in which the statement holds, %")
    axes.set_title("In how many cases does it hold?")
    _rows(axes, claims)


def _cases(claim: Claim, metrics: Metrics) -> tuple[int, int]:
    """(cases in which the statement holds, cases)."""
    if f"cases/{claim.id}" in metrics:
        holds, cases = np.asarray(metrics[f"cases/{claim.id}"])[0]
        return int(holds), int(cases)
    right = [
        evaluations(rule, metrics[rule.metric]) == rule.threshold
        for rule in claim.rules
    ]
    every = np.concatenate([each.ravel() for each in right])
    return int(every.sum()), every.size


def _photographs(axes: "Axes", metrics: Metrics, interval: tuple, verdict: str) -> None:
    """A dot per photograph, the interval of the mean, and 1, where nothing is won."""
    ratios = np.asarray(metrics[TOTAL])
    color, _ = _look(verdict)
    axes.plot(ratios, np.zeros_like(ratios), "o", ms=5, alpha=0.5, color=color)
    low, mean, high = interval
    axes.plot([low, high], [0, 0], color=color, lw=3)
    axes.plot(mean, 0, "D", ms=8, color=color, mec="white")
    axes.axvline(1, color="black", lw=1.5)
    axes.set_xlim(0, 1.2)
    axes.set_ylim(-0.7, 0.7)
    axes.set_yticks([0], [TOTAL])
    axes.set_xlabel("error of photographs, filtered / raw (below 1: averaging helps)")


def _look(verdict: str) -> tuple[str, str]:
    return SHADES.get(verdict, "0.5"), MARKERS.get(verdict, "s")


def _rows(axes: "Axes", claims: list[Claim]) -> None:
    axes.set_yticks(range(len(claims)), [claim.id for claim in claims], fontsize=8.5)
    axes.set_ylim(len(claims) - 0.5, -0.5)
    axes.grid(axis="x", color="0.92")
    axes.set_axisbelow(True)
