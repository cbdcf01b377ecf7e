"""One convolution by this library and by its peers, forward and with both gradients.

Layouts: inputs [N, *spatial, C], kernel [*window, C // groups, O], outputs and
cotangent [N, *out, O].
"""

import importlib
import importlib.metadata
import os
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from benchmarks.layers import Layer
from cnn_jax import conv

FORMS = ("forward", "gradients")
_DIMENSION_NUMBERS = {
    1: ("NWC", "WIO", "NWC"),
    2: ("NHWC", "HWIO", "NHWC"),
    3: ("NDHWC", "DHWIO", "NDHWC"),
}


class Arrays(NamedTuple):
    """What a layer is applied to; the cotangent is as large as its outputs."""

    inputs: Array
    kernel: Array
    cotangent: Array


def draw(layer: Layer, batch: int) -> Arrays:
    """Normal draws, the kernel scaled so that outputs are about 1."""
    rng = np.random.default_rng(0)
    inputs = rng.normal(size=(batch, *layer.spatial, layer.channels))
    fan_in = np.prod(layer.kernel_shape[:-1])
    kernel = rng.normal(size=layer.kernel_shape) / np.sqrt(fan_in)
    inputs, kernel = jnp.float32(inputs), jnp.float32(kernel)
    out = jax.eval_shape(partial(ours, layer), inputs, kernel).shape
    return Arrays(inputs, kernel, jnp.float32(rng.normal(size=out)))


def ours(layer: Layer, inputs: Array, kernel: Array) -> Array:
    """cnn_jax.conv, with the algorithm that it chooses."""
    return conv(
        inputs,
        kernel,
        strides=layer.stride,
        padding=layer.padding,
        kernel_dilation=layer.dilation,
        feature_group_count=layer.groups,
    )


def by_lax(layer: Layer, inputs: Array, kernel: Array) -> Array:
    """jax.lax.conv_general_dilated, channels last."""
    rank = len(layer.spatial)
    return lax.conv_general_dilated(
        inputs,
        kernel,
        (layer.stride,) * rank,
        layer.padding,
        rhs_dilation=(layer.dilation,) * rank,
        dimension_numbers=_DIMENSION_NUMBERS[rank],
        feature_group_count=layer.groups,
    )


def by_linen(layer: Layer, inputs: Array, kernel: Array) -> Array:
    """flax.linen.Conv with this kernel and no bias."""
    module = nn.Conv(
        layer.features,
        layer.window,
        strides=layer.stride,
        padding=layer.padding,
        kernel_dilation=layer.dilation,
        feature_group_count=layer.groups,
        use_bias=False,
    )
    return jnp.asarray(module.apply({"params": {"kernel": kernel}}, inputs))


PEERS = {"ours": ours, "lax": by_lax, "linen": by_linen}


def with_gradients(
    convolve: Callable[[Array, Array], Array],
) -> Callable[[Array, Array, Array], tuple[Array, Array, Array]]:
    """(inputs, kernel, cotangent) -> outputs and the gradients to both."""

    def outputs_and_gradients(inputs: Array, kernel: Array, cotangent: Array) -> Any:
        outputs, pullback = jax.vjp(convolve, inputs, kernel)
        return outputs, *pullback(cotangent)

    return outputs_and_gradients


def compiled(
    convolve: Callable[..., Array], layer: Layer, form: str, arrays: Arrays
) -> Callable[[], Any]:
    """A jitted call of one form, its arrays handed over as arguments."""
    function = partial(convolve, layer)
    if form == "forward":
        return partial(jax.jit(function), arrays.inputs, arrays.kernel)
    return partial(jax.jit(with_gradients(function)), *arrays)


def torch_call(layer: Layer, form: str, arrays: Arrays) -> Callable[[], Any]:
    """The same by torch, channels last; one spatial axis as images of one row.

    SAME padding is given as an equal number of zeros on both sides, which torch pads
    without a copy: outputs of the same size, from as many products.

    Raises:
      ModuleNotFoundError: torch is not installed.
    """
    torch = importlib.import_module("torch")
    rank = len(layer.spatial)
    lifted = max(rank, 2)
    memory = torch.channels_last if lifted == 2 else torch.channels_last_3d
    inputs, kernel, cotangent = map(torch_array, arrays)
    if rank == 1:
        inputs, kernel, cotangent = inputs[:, None], kernel[None], cotangent[:, None]
    front = (0, lifted + 1, *range(1, lifted + 1))
    inputs, cotangent = (
        array.permute(front).contiguous(memory_format=memory)
        for array in (inputs, cotangent)
    )
    kernel = kernel.permute(lifted + 1, lifted, *range(lifted))
    kernel = kernel.contiguous(memory_format=memory)
    same = [layer.dilation * (k - 1) // 2 for k in layer.window]
    padding = same if layer.padding == "SAME" else [0] * rank
    lift = (1,) * (lifted - rank)
    convolve = partial(
        torch.conv2d if lifted == 2 else torch.conv3d,
        bias=None,
        stride=(*lift, *(layer.stride,) * rank),
        padding=((0,) * len(lift) + tuple(padding)),
        dilation=(*lift, *(layer.dilation,) * rank),
        groups=layer.groups,
    )
    if form == "forward":
        return waited_for(partial(torch.inference_mode()(convolve), inputs, kernel))
    inputs.requires_grad_()
    kernel.requires_grad_()

    def outputs_and_gradients() -> Any:
        outputs = convolve(inputs, kernel)
        return outputs, *torch.autograd.grad(outputs, (inputs, kernel), cotangent)

    return waited_for(outputs_and_gradients)


def torch_version() -> str | None:
    """None where torch is not installed."""
    try:
        return importlib.metadata.version("torch")
    except importlib.metadata.PackageNotFoundError:
        return None


def prepare_torch(device: str) -> bool:
    """Gives torch as many threads as jax has, and float32 as it is, not TF32.

    Returns:
      Whether it is installed, for this device.
    """
    if torch_version() is None:
        return False
    torch = importlib.import_module("torch")
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    return device == "cpu" or torch.cuda.is_available()


def torch_device() -> str:
    """Where jax computes, by torch's name."""
    return "cuda" if jax.default_backend() == "gpu" else "cpu"


def torch_array(array: Array) -> Any:
    """A copy of it where jax computes."""
    torch = importlib.import_module("torch")
    return torch.from_numpy(np.array(array)).to(torch_device())


def waited_for(call: Callable[[], Any]) -> Callable[[], Any]:
    """torch returns from a call before a GPU has finished it; this does not."""
    if torch_device() == "cpu":
        return call
    torch = importlib.import_module("torch")

    def finished() -> Any:
        result = call()
        torch.cuda.synchronize()
        return result

    return finished
