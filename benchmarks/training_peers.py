"""The training of whole nets by this library and by its peers, step for step the same.

All start from equal parameters and take the same steps of Adam on the mean
cross-entropy, on batches in one order of the examples: images [N, H, W, C], labels [N].
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

from cnn_jax.models import LeNet, ResNet
from cnn_jax.training import Config, Data, State, chunk, init

NAMES = ("LeNet-5", "ResNet-20")
LIBRARIES = ("ours", "linen")
_CLASSES = 10
_MODELS: dict[str, dict[str, nn.Module]] = {
    "LeNet-5": {
        "ours": LeNet(),
        "linen": LeNet(
            conv=nn.Conv, pool=partial(nn.max_pool, window_shape=(2, 2), strides=(2, 2))
        ),
    },
    # Ours keeps no running averages; what linen's would be is dropped, not computed.
    "ResNet-20": {
        "ours": ResNet(20),
        "linen": ResNet(
            20, conv=nn.Conv, norm=partial(nn.BatchNorm, use_running_average=False)
        ),
    },
}
_IMAGES = {"LeNet-5": (60_000, 28, 28, 1), "ResNet-20": (50_000, 32, 32, 3)}


@dataclass(frozen=True)
class Net:
    """One net at one batch size, trained for so many steps of one call.

    Attributes:
      name: "LeNet-5", as on MNIST, or "ResNet-20", as on CIFAR-10.
      batch: examples per step.
      steps: per timed call.
      examples: of the data set; 0 for as many as MNIST and CIFAR-10 have.
    """

    name: str
    batch: int
    steps: int
    examples: int = 0

    def model(self, library: str) -> nn.Module:
        return _MODELS[self.name][library]

    @property
    def images_shape(self) -> tuple[int, ...]:
        """[N, H, W, C] of the whole data set."""
        examples, *image = _IMAGES[self.name]
        return (self.examples or examples, *image)

    @property
    def config(self) -> Config:
        return Config(
            self.model("ours"),
            self.images_shape[1:],
            batch_size=self.batch,
            chunk_steps=self.steps,
        )


NETS = (
    Net("LeNet-5", 32, 100),
    Net("LeNet-5", 64, 100),
    Net("LeNet-5", 256, 50),
    Net("ResNet-20", 32, 10),
    Net("ResNet-20", 128, 5),
)


class Start(NamedTuple):
    """What all begin with: the data set on the host, its order, and ours' state.

    Attributes:
      images: [N, H, W, C] float32.
      labels: [N] int32.
      order: [N] indices: of the first epoch of our training.
      state: ours, before the first step.
    """

    images: np.ndarray
    labels: np.ndarray
    order: np.ndarray
    state: State

    def batch(self, net: Net, step: int) -> tuple[np.ndarray, np.ndarray]:
        """Images and labels of a step, picked on the host."""
        index = self.order[step * net.batch : (step + 1) * net.batch]
        return self.images[index], self.labels[index]


class Trained(NamedTuple):
    """Where the steps have led.

    Attributes:
      params: after the last step.
      moments: Adam's moving average of the gradients, a tree as that of params.
      losses: [steps].
    """

    params: Any
    moments: Any
    losses: Any


# Begins anew at each call and takes so many steps; None: those of a timed call.
Train = Callable[[int | None], Trained]


def draw(net: Net) -> Start:
    """Normal images with labels at random, and our own draw of the parameters."""
    rng = np.random.default_rng(0)
    images = rng.standard_normal(net.images_shape, np.float32)
    labels = rng.integers(_CLASSES, size=len(images), dtype=np.int32)
    state = init(jax.random.key(0), net.config)
    # As `cnn_jax.training` draws the order of epoch 0: held to it by the comparison.
    key = jax.random.fold_in(jax.random.fold_in(state.key, 0), 0)
    order = np.asarray(jax.random.permutation(key, len(images)))
    return Start(images, labels, order, state)


class Program(NamedTuple):
    """A jitted function, what it is compiled for, and the training by it.

    Attributes:
      jitted: to be lowered.
      arguments: of the first call.
      train: compiled program -> what is timed, a `Train` of one net.
    """

    jitted: Any
    arguments: tuple[Any, ...]
    train: Callable[[Callable[..., Any]], Callable[..., Any]]


def ours(net: Net, start: Start) -> Program:
    """A chunk of `cnn_jax.training`: all steps of a call in one scan."""
    data = Data(*map(jnp.asarray, (start.images, start.labels, 0, net.steps)))

    def train(compiled: Callable[..., Any], steps: int | None = None) -> Trained:
        wanted = data
        if steps is not None:  # an argument of the program: nothing is compiled anew
            wanted = data._replace(num_steps=jnp.asarray(steps))
        state, log = compiled(start.state, wanted)
        return Trained(state.params, state.opt_state[0].mu, log["loss"][:steps])

    jitted = jax.jit(partial(chunk, config=net.config))
    return Program(jitted, (start.state, data), lambda made: partial(train, made))


def linen(net: Net, start: Start) -> Program:
    """Stock flax: a jitted step, called in a loop on batches picked on the host."""
    model, optimizer = net.model("linen"), net.config.optimizer

    def step(params: Any, opt_state: Any, images: Array, labels: Array) -> Any:
        def objective(params: Any) -> Array:
            (logits, _), _ = model.apply(
                {"params": params}, images, mutable=["batch_stats"]
            )
            losses = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
            return losses.mean()

        loss, gradients = jax.value_and_grad(objective)(params)
        updates, opt_state = optimizer.update(gradients, opt_state, params)
        return optax.apply_updates(params, updates), opt_state, loss

    def train(compiled: Callable[..., Any], steps: int | None = None) -> Trained:
        params, opt_state = start.state.params, start.state.opt_state
        losses = []
        for number in range(steps or net.steps):
            batch = start.batch(net, number)
            params, opt_state, loss = compiled(params, opt_state, *batch)
            losses.append(loss)
        return Trained(params, opt_state[0].mu, losses)

    first = start.state.params, start.state.opt_state, *start.batch(net, 0)
    return Program(jax.jit(step), first, lambda made: partial(train, made))


PROGRAMS = {"ours": ours, "linen": linen}


def gradients_apart(one: Trained, other: Trained) -> float:
    """‖m_a − m_b‖ / ‖m_b‖ of the moving averages: of gradients, if after one step.

    Rounding turns a relu on or off at a millionth of all places, which changes the
    gradient by a thousandth. The parameters say less: Adam moves each by the sign of
    its first gradient, also one that is nothing but rounding.
    """
    mine, others = map(_flat, (one.moments, other.moments))
    return float(np.linalg.norm(mine - others) / np.linalg.norm(others))


def losses_apart(one: Trained, other: Trained) -> float:
    """max_t |loss_a[t] − loss_b[t]| / |loss_b[t]|"""
    losses, expected = np.asarray(one.losses), np.asarray(other.losses)
    return float(np.max(np.abs(losses - expected) / np.abs(expected)))


def _flat(tree: Any) -> np.ndarray:
    return np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(tree)])


def brief(net: Net, examples: int, steps: int) -> Net:
    """The same net on fewer examples, for fewer steps."""
    return replace(net, examples=examples, steps=steps)
