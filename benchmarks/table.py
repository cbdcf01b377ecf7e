"""The benchmark's results as text: lines of progress, targets, a Markdown table."""

from collections.abc import Iterable
from typing import Any

from benchmarks import programs
from benchmarks.layers import LAYERS
from benchmarks.results import Results, geometric_mean, ratio

_PEERS = ("lax", "linen", "torch")
_FORMS = {"forward": "forward", "gradients": "forward + both gradients"}
_TELLING = (
    ("gradients", "MobileNet depthwise 14", 8),
    ("gradients", "ResNet-50 3x3 56", 8),
    ("scan", "ResNet-50 3x3 14", 8),
    ("vmap over inputs and kernels", "ResNet-50 3x3 14", 8),
    ("gradients", "TextCNN 5", 1),
)
_PAIRS = {
    kind: (f"ours {inside}", f"lax {inside}")
    for kind, inside in programs.INSIDE.items()
}
_GROUPED = {layer.name for layer in LAYERS if layer.groups > 1}
_LARGE = {layer.name for layer in LAYERS if min(layer.window) >= 7}


def line(record: dict[str, Any]) -> str:
    """One measurement of a layer."""
    title = f"{record['layer']}, batch {record['batch']}, {record['kind']}"
    return titled(title, record)


def titled(title: str, record: dict[str, Any]) -> str:
    """Milliseconds of the first candidate, the others relative."""
    base, *others = record["seconds"]
    milliseconds = 1e3 * min(record["seconds"][base])
    relative = ", ".join(f"{name} {ratio(record, name, base):.2f}" for name in others)
    return f"{title}: {base} {milliseconds:.3g} ms, as multiples of it: {relative}"


def targets(found: Results) -> str:
    """The targets and what was reached, as a Markdown table."""
    rows = ["| target | reached | |", "|---|---|---|"]
    for form, text in _FORMS.items():
        for peer, bounds in {"lax": (2.5, 4.0), "torch": (0.55, 0.75)}.items():
            bound = bounds[list(_FORMS).index(form)]
            values = _speeds(found, form, peer)
            if values and peer == "lax":
                rows.append(least(f"every shape >= 0.95 of lax, {text}", 0.95, values))
            if values:
                mean = {f"{len(values)} shapes": geometric_mean([*values.values()])}
                title = f"geometric mean >= {bound} of {peer}, {text}"
                rows.append(least(title, bound, mean))
    return "\n".join(rows + _program_targets(found))


def _program_targets(found: Results) -> list[str]:
    vmap = {
        f"{record['layer']}, {kind.removeprefix('vmap ')}": ratio(
            record, "ours mapped", "ours calls"
        )
        for kind in programs.VMAP_KINDS
        for record in found.of(kind)
    }
    scan = {
        record["layer"]: ratio(record, "ours scanned", "ours calls")
        for record in found.of("scan")
    }
    extra: dict[str, dict[str, float]] = {
        "dense": {},
        "grouped": {},
        "7x7 and more": {},
    }
    nets = {}
    for record in found.of("compile"):
        name, seconds = record["layer"], record["seconds"]
        if "linen" in seconds:
            nets[name] = ratio(record, "ours", "linen")
            continue
        kind = "grouped" if name in _GROUPED else "dense"
        kind = "7x7 and more" if name in _LARGE else kind
        extra[kind][name] = min(seconds["ours"]) - min(seconds["lax"])
    bounds = {"dense": 0.5, "grouped": 1.0, "7x7 and more": 1.5}
    rows = [
        ("8 kernels under vmap <= 1.1 of 8 calls", 1.1, vmap),
        ("a gradient step in a scan <= 1.1 of one outside", 1.1, scan),
        *(
            (
                f"compilation of a layer, {kind} <= lax + {bounds[kind]} s",
                bound,
                values,
            )
            for (kind, values), bound in zip(
                extra.items(), bounds.values(), strict=True
            )
        ),
        ("compilation of LeNet's training steps <= 2 of linen's", 2.0, nets),
    ]
    return [most(*row) for row in rows if row[-1]]


def markdown(found: Results) -> str:
    """Everything that a reader of the results asks for."""
    return (
        "\n\n".join(
            [
                "# Convolution, layer by layer",
                setting(found, "channels last"),
                targets(found),
                "## Layers",
                "Least milliseconds of ours, and peers as multiples of it: at 2 a peer "
                "takes twice as long.",
                _layer_table(found),
                "## Convolutions inside programs",
                "With both gradients; least milliseconds, of 8 kernels and of 4 steps.",
                _program_table(found),
                "## Trace and compile, seconds",
                _compile_table(found),
            ]
        )
        + "\n"
    )


