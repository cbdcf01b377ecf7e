"""Every algorithm worth trying of a layer's forms: does "auto" choose the fastest?

    PJRT_NPROC=1 python -m benchmarks.candidates --clock=cpu

prints, per layer and form, the chosen algorithm, its time, and the others as multiples
of it; "lax" is what jax derives from jax.lax alone. With one thread and the clock of
the processor's time a busy machine gives useful ratios too; --clock=wall, the default,
is what a user waits for. --loop=4 runs four in a compiled loop, where XLA's own
gradients are many times slower than outside, and prints the time of one.
"""

import argparse
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

from benchmarks import peers, results
from benchmarks.convolution import parse_batches, parse_layers
from benchmarks.layers import BOUNDARIES, LAYERS, Layer
from benchmarks.timing import interleaved
from cnn_jax.ops.algorithms import Settings, registry, selection
from cnn_jax.ops.algorithms.autotune import candidates
from cnn_jax.ops.algorithms.primitive import convolution
from cnn_jax.ops.windows import resolve_padding

CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}
# A candidate that takes so many times longer than the fastest is called once only.
_HOPELESS = 4.0


def main(arguments: list[str] | None = None) -> None:
    options = _options(arguments)
    jax.config.update("jax_enable_compilation_cache", False)
    found = results.load(options.out) if options.resume else results.Results()
    for layer in options.layers:
        for batch in options.batches:
            if batch > layer.largest_batch:
                continue
            arrays = peers.draw(layer, batch)
            for form in options.forms:
                labels = {"kind": form, "layer": layer.name, "batch": batch}
                labels |= {"clock": options.clock, "loop": options.loop}
                record = found.record(labels)
                if not record["seconds"]:
                    record |= _measure(layer, form, arrays, options)
                    found.save(options.out)
                print(_line(record), flush=True)


def _measure(
    layer: Layer, form: str, arrays: peers.Arrays, options: argparse.Namespace
) -> dict[str, Any]:
    clock = CLOCKS[options.clock]
    names = _names(layer, form, len(arrays.inputs))
    calls = {name: _call(name, layer, form, arrays, options.loop) for name in names}
    once = {name: _once(call, clock) for name, call in calls.items()}
    bound = _HOPELESS * min(once.values())
    close = {name: call for name, call in calls.items() if once[name] <= bound}
    timed = interleaved(close, budget=options.budget, clock=clock)
    hopeless = {name: once[name] for name in once if name not in close}
    return {
        "chosen": _chosen(layer, form, len(arrays.inputs)),
        "seconds": results.rounded(timed)
        | {name: [seconds] for name, seconds in hopeless.items()},
    }


def _names(layer: Layer, form: str, batch: int) -> list[str]:
    """The algorithms of a form that can compute this layer, and lax."""
    settings, dtype = _settings(layer), jnp.dtype("float32")
    names = candidates(form, batch, layer.spatial, layer.kernel_shape, settings, dtype)
    # A loop over groups leaves the choice inside of it to "auto".
    chosen = _chosen(layer, form, batch)
    kept = [name for name in names if name != registry.GROUPED]
    return list(dict.fromkeys(["lax", *kept, chosen]))


def _chosen(layer: Layer, form: str, batch: int) -> str:
    return selection.select(
        form, layer.spatial, layer.kernel_shape, _settings(layer), batch
    )


def _call(
    name: str, layer: Layer, form: str, arrays: peers.Arrays, loop: int
) -> Callable[[], Any]:
    """One convolution, or as many as `loop` says inside one compiled loop."""
    inputs, kernel, cotangent = arrays
    if name == "lax":
        convolve = partial(peers.by_lax, layer)
    else:
        name = "auto" if name == registry.GROUPED else name
        convolve = partial(
            convolution, settings=_settings(layer), algorithms=(name,) * 3
        )

    def input_gradient(kernel: jax.Array, cotangent: jax.Array) -> jax.Array:
        return jax.linear_transpose(lambda x: convolve(x, kernel), inputs)(cotangent)[0]

    def kernel_gradient(inputs: jax.Array, cotangent: jax.Array) -> jax.Array:
        return jax.linear_transpose(lambda k: convolve(inputs, k), kernel)(cotangent)[0]

    function, *given = {
        "forward": (convolve, inputs, kernel),
        "input_gradient": (input_gradient, kernel, cotangent),
        "kernel_gradient": (kernel_gradient, inputs, cotangent),
    }[form]
    if not loop:
        return partial(jax.jit(function), *given)
    stacked = [jnp.stack([array] * loop) for array in given]
    return partial(jax.jit(lambda *a: jax.lax.map(lambda x: function(*x), a)), *stacked)


def _settings(layer: Layer) -> Settings:
    rank = len(layer.spatial)
    strides, dilation = (layer.stride,) * rank, (layer.dilation,) * rank
    _, pairs = resolve_padding(
        layer.padding, layer.spatial, layer.window, strides, dilation
    )
    return Settings(strides, pairs, (1,) * rank, dilation, layer.groups)


def _once(call: Callable[[], Any], clock: Callable[[], float]) -> float:
    jax.block_until_ready(call())
    start = clock()
    jax.block_until_ready(call())
    return clock() - start


def _line(record: dict[str, Any]) -> str:
    """The chosen algorithm, and the others in the order of their times."""
    chosen = record["chosen"]
    ratios = {name: results.ratio(record, name, chosen) for name in record["seconds"]}
    others = sorted(ratios.items(), key=lambda item: item[1])
    text = ", ".join(f"{name} {value:.2f}" for name, value in others if name != chosen)
    least = 1e3 * min(record["seconds"][chosen]) / (record["loop"] or 1)
    title = f"{record['layer']}, batch {record['batch']}, {record['kind']}"
    return f"{title}: {chosen} {least:.3g} ms; {text}"


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.candidates",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--layers",
        type=partial(parse_layers, layers=LAYERS + BOUNDARIES),
        default=LAYERS,
        help="comma list of parts of layers' names, of nets or "
        + "; ".join(layer.name for layer in BOUNDARIES),
    )
    parser.add_argument("--batches", type=parse_batches, default=(8,))
    parser.add_argument(
        "--forms",
        type=lambda text: text.split(","),
        default=list(registry.FORMS),
        help="comma list of " + ", ".join(registry.FORMS),
    )
    parser.add_argument(
        "--loop",
        type=int,
        default=0,
        help="so many convolutions in one loop, as in a training; default none",
    )
    parser.add_argument("--clock", choices=CLOCKS, default="wall")
    parser.add_argument(
        "--budget",
        type=float,
        default=1.0,
        help="seconds per form; default %(default)s",
    )
    parser.add_argument("--resume", action="store_true", help="keep what OUT has")
    parser.add_argument(
        "--out", type=Path, default=Path("runs/benchmarks/candidates.json")
    )
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
