"""Convolutions inside larger programs: vmap, scan, and what compiling them takes."""

import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from benchmarks.layers import Layer
from benchmarks.peers import PEERS, Arrays, draw, with_gradients
from benchmarks.timing import interleaved
from cnn_jax import layers
from cnn_jax.models import LeNet
from cnn_jax.training import classification

COUNT = 8
STEPS = 4
MEASURED = ("ours", "lax")
VMAP_KINDS = ("vmap over kernels", "vmap over inputs and kernels")
# What a convolution is inside of -> the name of that program's time.
INSIDE = {**dict.fromkeys(VMAP_KINDS, "mapped"), "scan": "scanned"}


def inside(kind: str, layer: Layer, batch: int, **timing: Any) -> dict[str, np.ndarray]:
    """Seconds of convolutions with gradients in one program, and one by one.

    Under vmap 8 of them, over kernels and cotangents: of one batch of inputs, as in the
    first layer of a study over seeds, or each of its own. In a scan 4 gradient steps on
    inputs and kernel.

    Returns:
      "ours mapped" or "ours scanned", "ours calls", and the same of "lax" -> [rounds].
    """
    programs = _scanned if kind == "scan" else partial(_mapped, kind == VMAP_KINDS[0])
    candidates = {}
    for name in MEASURED:
        function = with_gradients(partial(PEERS[name], layer))
        together, calls = programs(function, draw(layer, batch))
        candidates |= {f"{name} {INSIDE[kind]}": together, f"{name} calls": calls}
    return interleaved(candidates, **timing)


def _mapped(
    shared: bool, function: Callable[..., Any], arrays: Arrays
) -> tuple[Callable[[], Any], Callable[[], Any]]:
    stacked = jax.tree.map(_stack, arrays)
    calls = [jax.tree.map(lambda a, i=i: a[i], stacked) for i in range(COUNT)]
    if shared:
        stacked = stacked._replace(inputs=arrays.inputs)
        calls = [own._replace(inputs=arrays.inputs) for own in calls]
    mapped = jax.jit(jax.vmap(function, (None if shared else 0, 0, 0)))
    one = jax.jit(function)
    return partial(mapped, *stacked), lambda: [one(*own) for own in calls]


def _scanned(
    function: Callable[..., Any], arrays: Arrays
) -> tuple[Callable[[], Any], Callable[[], Any]]:
    state, slopes = tuple(arrays[:2]), arrays.cotangent

    def step(state: Any, slopes: Array) -> Any:
        outputs, *gradients = function(*state, slopes)
        moved = [a - 1e-6 * g for a, g in zip(state, gradients, strict=True)]
        return tuple(moved), jnp.sum(outputs)

    @jax.jit
    def scan(state: Any, slopes: Array) -> Any:
        return jax.lax.scan(lambda s, _: step(s, slopes), state, length=STEPS)

    one = jax.jit(step)

    def calls() -> Any:
        current = state
        for _ in range(STEPS):
            current, _total = one(current, slopes)
        return current

    return partial(scan, state, slopes), calls


def layer_compilation(
    layer: Layer, batch: int, repeats: int = 2
) -> dict[str, np.ndarray]:
    """Seconds to trace and compile a layer with its gradients.

    Returns:
      "ours", "lax" -> [repeats].
    """
    shapes = jax.tree.map(_shape, draw(layer, batch))
    programs = {
        name: partial(_compile, with_gradients(partial(PEERS[name], layer)), *shapes)
        for name in MEASURED
    }
    return _cold(programs, repeats)


def lenet_compilation(repeats: int = 3) -> dict[str, np.ndarray]:
    """Seconds to trace and compile a chunk of training steps of LeNet.

    Returns:
      "ours", "linen" -> [repeats].
    """
    data = classification.Data(
        jnp.zeros((256, 28, 28, 1)),
        jnp.zeros(256, jnp.int32),
        jnp.int32(0),
        jnp.int32(10),
    )
    programs = {}
    for name, layer in {"ours": layers.Conv, "linen": nn.Conv}.items():
        config = classification.Config(
            LeNet(conv=layer), image_shape=(28, 28, 1), chunk_steps=10
        )
        state = jax.eval_shape(
            partial(classification.init, config=config), jax.random.key(0)
        )
        chunk = partial(classification.chunk, config=config)
        programs[name] = partial(_compile, chunk, state, data)
    return _cold(programs, repeats)


def _stack(array: Array) -> Array:
    """Different copies of an array, along a new first axis."""
    scales = 1 + jnp.arange(COUNT, dtype=array.dtype) / COUNT
    return array[None] * scales.reshape(-1, *(1,) * array.ndim)


def _shape(array: Array) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(array.shape, array.dtype)


def _compile(function: Callable[..., Any], *arguments: Any) -> None:
    jax.jit(lambda *given: function(*given)).lower(*arguments).compile()


def _cold(
    programs: Mapping[str, Callable[[], None]], repeats: int
) -> dict[str, np.ndarray]:
    """Seconds per program, all that jax remembers forgotten before each."""
    seconds: dict[str, list[float]] = {name: [] for name in programs}
    for repeat in range(repeats):
        names = list(programs)
        for name in names if repeat % 2 == 0 else reversed(names):
            jax.clear_caches()
            start = time.perf_counter()
            programs[name]()
            seconds[name].append(time.perf_counter() - start)
    return {name: np.asarray(values) for name, values in seconds.items()}