def telling(found: Results) -> str:
    """The rows that say most in least space, the worst against lax among them."""
    rows = ["| what | ours, ms | jax.lax | torch |", "|---|---|---|---|"]
    for kind, layer, batch in _TELLING:
        (record,) = found.of(kind, layer=layer, batch=batch)
        ours, lax = _PAIRS.get(kind, ("ours", "lax"))
        torch = ratio(record, "torch") if "torch" in record["seconds"] else None
        cells = [
            f"{layer}, batch {batch}, {_FORMS.get(kind, kind)}",
            f"{1e3 * min(record['seconds'][ours]):.3g}",
            f"{ratio(record, lax, ours):.2f}",
            "" if torch is None else f"{torch:.2f}",
        ]
        rows.append(row(cells))
    return "\n".join(rows)


def setting(found: Results, layout: str) -> str:
    """Commands, machine and versions; `layout` is that of torch's arrays."""
    about, machine = found.about, found.about["environment"]
    threads = f"{machine['num_threads']} threads of {machine['cpu']}"
    on_cpu = about.get("device", "cpu") == "cpu"
    place = threads if on_cpu else f"{machine['device']}, float32 without TF32"
    flags = ", ".join(f"{k}={v}" for k, v in machine["variables"].items()) or "none"
    ceiling = ", ".join(f"{value:.0f} {when}" for when, value in found.ceiling.items())
    return "\n".join(
        [
            *(f"    {each['command']}" for each in (*about["earlier"], about)),
            "",
            f"{about['date']}: {place}, "
            f"Python {machine['python']}, jax {machine['jax']}, flax "
            f"{machine['flax']}, torch {about['torch'] or 'absent'} ({layout}). "
            f"Environment variables that XLA reads: {flags}. A 2048³ float32 matrix "
            f"product: {ceiling} GFLOP/s. All numbers are in the JSON file beside "
            "this one.",
        ]
    )


def _layer_table(found: Results) -> str:
    rows = [
        "| layer | shape | batch | forward, ms | lax | linen | torch "
        "| with gradients, ms | lax | linen | torch |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for record in found.of("forward"):
        labels = {"layer": record["layer"], "batch": record["batch"]}
        cells = [record["layer"], record["shape"], str(record["batch"])]
        for form in _FORMS:
            cells += _cells(*found.of(form, **labels)[:1])
        rows.append(row(cells))
    means = ["**geometric mean**", "", ""]
    for form in _FORMS:
        means.append("")
        for peer in _PEERS:
            speeds = [*_speeds(found, form, peer).values()]
            means.append(f"**{geometric_mean(speeds):.2f}**" if speeds else "")
    return "\n".join([*rows, row(means)])


def _cells(record: dict[str, Any] | None = None) -> list[str]:
    if record is None:
        return [""] * (1 + len(_PEERS))
    texts = [
        f"{ratio(record, peer):.2f}" if peer in record["seconds"] else ""
        for peer in _PEERS
    ]
    return [f"{1e3 * min(record['seconds']['ours']):.3g}", *texts]


def _program_table(found: Results) -> str:
    rows = [
        "| layer, batch 8 | program | ours | ours, one by one | ratio "
        "| lax | lax, one by one | ratio |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for kind, inside in programs.INSIDE.items():
        for record in found.of(kind):
            cells = [record["layer"], kind]
            for name in programs.MEASURED:
                pair = [
                    1e3 * min(record["seconds"][f"{name} {way}"])
                    for way in (inside, "calls")
                ]
                cells += [
                    *(f"{value:.3g}" for value in pair),
                    f"{pair[0] / pair[1]:.2f}",
                ]
            rows.append(row(cells))
    return "\n".join(rows)


def _compile_table(found: Results) -> str:
    rows = ["| what | ours | lax | linen |", "|---|---|---|---|"]
    for record in found.of("compile"):
        seconds = {name: min(values) for name, values in record["seconds"].items()}
        cells = [
            f"{seconds[name]:.2f}" if name in seconds else ""
            for name in ("ours", "lax", "linen")
        ]
        rows.append(row([record["layer"], *cells]))
    return "\n".join(rows)


def _speeds(found: Results, form: str, peer: str) -> dict[str, float]:
    """Ours as multiples of the peer's speed, per shape."""
    return {
        f"{record['layer']}, batch {record['batch']}": ratio(record, peer)
        for record in found.of(form)
        if peer in record["seconds"]
    }


def row(cells: Iterable[str]) -> str:
    """A row of a Markdown table."""
    return "| " + " | ".join(cells) + " |"


def costs(record: dict[str, Any]) -> list[str]:
    """Cells of a measurement: MB and seconds to compile, of ours and of linen."""
    names = ("ours", "linen")
    memory = [f"{record['memory'][name] / 1e6:.1f}" for name in names]
    return memory + [f"{record['compile'][name]:.2f}" for name in names]


def least(title: str, bound: float, values: dict[str, float]) -> str:
    where, value = min(values.items(), key=lambda item: item[1])
    return _row(title, where, value, value >= bound)


def most(title: str, bound: float, values: dict[str, float]) -> str:
    where, value = max(values.items(), key=lambda item: item[1])
    return _row(title, where, value, value <= bound)


def _row(title: str, where: str, value: float, met: bool) -> str:
    return f"| {title} | {value:.2f} ({where}) | {'ok' if met else 'miss'} |"
