"""The six nets, at the same number of parameters on each task.

Kernels are drawn on the host, which compiles nothing: recurrent ones orthogonal, of the
plain RNN normal with variance 1/H; all others normal with variance 1/fan-in, 2/fan-in
before a ReLU. Biases begin as 0, the LSTM's forget gate as 1.

Shape letters: D numbers a step, H features, O outputs, P parameters.
"""

import math
from dataclasses import dataclass
from functools import lru_cache, partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from cnn_jax import layers
from cnn_jax.models import RecurrentNet, TemporalConvNet
from experiments.harness.seeds import cut
from experiments.long_range_memory.tasks import Task

RECURRENT = ("rnn", "orthogonal", "lstm", "gru")
CONVOLUTIONAL = ("shallow", "dilated")
NETS = (*RECURRENT, *CONVOLUTIONAL)
WIDTH = 10  # channels of the dilated net, whose parameters the others match
KERNEL_SIZE = 8  # of the dilated net
# The last steps of a field lie on a single path: at T = 200 four blocks see just the
# 211 steps that are needed, and no seed learns to copy.
ROOM = 1.5
SHARE = 20  # the shallow net sees less than a twentieth of a sequence
CELLS = {
    "rnn": layers.SimpleCell,
    "orthogonal": layers.SimpleCell,
    "lstm": layers.LSTMCell,
    "gru": layers.GRUCell,
}
# Twice as fast as the algorithm of the general rule, on so few channels.
CONVOLUTION = partial(layers.Conv, algorithm="im2col")
GATES = {"rnn": 1, "orthogonal": 1, "lstm": 4, "gru": 3}


@dataclass(frozen=True)
class Net:
    """A named model and the shapes of its inputs without batch, [L, D]."""

    name: str
    model: RecurrentNet | TemporalConvNet
    input_shape: tuple[int, int]

    @property
    def num_params(self) -> int:
        return sum(math.prod(shape) for shape in _leaves(self)[0].values())

    @property
    def field(self) -> int:
        """Steps that an output sees; 0 for all before it."""
        model = self.model
        return model.field if isinstance(model, TemporalConvNet) else 0


def build(name: str, task: Task) -> Net:
    """The net of that name for the task, as large as the dilated net."""
    width = WIDTH
    if name != "dilated":
        target = num_params("dilated", task, WIDTH)
        width = min(
            range(1, 400), key=lambda each: abs(num_params(name, task, each) - target)
        )
    return Net(name, _model(name, task, width), (task.length, task.in_features))


def apply_flat(net: Net, params: Array, inputs: Array) -> Array:
    """Outputs of a net whose parameters are one vector [P]."""
    return net.model.apply({"params": as_tree(net, params)}, inputs)[0]


def as_tree(net: Net, params: Array) -> dict:
    """The vector [P] as the model's own tree."""
    shapes, tree = _leaves(net)
    return jax.tree.unflatten(tree, cut(params, *shapes.values()))


def initial(key: Array, net: Net) -> np.ndarray:
    """The vector [P] before training."""
    draw = np.random.RandomState(np.asarray(jax.random.key_data(key)))
    drawn = [
        _drawn(draw, net, name, shape).ravel()
        for name, shape in _leaves(net)[0].items()
    ]
    return np.concatenate(drawn).astype(np.float32)


def _drawn(
    draw: np.random.RandomState, net: Net, name: str, shape: tuple[int, ...]
) -> np.ndarray:
    """One leaf, by its place in the tree such as "layer1/cell/hf/kernel"."""
    if name.endswith("bias"):
        return np.full(shape, float(name.endswith("hf/bias")))
    normal = draw.standard_normal(shape)
    recurrent = "cell/h" in name
    if recurrent and net.name != "rnn":
        square, upper = np.linalg.qr(normal)
        return square * np.sign(np.diag(upper))  # uniform over rotations
    gain = 2.0 if "_conv/" in name else 1.0
    return normal * (gain / math.prod(shape[:-1])) ** 0.5


@lru_cache
def _leaves(net: Net):
    """Shapes by place in the tree, in its order; and the tree."""
    inputs = jax.ShapeDtypeStruct((1, *net.input_shape), jnp.float32)
    variables = jax.eval_shape(net.model.init, jax.random.key(0), inputs)
    leaves, tree = jax.tree.flatten_with_path(variables["params"])
    shapes = {
        "/".join(entry.key for entry in path): leaf.shape for path, leaf in leaves
    }
    return shapes, tree


def dilations(needed: int) -> tuple[int, ...]:
    """The fewest dilations 1, 2, 4, ... whose field is ROOM times what is needed.

    field = 1 + 2·(k − 1)·(2^n − 1)
    """
    number = 1
    while 1 + 2 * (KERNEL_SIZE - 1) * (2**number - 1) < ROOM * needed:
        number += 1
    return tuple(2**power for power in range(number))


def shallow_kernel_size(length: int) -> int:
    """The largest k whose field 2k − 1 is less than length / 20."""
    return max(1, ((length - 1) // SHARE + 1) // 2)


def num_params(name: str, task: Task, width: int) -> int:
    """Of a net of `width` features, the dense layer included.

    recurrent      g·H·(D + H + 1) + H where the cell is a GRU,   g gates
    convolutional  Σ over convolutions of k·in·C + C, the 1x1 shortcut among them
    dense          (H + 1)·O
    """
    dense = (width + 1) * task.num_outputs
    if name in RECURRENT:
        gates = GATES[name] * width * (task.in_features + width + 1)
        return gates + (width if name == "gru" else 0) + dense
    size, blocks = _geometry(name, task)
    number = 2 * len(blocks)
    into = task.in_features + (number - 1) * width
    shortcut = 0 if task.in_features == width else (task.in_features + 1) * width
    return size * into * width + number * width + shortcut + dense


def _geometry(name: str, task: Task) -> tuple[int, tuple[int, ...]]:
    """Kernel size and dilations: one undilated block, or as many as are needed."""
    if name == "shallow":
        return shallow_kernel_size(task.length), (1,)
    return KERNEL_SIZE, dilations(task.needed)


def _model(name: str, task: Task, width: int) -> RecurrentNet | TemporalConvNet:
    if name in RECURRENT:
        return RecurrentNet(width, task.num_outputs, CELLS[name], head=task.head)
    size, blocks = _geometry(name, task)
    return TemporalConvNet(
        width, task.num_outputs, blocks, size, task.head, CONVOLUTION
    )
