"""The results of the recurrent benchmark as text: progress, targets, a table."""

from typing import Any

from benchmarks.results import Results, geometric_mean, ratio
from benchmarks.table import costs, least, most, row, setting, titled

_PEERS = ("linen", "torch")
# Device -> of linen, and of torch by cell; on a GPU torch is cuDNN.
_BOUNDS = {
    "cpu": (1.6, {"LSTM": 0.75, "GRU": 2.0}),
    "gpu": (2.0, {"LSTM": 0.5, "GRU": 0.5, "RNN": 0.5}),
}
# What the README shows.
_TELLING = (
    ("LSTM", "one layer", "(32, 100, 64, 128)"),
    ("LSTM", "one layer", "(20, 35, 650, 650)"),
    ("LSTM", "one layer", "(64, 784, 1, 128)"),
    ("GRU", "one layer", "(32, 100, 64, 128)"),
    ("GRU", "one layer", "(1, 400, 256, 256)"),
)


def line(record: dict[str, Any]) -> str:
    """One measurement of a net."""
    return titled(f"{_title(record)}, {record['kind']}", record)


def targets(found: Results) -> str:
    """The targets and what was reached, as a Markdown table."""
    rows = ["| target | reached | |", "|---|---|---|"]
    of_linen, of_torch = _BOUNDS[found.about.get("device", "cpu")]
    by_linen = _speeds(found, "linen")
    if by_linen:
        mean = {f"{len(by_linen)} nets": geometric_mean([*by_linen.values()])}
        title = f"geometric mean >= {of_linen} of linen, with gradients"
        rows.append(least(title, of_linen, mean))
    for cell, bound in of_torch.items():
        speeds = _speeds(found, "torch", cell)
        if speeds:
            mean = {f"{len(speeds)} nets": geometric_mean([*speeds.values()])}
            title = f"{cell}: geometric mean >= {bound} of torch, with gradients"
            rows.append(least(title, bound, mean))
        if speeds and cell == "LSTM":
            title = "LSTM: every net >= 0.5 of torch, with gradients"
            rows.append(least(title, 0.5, speeds))
    memory = {
        _title(record): record["memory"]["ours"] / record["memory"]["linen"]
        for record in found.of("gradients")
        if "memory" in record
    }
    if memory:
        rows.append(most("memory <= that of linen, with gradients", 1.0, memory))
    return "\n".join(rows)


def markdown(found: Results) -> str:
    """Everything that a reader of the results asks for."""
    parts = [
        "# Recurrent layers, shape by shape",
        setting(found, "batch first"),
        targets(found),
        "## Times",
        "Least milliseconds of ours, and peers as multiples of it: at 2 a peer takes "
        "twice as long. Shapes are (sequences, steps, inputs, units).",
        _times(found),
        "## Memory and compilation",
        "With gradients: MB of outputs and temporary arrays, seconds to trace and "
        "compile.",
        _costs(found),
    ]
    return "\n\n".join(parts) + "\n"


def telling(found: Results) -> str:
    """The rows that say most in least space."""
    rows = [
        "| with all gradients | ours, ms | flax.linen | torch |",
        "|---|---|---|---|",
    ]
    for cell, net, shape in _TELLING:
        (record,) = found.of("gradients", cell=cell, net=net, shape=shape)
        cells = [f"{cell} {shape}", *_cells(record)]
        rows.append(row(cells))
    return "\n".join(rows)


def _times(found: Results) -> str:
    head = "| cell | net | shape | forward, ms | linen | torch "
    rows = [
        head + "| with gradients, ms | linen | torch |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for record in found.of("forward"):
        labels = {key: record[key] for key in ("cell", "net", "shape")}
        cells = [*labels.values(), *_cells(record)]
        for other in found.of("gradients", **labels):
            cells += _cells(other)
        rows.append(row(cells))
    return "\n".join(rows)


def _costs(found: Results) -> str:
    rows = [
        "| cell | net | shape | MB | linen | seconds | linen |",
        "|---|---|---|---|---|---|---|",
    ]
    for record in found.of("gradients"):
        cells = [record["cell"], record["net"], record["shape"]]
        rows.append(row([*cells, *costs(record)]))
    return "\n".join(rows)


def _cells(record: dict[str, Any]) -> list[str]:
    peers = [
        f"{ratio(record, peer):.2f}" if peer in record["seconds"] else ""
        for peer in _PEERS
    ]
    return [f"{1e3 * min(record['seconds']['ours']):.3g}", *peers]


def _speeds(found: Results, peer: str, cell: str | None = None) -> dict[str, float]:
    """Ours as multiples of the peer's speed, per net."""
    return {
        _title(record): ratio(record, peer)
        for record in found.of("gradients")
        if peer in record["seconds"] and cell in (None, record["cell"])
    }


def _title(record: dict[str, Any]) -> str:
    kind = "" if record["net"] == "one layer" else f", {record['net']}"
    return f"{record['cell']} {record['shape']}{kind}"
