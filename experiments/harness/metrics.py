"""What an experiment hands back: named arrays, and what their axes mean.

A bare array has the replicates as its leading axis; `Grid`, `Images`, `Timings` and
`Shown` wrap one where its shape alone would not say what is what. Below them: the
digest that two runs are compared by, the file that a run keeps, and what differs
between two runs.

Shape letters: R replicates (seeds, unless the claim names something else), N test
images.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.generic]


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

    values: Array
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

    values: Array

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", _matrix("Images", self.values))


@dataclass(frozen=True, eq=False)
class Timings:
    """Interleaved wall times of two arms; kept out of digest and replay.

    Attributes:
      values: [repeats, 2], seconds; the claim is about median(first)/median(second).
    """

    values: Array

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

    values: Array
    label: str
    unit: str = ""
    timed: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", np.asarray(self.values))


Metric = Array | Grid | Images | Timings | Shown
Metrics = Mapping[str, Metric]


def _matrix(name: str, values: npt.ArrayLike) -> Array:
    matrix = np.asarray(values)
    if matrix.ndim != 2 or min(matrix.shape) < 1:
        raise ValueError(
            f"expected {name} with two axes, neither empty, got shape {matrix.shape}"
        )
    return matrix


def digest(metrics: Metrics) -> str:
    """sha256 of the metrics in a canonical form; measured times are left out.

    Two runs have one digest if and only if their names, dtypes, shapes, axes and bits
    are the same; the order of the names and the byte order do not enter.
    """
    total = hashlib.sha256()
    for name in sorted(metrics):
        if _is_timed(metrics[name]):
            continue
        header, arrays = _described(metrics[name])
        text = {"name": name} | {key: header[key] for key in ("class", "axes")}
        total.update(json.dumps(text, sort_keys=True).encode())
        for array in arrays:
            update(total, array)
    return total.hexdigest()


def update(total: Any, array: np.ndarray) -> None:
    """Adds an array to a hash: dtype, shape and bytes."""
    total.update(f"{array.dtype.str}{array.shape}".encode())
    total.update(np.ascontiguousarray(array).data)


def save(path: Path, metrics: Metrics) -> None:
    """Writes the metrics to one .npz file, to be read by `load`.

    Raises:
      ValueError: an axis has a label that is no number, string, boolean or tuple.
    """
    index, arrays = [], {}
    for name, metric in metrics.items():
        header, parts = _described(metric)
        index.append({"name": name, "count": len(parts)} | header)
        arrays |= {f"{len(index) - 1}.{i}": part for i, part in enumerate(parts)}
    with path.open("wb") as file:
        np.savez_compressed(file, index=np.array(json.dumps(index)), **arrays)


def load(path: Path) -> dict[str, Metric]:
    """Reads what `save` wrote."""
    metrics: dict[str, Metric] = {}
    with np.load(path, allow_pickle=False) as file:
        for number, header in enumerate(json.loads(str(file["index"]))):
            parts = [file[f"{number}.{i}"] for i in range(header["count"])]
            metrics[header["name"]] = _rebuilt(header, parts)
    return metrics


def differences(old: Metrics, new: Metrics) -> list[str]:
    """One line per metric that differs between two runs; measured times are left out.

    Returns:
      Lines that name the metric, where it differs first and by how much at most; none
      if and only if the digests are the same.
    """
    lines = []
    for name in sorted({*old, *new}):
        pair = [metrics[name] for metrics in (old, new) if name in metrics]
        if all(_is_timed(metric) for metric in pair):
            continue
        if len(pair) < 2:
            lines.append(f"{name}: only in the {'old' if name in old else 'new'} run")
        elif line := _difference(*pair):
            lines.append(f"{name}: {line}")
    return lines


def _difference(old: Metric, new: Metric) -> str:
    (old_header, old_arrays), (new_header, new_arrays) = map(_described, (old, new))
    for key in ("class", "axes"):
        if old_header[key] != new_header[key]:
            return f"{key} {old_header[key]} became {new_header[key]}"
    if len(old_arrays) != len(new_arrays):
        return "the mask of entries that apply is in one run only"
    for old_array, new_array in zip(old_arrays, new_arrays, strict=True):
        old_form, new_form = ((a.dtype.name, a.shape) for a in (old_array, new_array))
        if old_form != new_form:
            return f"{old_form} became {new_form}"
        if line := _array_difference(old_array, new_array):
            return line
    return ""


def _array_difference(old: Array, new: Array) -> str:
    """Compares bits: -0 differs from 0, a NaN equals the same NaN."""
    bits = [
        np.frombuffer(array.tobytes(), np.uint8).reshape(array.size, -1)
        for array in (old, new)
        if array.size
    ]
    if not bits:
        return ""
    differs = (bits[0] != bits[1]).any(axis=1)
    if not differs.any():
        return ""
    first = int(np.argmax(differs))
    place = [int(i) for i in np.unravel_index(first, old.shape)]
    line = (
        f"{differs.sum()} of {old.size} values differ, first at {place}: "
        f"{old.flat[first]} became {new.flat[first]}"
    )
    if old.dtype.kind not in "iuf":
        return line
    with np.errstate(invalid="ignore"):
        gaps = np.abs(new.astype(np.float64) - old.astype(np.float64))
    return f"{line}; by at most {np.nanmax(gaps, initial=0.0):.3g}"


def _is_timed(metric: Metric) -> bool:
    return isinstance(metric, Timings) or (isinstance(metric, Shown) and metric.timed)


def _described(metric: Metric) -> tuple[dict[str, Any], list[Array]]:
    """A JSON header and the arrays of a metric, little-endian."""
    wrapped = isinstance(metric, Grid | Images | Timings | Shown)
    name = type(metric).__name__ if wrapped else "array"
    header: dict[str, Any] = {"class": name, "axes": None}
    arrays = [np.asarray(getattr(metric, "values", metric))]
    if isinstance(metric, Grid):
        header["axes"] = [
            [name, [_plain(label) for label in labels]]
            for name, labels in metric.axes.items()
        ]
        arrays += [] if metric.valid is None else [metric.valid]
    if isinstance(metric, Shown):
        fields = ("label", "unit", "timed")
        header["shown"] = {field: getattr(metric, field) for field in fields}
    if arrays[0].dtype.hasobject:
        raise ValueError(f"expected numbers or strings, got dtype {arrays[0].dtype}")
    return header, [array.astype(array.dtype.newbyteorder("<")) for array in arrays]


def _rebuilt(header: dict[str, Any], arrays: list[Array]) -> Metric:
    if header["class"] == "Grid":
        axes = {name: tuple(map(_hashable, labels)) for name, labels in header["axes"]}
        valid = arrays[1].astype(np.bool_) if len(arrays) > 1 else None
        return Grid(arrays[0], axes, valid)
    if header["class"] == "Shown":
        return Shown(arrays[0], **header["shown"])
    wrappers = {"Images": Images, "Timings": Timings, "array": np.asarray}
    return wrappers[header["class"]](arrays[0])


def _plain(label: object) -> object:
    """An axis label in JSON's types."""
    if isinstance(label, np.generic):
        label = label.item()
    if isinstance(label, tuple | list):
        return [_plain(each) for each in label]
    if isinstance(label, str | int | float | bool) or label is None:
        return label
    raise ValueError(
        f"expected labels of numbers, strings or tuples, got {type(label).__name__}"
    )


def _hashable(label: object) -> object:
    return tuple(map(_hashable, label)) if isinstance(label, list) else label
