"""The results of the training benchmark as text: progress, targets, a table."""

from statistics import median
from typing import Any

from benchmarks.results import Results
from benchmarks.table import costs, least, most, row, setting, titled

_PEERS = ("linen", "torch")
_TITLES = {"linen": "flax.linen in a loop", "torch": "torch"}
# Device -> net -> of linen's speed; torch's own speed is the aim on a CPU.
_OF_LINEN = {"cpu": {"LeNet-5": 2.0, "ResNet-20": 1.5}, "gpu": {}}
_OF_TORCH = {"cpu": 1.0}
_OF_SINGLE = {"cpu": 1.05, "gpu": 1 / 16}  # seconds in one program by one by one
# What the README shows.
_TELLING = (("LeNet-5", 32), ("LeNet-5", 256), ("ResNet-20", 128))


def line(record: dict[str, Any]) -> str:
    """One measurement of a net, or of the seeds."""
    return titled(f"{_title(record)}, {record['steps']} steps", record)


def targets(found: Results) -> str:
    """The targets and what was reached, as a Markdown table."""
    rows = ["| target | reached | |", "|---|---|---|"]
    device = found.about.get("device", "cpu")
    for net, bound in _OF_LINEN[device].items():
        speeds = _speeds(found, net, "linen")
        if speeds:
            title = f"{net}: every batch >= {bound} of flax.linen in a loop"
            rows.append(least(title, bound, speeds))
        speeds = _speeds(found, net, "torch")
        if speeds:
            bound = _OF_TORCH[device]
            rows.append(least(f"{net}: every batch >= {bound} of torch", bound, speeds))
    for record in found.of("seeds"):
        bound = _OF_SINGLE[device]
        times = {_title(record): of_single(record)}
        title = f"{record['seeds']} seeds <= {bound:.4g} of as many single runs"
        rows.append(most(title, bound, times))
    return "\n".join(rows)


def markdown(found: Results) -> str:
    """Everything that a reader of the results asks for."""
    head = ["# Training, net by net", setting(found, "channels last"), targets(found)]
    return "\n\n".join([*head, tables(found)]) + "\n"


def tables(found: Results) -> str:
    """What was measured, without where and against which targets."""
    parts = [
        "## Examples per second",
        "Of medians; behind flax.linen and torch ours as multiples of their speed, and "
        "how far the first steps were apart (first gradient of all parameters, losses "
        "of three steps; relative).",
        _speed_rows(found),
        "## Memory and compilation",
        "MB of outputs and temporary arrays, the data set not among them, and seconds "
        "to trace and compile: ours of a whole chunk, linen's of one step.",
        _cost_rows(found),
        "## Seeds",
        "Trainings of LeNet on digits in one program (`over_seeds`) and one by one, in "
        "one process: median seconds of all, and seconds to compile the one program "
        "and the other.",
        _seed_rows(found),
    ]
    return "\n\n".join(parts)


def telling(found: Results) -> str:
    """The rows that say most in least space."""
    rows = [
        "| examples per second | ours | flax.linen in a loop | torch |",
        "|---|---|---|---|",
    ]
    for net, batch in _TELLING:
        (record,) = found.of("training", net=net, batch=batch)
        speeds = [_shown(record, name) for name in ("ours", *_PEERS)]
        rows.append(row([_title(record), *speeds]))
    return "\n".join(rows)


def speed(record: dict[str, Any], name: str) -> float:
    """Examples per second: of the median."""
    return record["steps"] * record["batch"] / median(record["seconds"][name])


def of_single(record: dict[str, Any]) -> float:
    """Seconds of all seeds in one program, by those of as many single runs: medians."""
    together, apart = (median(each) for each in record["seconds"].values())
    return together / apart


def _speeds(found: Results, net: str, peer: str) -> dict[str, float]:
    """Ours as multiples of the peer's speed, by batch."""
    return {
        _title(record): speed(record, "ours") / speed(record, peer)
        for record in found.of("training", net=net)
        if peer in record["seconds"]
    }


def _shown(record: dict[str, Any], name: str) -> str:
    if name not in record["seconds"]:
        return ""
    return f"{speed(record, name):,.0f}"


def _speed_rows(found: Results) -> str:
    head = "| net | batch | steps | ours "
    for peer in _PEERS:
        head += f"| {_TITLES[peer]} | ours by it | apart "
    rows = [head + "|", "|---" * 10 + "|"]
    for record in found.of("training"):
        cells = [record["net"], str(record["batch"]), str(record["steps"])]
        cells.append(_shown(record, "ours"))
        for peer, error in zip(_PEERS, ("error", "torch error"), strict=True):
            cells.append(_shown(record, peer))
            if peer not in record["seconds"]:
                cells += ["", ""]
                continue
            cells.append(f"{speed(record, 'ours') / speed(record, peer):.2f}")
            cells.append(f"{record[error]:.1e}")
        rows.append(row(cells))
    return "\n".join(rows)


def _cost_rows(found: Results) -> str:
    rows = [
        "| net | batch | MB | linen | seconds | linen |",
        "|---|---|---|---|---|---|",
    ]
    for record in found.of("training"):
        cells = [record["net"], str(record["batch"])]
        rows.append(row([*cells, *costs(record)]))
    return "\n".join(rows)


def _seed_rows(found: Results) -> str:
    rows = [
        "| what | one program | one by one | ratio | same bits | compile | compile |",
        "|---|---|---|---|---|---|---|",
    ]
    for record in found.of("seeds"):
        seconds = [f"{median(each):.3g}" for each in record["seconds"].values()]
        compiled = [f"{each:.2f}" for each in record["compile"].values()]
        same = "yes" if record["same bits"] else "no"
        ratio = f"{of_single(record):.3f}"
        title = f"{_title(record)}, {record['steps']} steps"
        cells = [title, *seconds, ratio, same, *compiled]
        rows.append(row(cells))
    return "\n".join(rows)


def _title(record: dict[str, Any]) -> str:
    if record["kind"] == "seeds":
        return f"{record['seeds']} seeds of {record['net']} on digits"
    return f"{record['net']}, batch {record['batch']}"
