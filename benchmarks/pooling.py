"""How fast the pools are beside flax.linen and torch, window by window.

    python -m benchmarks.pooling

runs max, average and L2 pools with windows 2, 3, 7 and of the whole image, forward and
with the gradient, at three shapes, and polyphase pooling beside blur pooling; the
seconds to compile; then, where torch is installed, torch, after all of jax because its
threads go on spinning and slow down what follows. About three minutes on two idle
cores. What was measured is in OUT.json after every measurement, so that --resume can go
on from there; the table is in OUT.md at the end.
"""

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import jax

from benchmarks import pooling_peers as peers
from benchmarks import pooling_table as table
from benchmarks import results
from benchmarks.convolution import about, measure
from benchmarks.measurements import Measurement, difference
from benchmarks.peers import set_torch_threads
from benchmarks.timing import interleaved, matmul_gflops

# Seconds after which a measurement begins no further round.
BUDGET, QUICK_BUDGET = 1.0, 0.2
REPEATS = 21


def main(arguments: list[str] | None = None) -> None:
    options = _options(arguments)
    jax.config.update("jax_enable_compilation_cache", False)
    found = results.load(options.out) if options.resume else results.Results()
    found.begin(about("benchmarks.pooling", sys.argv[1:]))
    budget = QUICK_BUDGET if options.quick else BUDGET
    pools = [pool for pool in peers.POOLS if not options.quick or pool.window == 2]
    found.ceiling["before"] = matmul_gflops()
    measure(
        of_pools([*pools, *peers.ANTIALIASED], budget), found, options.out, table.line
    )
    found.ceiling["after jax"] = matmul_gflops()
    if set_torch_threads():
        measure(of_torch(pools, budget), found, options.out, table.line)
        found.ceiling["after torch"] = matmul_gflops()
    found.save(options.out)
    options.out.with_suffix(".md").write_text(table.markdown(found))
    print(table.targets(found))


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.pooling",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--quick", action="store_true", help="windows of 2, briefly")
    parser.add_argument("--resume", action="store_true", help="keep what OUT.json has")
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("runs/benchmarks/pooling-cpu.json"),
        help="the JSON file; default %(default)s",
    )
    return parser.parse_args(arguments)


def of_pools(pools: Sequence[peers.Pool], budget: float) -> Iterator[Measurement]:
    """Ours and linen: seconds and seconds to compile."""
    for pool in pools:
        for form in peers.FORMS:
            measured = partial(_time_libraries, pool, form, budget)
            yield Measurement(
                _labels(pool, form), tuple(peers.libraries(pool)), measured
            )


def of_torch(pools: Sequence[peers.Pool], budget: float) -> Iterator[Measurement]:
    """torch beside what `of_pools` has measured."""
    for pool in pools:
        for form in peers.FORMS:
            measured = partial(_time_torch, pool, form, budget)
            yield Measurement(_labels(pool, form), ("torch",), measured)


def _labels(pool: peers.Pool, form: str) -> dict[str, Any]:
    return {"kind": form, "pool": pool.title, "shape": pool.shape_text}


def _time_libraries(pool: peers.Pool, form: str, budget: float) -> dict[str, Any]:
    arrays = peers.draw(pool)
    calls, compile_seconds = {}, {}
    for name, library in peers.libraries(pool).items():
        calls[name] = peers.compiled(library, pool, form, arrays)
        begin = time.perf_counter()
        jax.block_until_ready(calls[name]())
        compile_seconds[name] = round(time.perf_counter() - begin, 3)
    measured: dict[str, Any] = {"compile": compile_seconds}
    if "linen" in calls:
        measured["error"] = difference(calls["ours"](), calls["linen"]())
    return measured | {"seconds": interleaved(calls, repeats=REPEATS, budget=budget)}


def _time_torch(pool: peers.Pool, form: str, budget: float) -> dict[str, Any]:
    call = peers.torch_call(pool, form, peers.draw(pool))
    seconds = interleaved({"torch": call}, repeats=REPEATS, budget=budget / 2)
    return {"seconds": seconds}


if __name__ == "__main__":
    main()
