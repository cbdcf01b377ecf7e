"""Which algorithm "autotune" stands for: the fastest of those that apply, measured.

Once per form, shape, settings and dtype, where the primitive is lowered: its shapes are
final there, also under vmap, inside loops and for gradients of any order. On a CPU two
convolutions are measured in a loop, as in a training: what is fast outside of loops
only would be a trap. "winograd4" is never chosen, since its rounding errors are several
times those of the others; it has to be asked for.
"""

import math
import threading
import time
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from cnn_jax.ops.algorithms import Settings, choices
from cnn_jax.ops.algorithms.registry import GROUPED, serving
from cnn_jax.ops.algorithms.selection import (
    MAX_DEPTH,
    MAX_ELEMENTS,
    MAX_PHASES,
    MAX_TAPS,
    growth,
)

_INEXACT = "winograd4"
_ROUNDS = 5
_BUDGET = 0.5
_HOPELESS = 2.0
_measuring = threading.RLock()


def choose(
    form: str,
    on_cpu: bool,
    arrays: tuple[Array, Array],
    sizes: tuple[Sequence[int], Sequence[int]],
    settings: Settings,
    dtype: jnp.dtype,
    compute: Callable[[str], Callable[..., Array]],
) -> str:
    """The fastest algorithm: recorded, remembered, stored or measured now.

    Args:
      form: "forward", "input_gradient" or "kernel_gradient".
      on_cpu: whether it is lowered for a CPU.
      arrays: what the form takes, perhaps traced.
      sizes: of the inputs, and the kernel's shape.
      settings: strides, padding, dilations, groups, precision.
      dtype: of the result.
      compute: name -> function of both arrays, with an axis of several in front.

    Returns:
      A name of the form's algorithms, or "grouped".
    """
    backend = "cpu" if on_cpu else jax.default_backend()
    if not on_cpu and backend == "cpu":  # lowered for a device that is not here
        return "direct"
    try:
        device = jax.local_devices(backend=backend)[0]
    except RuntimeError:
        return "direct"
    left = arrays[0]
    names = candidates(form, len(left), *sizes, settings, left.dtype)
    unfit = {_INEXACT}
    if not on_cpu and not jnp.issubdtype(left.dtype, jnp.inexact):
        unfit.add("direct")  # cuDNN convolves no int32
    names = [name for name in names if name not in unfit]
    text = _text(f"{backend} {form}", arrays, sizes, settings, dtype)
    with _measuring:
        found = choices.find(text, backend, device.device_kind, names)
        if found is not None:
            return found
        several = 2 if on_cpu else 1
        operands = [((several, *each.shape), each.dtype) for each in arrays]
        functions = {name: compute(name) for name in names}
        seconds = _measure(functions, operands, device)
        if not seconds:
            return "direct"
        return choices.keep(text, backend, device.device_kind, seconds)


def _text(
    form: str,
    arrays: tuple[Array, Array],
    sizes: tuple[Sequence[int], Sequence[int]],
    settings: Settings,
    dtype: jnp.dtype,
) -> str:
    """All that a choice depends on but the machine."""
    shapes = ", ".join(f"{each.dtype}{list(each.shape)}" for each in arrays)
    spatial, (*window, _, _) = sizes
    precision = jax.config.jax_default_matmul_precision  # pyrefly: ignore
    return (
        f"{form} {shapes} -> {dtype}, spatial {list(spatial)}, window {window}, "
        f"{settings}, precision {precision}"
    )


def candidates(
    form: str,
    images: int,
    spatial: Sequence[int],
    kernel_shape: Sequence[int],
    settings: Settings,
    dtype: jnp.dtype,
) -> list[str]:
    """What is worth measuring: it serves the settings, and is soon made and held."""
    *window, channels, features = kernel_shape
    groups = settings.feature_group_count
    out = math.prod(settings.out(spatial, window))
    padded = [
        n * r + low + high
        for n, r, (low, high) in zip(
            spatial, settings.input_dilation, settings.pairs, strict=True
        )
    ]
    depths = images * groups * channels + channels * features + images * features
    band = math.prod(window[:-1]) * padded[-1] * channels * features
    last = settings.out(spatial, window)[-1]
    affordable = {
        "im2col": images * out * math.prod(window) * channels * groups <= MAX_ELEMENTS,
        "col2im": images * math.prod((*padded, *window)) * features <= MAX_ELEMENTS,
        "space_to_depth": growth(window, settings) <= 2,
        "phases": math.prod(settings.strides) <= MAX_PHASES,
        "planes": window[0] <= MAX_DEPTH,
        "shifted": math.prod(window) <= MAX_TAPS,
        "banded": band * last < MAX_ELEMENTS // 8,
        "depthwise": math.prod(window) <= MAX_TAPS,
        "fourier": depths * math.prod(padded) < MAX_ELEMENTS,
    }
    served = serving(form, kernel_shape, settings, dtype)
    names = [name for name in served if affordable.get(name, True)]
    return [*names, GROUPED] if groups > 1 else names


def _measure(
    functions: dict[str, Callable[..., Array]],
    operands: Sequence[tuple[tuple[int, ...], jnp.dtype]],
    device: jax.Device,
) -> dict[str, float]:
    """Seconds of each function that compiles and runs: minima, interleaved."""
    with jax.ensure_compile_time_eval():
        arrays = [
            jax.device_put(np.ones(shape, dtype), device) for shape, dtype in operands
        ]
        programs, seconds = {}, {}
        for name, function in functions.items():
            try:
                programs[name] = jax.jit(function).lower(*arrays).compile()
                jax.block_until_ready(programs[name](*arrays))
                seconds[name] = _seconds(programs[name], arrays)
            except jax.errors.JaxRuntimeError:  # too large, or not for this backend
                continue
        hopeful = [
            name
            for name, s in seconds.items()
            if s <= _HOPELESS * min(seconds.values())
        ]
        began = time.perf_counter()
        for _ in range(_ROUNDS):
            if time.perf_counter() - began > _BUDGET:
                break
            for name in hopeful:
                again = _seconds(programs[name], arrays)
                seconds[name] = min(seconds[name], again)
    return seconds


def _seconds(program: Callable[..., Array], arrays: Sequence[Array]) -> float:
    began = time.perf_counter()
    jax.block_until_ready(program(*arrays))
    return time.perf_counter() - began
