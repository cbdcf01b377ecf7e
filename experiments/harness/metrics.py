"""What an experiment hands back: named arrays, and what their axes mean.

A bare array has the replicates as its leading axis; `Grid`, `Images`, `Timings` and
`Shown` wrap one where its shape alone would not say what is what.

Shape letters: R replicates (seeds, unless the claim names something else), N test
images.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, eq=False)
class Grid:
    """Evaluations over named axes, every axis ordered from small to large.

    The first failing entry in C order of the axes is then the smallest
    counterexample.

    Attributes:
      values: [R, *axes].
      axes: axis name -> labels, in the order of the array's axes.
      valid: optional booleans [*axes]; False where the entry does not apply.
    """

    values: npt.NDArray[np.generic]
    axes: Mapping[str, tuple[object, ...]]
    valid: npt.NDArray[np.bool_] | None = None

    def __post_init__(self) -> None:
        values = np.asarray(self.values)
        axes = {name: tuple(labels) for name, labels in self.axes.items()}
        sizes = tuple(len(labels) for labels in axes.values())
        if values.shape[1:] != sizes or values.ndim == 0:
            raise ValueError(
                f"expected values [replicates, {', '.join(map(str, sizes))}] for the "
                f"axes {', '.join(axes)}, got shape {values.shape}"
            )
        object.__setattr__(self, "values", values)
        object.__setattr__(self, "axes", axes)
        if self.valid is None:
            return
        valid = np.asarray(self.valid)
        if valid.shape != sizes or valid.dtype != np.bool_ or not valid.any():
            raise ValueError(
                f"expected a boolean mask of shape {sizes} with at least one True, "
                f"got {valid.dtype} of shape {valid.shape} with {valid.sum()}"
            )
        object.__setattr__(self, "valid", valid)


@dataclass(frozen=True, eq=False)
class Images:
    """Per-image contributions to an accuracy or to a difference of two.

    Attributes:
      values: [R, N], in points (100 where one arm is right and the other wrong); a
        replicate's value is its mean over the images.
    """

    values: npt.NDArray[np.generic]

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", _matrix("Images", self.values))


@dataclass(frozen=True, eq=False)
class Timings:
    """Interleaved wall times of two arms; kept out of digest and replay.

    Attributes:
      values: [repeats, 2], seconds; the claim is about median(first)/median(second).
    """

    values: npt.NDArray[np.generic]

    def __post_init__(self) -> None:
        values = _matrix("Timings", self.values)
        if values.shape[1] != 2:
            raise ValueError(f"expected Timings [repeats, 2], got shape {values.shape}")
        object.__setattr__(self, "values", values)


@dataclass(frozen=True, eq=False)
class Shown:
    """A number or an array that the report prints beside the claims, no verdict.

    Attributes:
      values: any shape.
      label: what it is, in words.
      unit: printed behind the numbers.
      timed: True for measured times, which differ from run to run and therefore stay
        out of the digest.
    """

    values: npt.NDArray[np.generic]
    label: str
    unit: str = ""
    timed: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", np.asarray(self.values))


Metric = npt.NDArray[np.generic] | Grid | Images | Timings | Shown
Metrics = Mapping[str, Metric]


def _matrix(name: str, values: npt.ArrayLike) -> npt.NDArray[np.generic]:
    matrix = np.asarray(values)
    if matrix.ndim != 2 or min(matrix.shape) < 1:
        raise ValueError(
            f"expected {name} with two axes that are not empty, got shape {matrix.shape}"
        )
    return matrix
