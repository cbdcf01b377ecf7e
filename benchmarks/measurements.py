"""What the benchmark measures, as a list: labels, candidates, and how to time them."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import numpy as np

from benchmarks import peers, programs
from benchmarks.layers import Layer
from benchmarks.timing import interleaved

# One layer of every kind that the rule of "auto" tells apart.
PROGRAM_LAYERS = (
    "LeNet conv1",
    "LeNet conv2",
    "ResNet-50 3x3 14",
    "ResNet-50 1x1 56",
    "ResNet-50 3x3/2 56",
    "CIFAR ResNet 3x3 32",
    "MobileNet depthwise 14",
    "3x3 of 4 groups",
    "ID-CNN dilation 2",
)
PROGRAM_BATCH = 8


class Measurement(NamedTuple):
    """One record of the results.

    Attributes:
      labels: what tells the record apart.
      candidates: names of the timed candidates.
      measure: () -> {"seconds": candidate -> [rounds], ...}.
    """

    labels: dict[str, Any]
    candidates: tuple[str, ...]
    measure: Callable[[], dict[str, Any]]


def of_layers(
    layers: Sequence[Layer], batches: Sequence[int], budget: float
) -> Iterator[Measurement]:
    """Ours, lax and linen, forward and with both gradients."""
    for labels, layer in _cases(layers, batches):
        measure = partial(_time_peers, layer, labels, budget)
        yield Measurement(labels, tuple(peers.PEERS), measure)


def of_torch(
    layers: Sequence[Layer], batches: Sequence[int], budget: float
) -> Iterator[Measurement]:
    """torch beside what `of_layers` has measured."""
    for labels, layer in _cases(layers, batches):
        measure = partial(_time_torch, layer, labels, budget)
        yield Measurement(labels, ("torch",), measure)


def of_programs(layers: Sequence[Layer], budget: float) -> Iterator[Measurement]:
    """Convolutions with gradients under vmap and in a scan, and compile times."""
    chosen = [layer for layer in layers if layer.name in PROGRAM_LAYERS]
    for kind, together in programs.INSIDE.items():
        candidates = tuple(
            f"{name} {way}" for name in programs.MEASURED for way in (together, "calls")
        )
        for layer in chosen:
            measure = partial(
                programs.inside, kind, layer, PROGRAM_BATCH, budget=budget
            )
            labels = _labels(kind, layer, PROGRAM_BATCH)
            yield Measurement(labels, candidates, partial(_seconds, measure))
    for layer in layers:
        batch = min(PROGRAM_BATCH, layer.largest_batch)
        measure = partial(programs.layer_compilation, layer, batch)
        labels = _labels("compile", layer, batch)
        yield Measurement(labels, ("ours", "lax"), partial(_seconds, measure))
    labels = {"kind": "compile", "layer": "LeNet, training steps", "batch": 64}
    measure = partial(_seconds, programs.lenet_compilation)
    yield Measurement(labels, ("ours", "linen"), measure)


def _cases(
    layers: Sequence[Layer], batches: Sequence[int]
) -> Iterator[tuple[dict[str, Any], Layer]]:
    for layer in layers:
        for batch in batches:
            if batch <= layer.largest_batch:
                for form in peers.FORMS:
                    yield _labels(form, layer, batch), layer


def _labels(kind: str, layer: Layer, batch: int) -> dict[str, Any]:
    text = layer.shape_text
    return {"kind": kind, "layer": layer.name, "shape": text, "batch": batch}


def _time_peers(layer: Layer, labels: dict[str, Any], budget: float) -> dict[str, Any]:
    arrays = peers.draw(layer, labels["batch"])
    calls = {
        name: peers.compiled(convolve, layer, labels["kind"], arrays)
        for name, convolve in peers.PEERS.items()
    }
    error = difference(calls["ours"](), calls["lax"]())
    return {"error": error, "seconds": interleaved(calls, budget=budget)}


def _time_torch(layer: Layer, labels: dict[str, Any], budget: float) -> dict[str, Any]:
    arrays = peers.draw(layer, labels["batch"])
    call = peers.torch_call(layer, labels["kind"], arrays)
    return {"seconds": interleaved({"torch": call}, budget=budget)}


def _seconds(measure: Callable[[], dict[str, np.ndarray]]) -> dict[str, Any]:
    return {"seconds": measure()}


def difference(ours: Any, others: Any) -> float:
    """The largest ‖a − b‖ / ‖b‖ of all arrays: that the same thing is timed."""
    pairs = zip(jax.tree.leaves(ours), jax.tree.leaves(others), strict=True)
    return max(
        float(np.linalg.norm(np.subtract(a, b)) / np.linalg.norm(b)) for a, b in pairs
    )
