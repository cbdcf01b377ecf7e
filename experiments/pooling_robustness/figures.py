"""The figures of the report, all parts in one order."""

from typing import TYPE_CHECKING

from experiments.harness.claims import Metrics
from experiments.pooling_robustness import (
    figures_of_moving,
    figures_of_signals,
    figures_of_tasks,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def plot(metrics: Metrics) -> "dict[str, Figure]":
    """Every figure that was measured; the first is the answer at a glance."""
    return {
        **figures_of_moving.plot(metrics),
        **figures_of_signals.plot(metrics),
        **figures_of_tasks.plot(metrics),
    }
