"""Recurrent nets by this library and by its peers, forward and with all gradients.

Inputs are [N, T, D], outputs and cotangent [N, T, H], or 2H in both directions.
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

from benchmarks.peers import torch_array, torch_device, waited_for
from cnn_jax import layers

FORMS = ("forward", "gradients")
CELLS = {"LSTM": "OptimizedLSTMCell", "GRU": "GRUCell", "RNN": "SimpleCell"}
KINDS = ("one layer", "both directions", "2 layers")
LIBRARIES = {"ours": layers, "linen": nn}


@dataclass(frozen=True)
class Net:
    """One net at one shape: N sequences of T steps, D inputs, H units."""

    cell: str
    batch: int
    steps: int
    inputs: int
    hidden: int
    kind: str = "one layer"

    @property
    def shape_text(self) -> str:
        """For example (32, 100, 64, 128)."""
        return str((self.batch, self.steps, self.inputs, self.hidden))

    def by(self, library: Any) -> nn.Module:
        """The net of modules that have linen's names."""

        def layer() -> nn.Module:
            return library.RNN(getattr(library, CELLS[self.cell])(self.hidden))

        if self.kind == "both directions":
            return library.Bidirectional(layer(), layer())
        return nn.Sequential([layer() for _ in range(2 if "2" in self.kind else 1)])


SHAPES = (
    (32, 100, 64, 128),
    (64, 784, 1, 128),
    (20, 35, 650, 650),
    (1, 400, 256, 256),
    (256, 50, 32, 32),
)
NETS = tuple(Net(cell, *shape) for shape in SHAPES for cell in CELLS) + tuple(
    Net(cell, *SHAPES[0], kind) for kind in KINDS[1:] for cell in CELLS
)


class Arrays(NamedTuple):
    """What a net is applied to; the cotangent is as large as its outputs."""

    variables: Any
    inputs: Array
    cotangent: Array


def draw(net: Net) -> Arrays:
    """Normal inputs and cotangents, linen's own draw of the parameters."""
    rng = np.random.default_rng(0)
    inputs = jnp.float32(rng.normal(size=(net.batch, net.steps, net.inputs)))
    module = net.by(nn)
    variables = module.init(jax.random.key(0), inputs)
    out = jax.eval_shape(module.apply, variables, inputs).shape
    return Arrays(variables, inputs, jnp.float32(rng.normal(size=out)))


def program(net: Net, library: str, form: str) -> Callable[..., Any]:
    """Arrays -> outputs, and in form "gradients" those to parameters and inputs."""
    module = net.by(LIBRARIES[library])

    def forward(variables: Any, inputs: Array, cotangent: Array) -> Any:
        return module.apply(variables, inputs)

    def gradients(variables: Any, inputs: Array, cotangent: Array) -> Any:
        outputs, pullback = jax.vjp(module.apply, variables, inputs)
        return outputs, pullback(cotangent)

    return forward if form == "forward" else gradients


def torch_call(net: Net, form: str, arrays: Arrays) -> Callable[[], Any]:
    """The same by torch, batch first, its own draw of the parameters.

    Raises:
      ModuleNotFoundError: torch is not installed.
    """
    torch = importlib.import_module("torch")
    module = getattr(torch.nn, net.cell)(
        net.inputs,
        net.hidden,
        num_layers=2 if "2" in net.kind else 1,
        bidirectional=net.kind == "both directions",
        batch_first=True,
    ).to(torch_device())
    inputs, cotangent = map(torch_array, arrays[1:])
    if form == "forward":
        return waited_for(partial(torch.inference_mode()(module), inputs))
    inputs.requires_grad_()
    wanted = (inputs, *module.parameters())

    def outputs_and_gradients() -> Any:
        outputs, _ = module(inputs)
        return outputs, *torch.autograd.grad(outputs, wanted, cotangent)

    return waited_for(outputs_and_gradients)
