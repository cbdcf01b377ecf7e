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
import sys
import time
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import jax

from benchmarks import recurrent_peers as peers
from benchmarks import recurrent_table as table
from benchmarks import results
from benchmarks.convolution import about, measure
from benchmarks.measurements import Measurement, difference
from benchmarks.peers import set_torch_threads
from benchmarks.timing import interleaved, matmul_gflops

QUICK_SHAPE = peers.SHAPES[0]
# Seconds after which a measurement begins no further round.
BUDGET, QUICK_BUDGET = 6.0, 0.5
REPEATS = 31


def main(arguments: list[str] | None = None) -> None:
    options = _options(arguments)
    jax.config.update("jax_enable_compilation_cache", False)
    found = results.load(options.out) if options.resume else results.Results()
    found.begin(about("benchmarks.recurrent", sys.argv[1:]))
    budget = QUICK_BUDGET if options.quick else BUDGET
    nets = [net for net in peers.NETS if net.cell in options.cells]
    if options.quick:
        nets = [peers.Net(cell, *QUICK_SHAPE) for cell in options.cells]
    found.ceiling["before"] = matmul_gflops()
    measure(of_nets(nets, budget), found, options.out, table.line)
    found.ceiling["after jax"] = matmul_gflops()
    if set_torch_threads():
        measure(of_torch(nets, budget), found, options.out, table.line)
        found.ceiling["after torch"] = matmul_gflops()
    found.save(options.out)
    options.out.with_suffix(".md").write_text(table.markdown(found))
    print(table.targets(found))


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.recurrent",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--cells",
        type=parse_cells,
        default=tuple(peers.CELLS),
        help="comma list of LSTM, GRU, RNN; default all",
    )
    parser.add_argument("--quick", action="store_true", help="the first shape, briefly")
    parser.add_argument("--resume", action="store_true", help="keep what OUT.json has")
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("runs/benchmarks/recurrent-cpu.json"),
        help="the JSON file; default %(default)s",
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
    calls, compile_seconds, memory = {}, {}, {}
    for name in peers.LIBRARIES:
        lowered = jax.jit(peers.program(net, name, form))
        begin = time.perf_counter()
        compiled = lowered.lower(*arrays).compile()
        compile_seconds[name] = round(time.perf_counter() - begin, 3)
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
