"""What `ops.conv_max_pool` gains over convolution, relu and maximum pool one by one.

    python -m benchmarks.blocks

prints per layer how many times as fast the block is, forward and with all three
gradients, of minima in alternating order: what its rule, by channels and features, was
derived from. One minute on two idle cores. The rule is left out here, so that layers
beyond it can be seen. Whole nets are in `benchmarks.training`.
"""

import sys
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from benchmarks.timing import interleaved
from cnn_jax import ops
from cnn_jax.ops import blocks


class Layer(NamedTuple):
    """A window of `taps` per axis over images [batch, *spatial, channels]."""

    batch: int
    spatial: tuple[int, ...]
    channels: int
    features: int
    taps: int


LAYERS = (
    *(Layer(batch, (28, 28), 1, 6, 5) for batch in (4, 32, 256)),
    *(Layer(batch, (14, 14), 6, 16, 5) for batch in (4, 32, 256)),
    Layer(32, (28, 28), 1, 16, 3),
    Layer(32, (28, 28), 3, 8, 3),
    Layer(32, (14, 14), 8, 16, 3),
    Layer(8, (64, 64), 8, 8, 3),
    Layer(32, (100,), 8, 8, 5),
    Layer(8, (16, 16, 16), 2, 6, 3),
    Layer(32, (14, 14), 12, 16, 5),
    Layer(32, (28, 28), 16, 16, 3),
    Layer(32, (28, 28), 3, 32, 3),
    Layer(32, (14, 14), 6, 32, 5),
)


def main() -> None:
    blocks.MOST_CHANNELS = blocks.MOST_FEATURES = sys.maxsize
    print("| N, size, C -> O, kernel | forward | with gradients |\n|---|---|---|")
    for layer in LAYERS:
        forward, trained = (ratio(layer, kind) for kind in ("forward", "trained"))
        size, taps = (
            " x ".join(map(str, each))
            for each in (layer.spatial, (layer.taps,) * len(layer.spatial))
        )
        name = f"{layer.batch}, {size}, {layer.channels} -> {layer.features}, {taps}"
        print(f"| {name} | {forward:.2f} | {trained:.2f} |", flush=True)


def draw(layer: Layer) -> list[Array]:
    """Inputs, kernel and bias."""
    window = (layer.taps,) * len(layer.spatial)
    shapes = (
        (layer.batch, *layer.spatial, layer.channels),
        (*window, layer.channels, layer.features),
        (layer.features,),
    )
    generator = np.random.default_rng(0)
    return [jnp.asarray(generator.normal(size=shape), jnp.float32) for shape in shapes]


def ratio(layer: Layer, kind: str) -> float:
    """Least seconds of the parts by those of the block."""
    given = draw(layer)
    seed = block(*given)  # any numbers of the outputs' shape
    calls = {}
    for way in (parts, block):
        jitted = jax.jit(way if kind == "forward" else _with_gradients(way))
        arguments = given if kind == "forward" else (seed, *given)
        calls[way.__name__] = lambda jitted=jitted, each=arguments: jitted(*each)
    seconds = interleaved(calls, repeats=25, budget=4.0)
    return float(seconds["parts"].min() / seconds["block"].min())


def parts(inputs: Array, kernel: Array, bias: Array) -> Array:
    window = (2,) * (inputs.ndim - 2)
    return ops.max_pool(jax.nn.relu(ops.conv(inputs, kernel, bias)), window, window)


def block(inputs: Array, kernel: Array, bias: Array) -> Array:
    given = inputs, kernel, bias
    return ops.conv_max_pool(*given, window_shape=2, activation=jax.nn.relu)[2]


def _with_gradients(way: Callable[..., Array]) -> Callable[..., Any]:
    def trained(seed: Array, *given: Array) -> Any:
        outputs, back = jax.vjp(way, *given)
        return outputs, back(seed)

    return trained


if __name__ == "__main__":
    main()
