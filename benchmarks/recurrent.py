"""How fast the recurrent layers are beside flax.linen and torch, shape by shape.

    python -m benchmarks.recurrent

runs LSTM, GRU and RNN at five shapes (sequences, steps, inputs, units), and at the
first also in both directions and two layers deep, forward and with the gradients to
parameters and inputs; the memory and the time to compile of each program; then, where
torch is installed, torch, after all of jax because its threads go on spinning and slow
down what follows. About ten minutes on two idle cores. What was measured is in OUT.json
after every measurement, so that --resume can go on from there; the table is in OUT.md
at the end.
"""

import argparse
import math
import time
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import jax

from benchmarks import recurrent_peers as peers
from benchmarks import recurrent_table as table
from benchmarks import runs
from benchmarks.measurements import Measurement, difference
from benchmarks.timing import interleaved

QUICK_SHAPE = peers.SHAPES[0]
BUDGET = 6.0  # seconds after which a measurement begins no further round
REPEATS = 31


def main(arguments: list[str] | None = None) -> None:
    options = _options(arguments)
    budget = runs.QUICK_BUDGET if options.quick else BUDGET
    nets = [net for net in peers.NETS if net.cell in options.cells]
    if options.quick:
        nets = [peers.Net(cell, *QUICK_SHAPE) for cell in options.cells]
    told = runs.Told(table.line, table.markdown, table.targets)
    runs.run(options, of_nets(nets, budget), of_torch(nets, budget), told)


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = runs.parser("recurrent", __doc__, "the first shape, briefly")
    parser.add_argument(
        "--cells",
        type=parse_cells,
        default=tuple(peers.CELLS),
        help="comma list of LSTM, GRU, RNN; default all",
    )
    return parser.parse_args(arguments)


def parse_cells(text: str) -> tuple[str, ...]:
    """A comma list of cells."""
    cells = tuple(part.strip() for part in text.split(","))
    if not set(cells) <= peers.CELLS.keys():
        names = ", ".join(peers.CELLS)
        raise argparse.ArgumentTypeError(f"expected some of {names}, got {text!r}")
    return cells


def of_nets(nets: Sequence[peers.Net], budget: float) -> Iterator[Measurement]:
    """Ours and linen: seconds, memory and seconds to compile."""
    for net in nets:
        for form in peers.FORMS:
            measured = partial(_time_libraries, net, form, budget)
            yield Measurement(_labels(net, form), tuple(peers.LIBRARIES), measured)


def of_torch(nets: Sequence[peers.Net], budget: float) -> Iterator[Measurement]:
    """torch beside what `of_nets` has measured."""
    for net in nets:
        for form in peers.FORMS:
            measured = partial(_time_torch, net, form, budget)
            yield Measurement(_labels(net, form), ("torch",), measured)


def _labels(net: peers.Net, form: str) -> dict[str, Any]:
    return {
        "kind": form,
        "cell": net.cell,
        "net": net.kind,
        "shape": net.shape_text,
    }


def _time_libraries(net: peers.Net, form: str, budget: float) -> dict[str, Any]:
    arrays = peers.draw(net)
    calls, memory = {}, {}
    compile_seconds = dict.fromkeys(peers.LIBRARIES, math.inf)
    # What compiles first pays for what all share: each is first once.
    for name in (*peers.LIBRARIES, *reversed(peers.LIBRARIES)):
        traced = jax.jit(peers.program(net, name, form))
        begin = time.perf_counter()
        compiled = traced.lower(*arrays).compile()
        seconds = round(time.perf_counter() - begin, 3)
        compile_seconds[name] = min(seconds, compile_seconds[name])
        sizes: Any = compiled.memory_analysis()
        memory[name] = sizes.temp_size_in_bytes + sizes.output_size_in_bytes
        calls[name] = partial(compiled, *arrays)
    return {
        "error": difference(calls["ours"](), calls["linen"]()),
        "memory": memory,
        "compile": compile_seconds,
        "seconds": interleaved(calls, repeats=REPEATS, budget=budget),
    }


def _time_torch(net: peers.Net, form: str, budget: float) -> dict[str, Any]:
    call = peers.torch_call(net, form, peers.draw(net))
    seconds = interleaved({"torch": call}, repeats=REPEATS, budget=budget / 2)
    return {"seconds": seconds}


if __name__ == "__main__":
    main()
