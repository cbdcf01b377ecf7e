"""The results of the pooling benchmark as text: progress, targets, a table."""

from typing import Any

from benchmarks.results import Results, geometric_mean, ratio
from benchmarks.table import least, most, row, setting, titled

_PEERS = ("linen", "torch")
_TEXTS = {"forward": "forward", "gradients": "with gradient"}
_LARGE = "8x56x56x64"
# What the README shows.
_TELLING = ("max 2 / 2", "max 3 / 2", "max 7 / 1", "avg 3 / 2", "l2 3 / 2")


def line(record: dict[str, Any]) -> str:
    """One measurement of a pool."""
    return titled(f"{_title(record)}, {record['kind']}", record)


def targets(found: Results) -> str:
    """The targets and what was reached, as a Markdown table."""
    rows = ["| target | reached | |", "|---|---|---|"]
    windows = {
        title: speed
        for title, speed in _speeds(found, "gradients", "linen").items()
        if title.startswith("max ")
    }
    if windows:
        mean = {f"{len(windows)} pools": geometric_mean([*windows.values()])}
        text = "of linen, max pools over windows, with gradient"
        rows.append(least(f"geometric mean >= 5 {text}", 5.0, mean))
        rows.append(least(f"every one >= 1 {text}", 1.0, windows))
    for form, text in _TEXTS.items():
        speeds = _speeds(found, form, "torch")
        if speeds:
            mean = {f"{len(speeds)} pools": geometric_mean([*speeds.values()])}
            rows.append(least(f"geometric mean >= 1 of torch, {text}", 1.0, mean))
    for form, text in _TEXTS.items():
        times = {
            record["shape"]: min(record["seconds"]["ours"]) / _blur(found, record)
            for record in found.of(form)
            if record["pool"].startswith("polyphase")
        }
        if times:
            rows.append(most(f"polyphase <= 3 times blur, {text}", 3.0, times))
    return "\n".join(rows)


def _blur(found: Results, record: dict[str, Any]) -> float:
    """Seconds of the blur pool at the shape of a record."""
    (blur,) = (
        other
        for other in found.of(record["kind"], shape=record["shape"])
        if other["pool"].startswith("blur")
    )
    return min(blur["seconds"]["ours"])


def markdown(found: Results) -> str:
    """Everything that a reader of the results asks for."""
    parts = [
        "# Pools, window by window",
        setting(found, "channels last"),
        targets(found),
        "## Times",
        "Least milliseconds of ours, and peers as multiples of it: at 2 a peer takes "
        "twice as long. A pool's name is its kind, window and stride; blur has taps.",
        _times(found),
        "## Compilation",
        "The first call with gradient, seconds: the largest of ours and of linen's are "
        + " and ".join(f"{_slowest(found, name):.2f}" for name in ("ours", "linen"))
        + ".",
    ]
    return "\n\n".join(parts) + "\n"


def telling(found: Results) -> str:
    """The rows that say most in least space."""
    rows = [
        f"| {_LARGE}, with gradient | ours, ms | flax.linen | torch |",
        "|---|---|---|---|",
    ]
    for pool in _TELLING:
        (record,) = found.of("gradients", pool=pool, shape=_LARGE)
        rows.append(row([pool, *_cells(record)]))
    return "\n".join(rows)


def means(found: Results) -> list[float]:
    """Geometric means with gradient: max pools over linen, all and max over torch."""
    by_linen, by_torch = (_speeds(found, "gradients", peer) for peer in _PEERS)
    windows = [by_linen[title] for title in by_linen if title.startswith("max ")]
    maxima = [by_torch[title] for title in by_torch if title.startswith("max")]
    return [geometric_mean(each) for each in (windows, [*by_torch.values()], maxima)]


def _times(found: Results) -> str:
    head = "| shape | pool | forward, ms | linen | torch "
    rows = [
        head + "| with gradient, ms | linen | torch |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for record in found.of("forward"):
        labels = {key: record[key] for key in ("shape", "pool")}
        cells = [*labels.values(), *_cells(record)]
        for other in found.of("gradients", **labels):
            cells += _cells(other)
        rows.append(row(cells))
    return "\n".join(rows)


def _cells(record: dict[str, Any]) -> list[str]:
    peers = [
        f"{ratio(record, peer):.2f}" if peer in record["seconds"] else ""
        for peer in _PEERS
    ]
    return [f"{1e3 * min(record['seconds']['ours']):.3g}", *peers]


def _speeds(found: Results, form: str, peer: str) -> dict[str, float]:
    """Ours as multiples of the peer's speed, per pool."""
    return {
        _title(record): ratio(record, peer)
        for record in found.of(form)
        if peer in record["seconds"]
    }


def _slowest(found: Results, name: str) -> float:
    seconds = [record["compile"].get(name, 0) for record in found.of("gradients")]
    return max(seconds, default=0)


def _title(record: dict[str, Any]) -> str:
    return f"{record['pool']} of {record['shape']}"
