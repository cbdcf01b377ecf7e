"""Which nets are trained on what: pixels and sizes of one task share a program."""

from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from experiments.harness import training
from experiments.harness.lab import Lab
from experiments.harness.training import Examples, Runs, Trained
from experiments.strong_prior.nets import prior_nets, sharing_nets
from experiments.strong_prior.tasks import PIXELS, Task, pixel_orders, rearranged

CHECK = 20  # steps between two looks at the train loss of a net of sharing
LOOKS = 2  # at a net of the prior, the last one after the last step
SIZES = (100, 400, 1000, 4000)  # training images of MNIST
JUDGED = 1000  # of these

# Of Adam; chosen by `python -m experiments.strong_prior.tuning`.
RATES = {
    "field-conv-natural": 5e-3,
    "field-conv-permuted": 5e-3,
    "field-dense-natural": 1e-2,
    "field-dense-permuted": 1e-2,
    "location-conv-natural": 5e-3,
    "location-dense-natural": 1e-3,
    "textures-conv-natural": 5e-3,
    "textures-conv-permuted": 2e-3,
    "textures-dense-natural": 1e-3,
    "textures-dense-permuted": 2e-3,
    "mnist-conv-natural": 2e-3,
    "mnist-conv-permuted": 2e-3,
    "mnist-dense-natural": 2e-3,
    "mnist-dense-permuted": 5e-3,
    "sharing-conv": 1e-3,
    "sharing-unshared": 5e-3,
    "sharing-dense": 5e-3,
}


class Design(NamedTuple):
    """The axes of a set of runs: pixels, and sizes of the training set."""

    pixels: tuple[str, ...] = PIXELS
    sizes: tuple[int, ...] = (0,)  # 0: all of it


# Where an object is, is asked of natural pixels alone.
DESIGNS = {
    "field": Design(),
    "location": Design(pixels=PIXELS[:1]),
    "textures": Design(),
    "mnist": Design(sizes=SIZES),
}


class View(NamedTuple):
    """How a run sees the examples: the order of its pixels, what it learns from."""

    order: Array
    subset: Array


def see(examples: Examples, view: View) -> Examples:
    """Training images [M] of the subset, and all pixels in their order."""
    data = examples.data
    learned = data._replace(
        images=rearranged(data.images[view.subset], view.order),
        labels=data.labels[view.subset],
    )
    return examples._replace(
        data=learned, images=rearranged(examples.images, view.order)
    )


def subsets(keys: Array, num_train: int, size: int) -> np.ndarray:
    """The first `size` of an order of each seed, over and over: [seeds, num_train].

    So sets of every size have one length, and the smaller lie within the larger.
    """
    if not size:
        return np.tile(np.arange(num_train), (len(keys), 1))
    orders = [jax.random.permutation(key, num_train) for key in keys]
    return np.stack([np.resize(order[:size], num_train) for order in orders])


def views_of(keys: Array, task: Task, pixels: str, size: int = 0) -> View:
    """Leaves [seeds, ...]."""
    num_train, *shape = task.train.images.shape
    order = pixel_orders(shape[0] * shape[1])[pixels]
    return View(
        jnp.asarray(np.tile(order, (len(keys), 1))),
        jnp.asarray(subsets(keys, num_train, size)),
    )


def train_prior(
    keys: Array,
    lab: Lab,
    task: Task,
    name: str,
    arm: str,
    steps: int,
    rates: tuple[float, ...] = (),
    sizes: tuple[int, ...] = (),
) -> Trained:
    """A net of the prior on a task of `DESIGNS`.

    Args:
      keys: [seeds].
      lab: logs and watches.
      task: what is learned and tested.
      name: of the task.
      arm: of the net, one of ARMS.
      steps: of Adam.
      rates: of each seed, the arm's own of RATES by default.
      sizes: of the training set, the task's own by default.

    Returns:
      Leaves [sizes · pixels · seeds, ...].
    """
    net = prior_nets(task.train.images.shape[1:], task.num_classes)[arm]
    every = -(-steps // LOOKS)
    found = []
    for size in sizes or DESIGNS[name].sizes:
        for pixels in DESIGNS[name].pixels:
            own = rates or len(keys) * (RATES[f"{name}-{arm}-{pixels}"],)
            runs = Runs(keys, own, views_of(keys, task, pixels, size))
            label = f"{name}, {arm}, {pixels}" + (f", {size}" if size else "")
            found.append(_train(lab, label, net, task, runs, steps, every))
    return jax.tree.map(lambda *parts: np.concatenate(parts), *found)


def train_sharing(
    keys: Array,
    lab: Lab,
    task: Task,
    arm: str,
    limit: int,
    target: float,
    rates: tuple[float, ...] = (),
) -> Trained:
    """A net of sharing, stopped where the train loss first is at the target."""
    runs = Runs(
        keys,
        rates or len(keys) * (RATES[f"sharing-{arm}"],),
        views_of(keys, task, PIXELS[0]),
    )
    label, net = f"sharing, {arm}", sharing_nets()[arm]
    return _train(lab, label, net, task, runs, limit, CHECK, target)


def _train(
    lab: Lab,
    label: str,
    net: nn.Module,
    task: Task,
    runs: Runs,
    steps: int,
    every: int,
    target: float = 0.0,
) -> Trained:
    return training.train(
        lab,
        label,
        net,
        task.train,
        task.test,
        runs,
        steps=steps,
        every=every,
        target=target,
        see=see,
    )
