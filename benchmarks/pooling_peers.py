"""Pools by this library and by its peers, forward and with the gradient.

Inputs are [N, *spatial, C]; windows lie side by side unless a stride is given, without
padding.
"""

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

import cnn_jax
from benchmarks.peers import torch_array, waited_for

FORMS = ("forward", "gradients")
KINDS = ("max", "avg", "l2")


@dataclass(frozen=True)
class Pool:
    """One pool of a kind over one shape; window 0 is the whole image.

    Attributes:
      kind: "max", "avg", "l2", "blur" or "polyphase".
      window, stride: of all spatial axes alike; taps of "blur".
      batch, size, channels: N, each spatial size, C.
      rank: number of spatial axes.
    """

    kind: str
    window: int
    stride: int
    batch: int = 8
    size: int = 56
    channels: int = 64
    rank: int = 2

    @property
    def title(self) -> str:
        """For example max 3 / 2; max, global."""
        return (
            f"{self.kind} {self.window} / {self.stride}"
            if self.window
            else (f"{self.kind}, global")
        )

    @property
    def shape_text(self) -> str:
        """For example 8x56x56x64."""
        return "x".join(
            map(str, (self.batch, *(self.size,) * self.rank, self.channels))
        )

    @property
    def windows(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """window_shape and strides."""
        return (self.window,) * self.rank, (self.stride,) * self.rank


_WINDOWS = ((2, 2), (3, 2), (7, 7), (7, 1), (0, 0))
POOLS = tuple(
    Pool(kind, *window, *shape)
    for shape in ((8, 56, 64), (64, 28, 32), (64, 7, 512))
    for window in _WINDOWS
    for kind in KINDS
    # A window of the whole image is a global pool, and tiny maps have nothing to slide.
    if shape[1] > 7 or window in ((2, 2), (3, 2), (0, 0))
)
# Downsampling that no peer has: held against a blur.
ANTIALIASED = tuple(
    Pool(kind, window, 2, *shape)
    for shape in ((8, 56, 64), (64, 28, 32))
    for kind, window in (("blur", 3), ("polyphase", 2))
)


class Arrays(NamedTuple):
    """What a pool is applied to; the cotangent is as large as its outputs."""

    inputs: Array
    cotangent: Array


def ours(pool: Pool, inputs: Array) -> Array:
    """cnn_jax's pool."""
    match pool.kind:
        case "blur":
            return cnn_jax.blur_pool(inputs, pool.windows[1], taps=pool.window)
        case "polyphase":
            return cnn_jax.polyphase_pool(inputs, pool.windows[1])
        case "l2" if pool.window:
            return cnn_jax.lp_pool(inputs, 2, *pool.windows)
        case "l2":
            return cnn_jax.global_lp_pool(inputs, 2)
    named = getattr(cnn_jax, f"{pool.kind}_pool" if pool.window else _GLOBAL[pool.kind])
    return named(inputs, *pool.windows) if pool.window else named(inputs)


_GLOBAL = {"max": "global_max_pool", "avg": "global_avg_pool"}


def by_linen(pool: Pool, inputs: Array) -> Array:
    """flax.linen's pool; for a global one a window of the whole image."""
    window, strides = pool.windows
    if not pool.window:
        window = strides = (pool.size,) * pool.rank
    named = nn.max_pool if pool.kind == "max" else nn.avg_pool
    return named(inputs, window, strides).reshape(
        jax.eval_shape(partial(ours, pool), inputs).shape
    )


def libraries(pool: Pool) -> dict[str, Callable[[Pool, Array], Array]]:
    """Ours, and linen where it has such a pool."""
    return {"ours": ours, "linen": by_linen} if pool.kind in _GLOBAL else {"ours": ours}


def draw(pool: Pool) -> Arrays:
    """Normal inputs and cotangents."""
    rng = np.random.default_rng(0)
    shape = (pool.batch, *(pool.size,) * pool.rank, pool.channels)
    inputs = jnp.float32(rng.normal(size=shape))
    out = jax.eval_shape(partial(ours, pool), inputs).shape
    return Arrays(inputs, jnp.float32(rng.normal(size=out)))


def compiled(
    library: Callable[[Pool, Array], Array], pool: Pool, form: str, arrays: Arrays
) -> Callable[[], Any]:
    """A jitted call of one form, its arrays handed over as arguments."""
    forward = partial(library, pool)
    if form == "forward":
        return partial(jax.jit(forward), arrays.inputs)

    def outputs_and_gradient(inputs: Array, cotangent: Array) -> Any:
        outputs, pullback = jax.vjp(forward, inputs)
        return outputs, *pullback(cotangent)

    return partial(jax.jit(outputs_and_gradient), *arrays)


def torch_call(pool: Pool, form: str, arrays: Arrays) -> Callable[[], Any]:
    """The same by torch, channels last; global pools by its reductions.

    Raises:
      ModuleNotFoundError: torch is not installed.
    """
    torch = importlib.import_module("torch")
    functional = torch.nn.functional
    inputs, cotangent = map(torch_array, arrays)
    inputs = inputs.permute(0, 3, 1, 2).contiguous(memory_format=torch.channels_last)
    if pool.window:
        cotangent = cotangent.permute(0, 3, 1, 2)
        cotangent = cotangent.contiguous(memory_format=torch.channels_last)
        window = {"kernel_size": pool.window, "stride": pool.stride}
        forward = {
            "max": partial(functional.max_pool2d, **window),
            "avg": partial(functional.avg_pool2d, **window),
            "l2": partial(functional.lp_pool2d, norm_type=2, **window),
        }[pool.kind]
    else:
        forward = {
            "max": partial(torch.amax, dim=(2, 3)),
            "avg": partial(torch.mean, dim=(2, 3)),
            "l2": partial(torch.linalg.vector_norm, dim=(2, 3)),
        }[pool.kind]
    if form == "forward":
        return waited_for(partial(torch.inference_mode()(forward), inputs))
    inputs.requires_grad_()

    def outputs_and_gradient() -> Any:
        outputs = forward(inputs)
        return outputs, *torch.autograd.grad(outputs, (inputs,), cotangent)

    return waited_for(outputs_and_gradient)
