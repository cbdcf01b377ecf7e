"""compare-only-with-convolutions: the same training on two orders of the pixels.

A dense layer takes Σ_p x[p] W[p]. Of pixels in another order, x'[i] = x[π(i)], it takes
the same with W'[i] = W[π(i)], and so do all gradients: a net whose first layer is
permuted with the pixels goes through the same training, whatever the permutation. A
convolution has no such W'; it starts from the same kernels on both orders.

Both trainings are in float64, of minibatches and by Adam, as those of the experiment.
"""

from functools import partial
from operator import itemgetter
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from cnn_jax.models import LeNet
from cnn_jax.training import Config, Data, State, chunk
from cnn_jax.training.classification import cross_entropy
from experiments.convolution_identities.learning import distance
from experiments.harness.claims import Grid, Metrics
from experiments.harness.compilation import brief
from experiments.harness.seeds import over_seeds
from experiments.harness.training import initial_params
from experiments.strong_prior.tasks import Task, pixel_orders, rearranged

STEPS = 100
SEEDS = 2  # one counterexample would do
BATCH = 32
RATE = 2e-3
COMPARED = 64  # training images whose logits are compared
FIRST = "dense1"  # the first layer of the dense net
NETS: dict[str, nn.Module] = {
    "dense": LeNet(features=(), dense=(32, 32)),
    "conv": LeNet(features=(4,), dense=(32,)),
}

Params = dict[str, dict[str, Array]]


def objective(logits: Array, labels: Array) -> tuple[Array, Array]:
    """Cross-entropy and accuracy, both as wide as the logits."""
    loss, right = cross_entropy(logits, labels)
    return loss, right.astype(loss.dtype)


def permuted(params: Params, order: Array) -> Params:
    """The first layer's kernel [P, O] with its rows in another order, if it is dense.

    Rows are axis -2, so that the params of many steps may come at once.
    """
    if FIRST not in params or params[FIRST]["kernel"].shape[-2] != len(order):
        return params
    kernel = jnp.take(params[FIRST]["kernel"], order, axis=-2)
    return params | {FIRST: params[FIRST] | {"kernel": kernel}}


def trajectory(
    config: Config, params: Params, key: Array, images: Array, labels: Array
) -> tuple[Params, Array]:
    """Params after every step [steps, ...], and logits [steps, images, 10]."""
    data = Data(images, labels, jnp.asarray(0), jnp.asarray(STEPS))

    def step(state: State, _) -> tuple[State, tuple[Any, Array]]:
        state = chunk(state, data, config)[0]
        logits = config.model.apply({"params": state.params}, images[:COMPARED])[0]
        return state, (state.params, logits)

    opt_state = config.optimizer.init(params)
    start = State(params, opt_state, jnp.zeros((), jnp.int32), key)
    return jax.lax.scan(step, start, length=STEPS)[1]


def _distances(
    config: Config, key: Array, images: Array, labels: Array, order: Array
) -> Array:
    """Of params and of logits, after every step: [2, steps]."""
    init_key, data_key = jax.random.split(key)
    narrow = initial_params(init_key, config.model, config.image_shape)
    params = jax.tree.map(lambda leaf: leaf.astype(jnp.float64), narrow)
    starts, canvases = jax.tree.map(
        lambda *both: jnp.stack(both),
        (params, images),
        (permuted(params, order), rearranged(images, order)),
    )
    learned, logits = jax.lax.map(  # one program for both
        lambda run: trajectory(config, run[0], data_key, run[1], labels),
        (starts, canvases),
    )
    natural, other = (jax.tree.map(itemgetter(place), learned) for place in (0, 1))
    return jnp.stack(
        [
            distance(_flat(other), _flat(permuted(natural, order))),
            distance({"": logits[1]}, {"": logits[0]}),
        ]
    )


def _flat(params: Params) -> dict[str, Array]:
    """Layers and leaves in one level."""
    return {
        f"{layer}/{name}": leaf
        for layer, leaves in params.items()
        for name, leaf in leaves.items()
    }


def trajectory_metrics(keys: Array, task: Task) -> Metrics:
    """Both nets, natural against permuted pixels of the training images.

    Returns:
      trajectories/dense, trajectories/conv: Grid [seeds; params, logits; step], the
      relative distance of the two trainings after every step; and
      trajectories-end/conv [seeds, 2], after the last one.
    """
    images, labels = task.train
    order = pixel_orders(images[0].size)["permuted"]
    found = {}
    for name, net in NETS.items():
        config = Config(net, images.shape[1:], RATE, BATCH, 1, objective)
        measure = over_seeds(partial(_distances, config), brief)
        with jax.enable_x64(True):
            wide = jnp.asarray(images, jnp.float64)
            found[name] = np.asarray(
                measure(keys[:SEEDS], wide, jnp.asarray(labels), jnp.asarray(order))
            )
    axes = {"what": ("params", "logits"), "step": tuple(range(1, STEPS + 1))}
    return {
        **{f"trajectories/{name}": Grid(each, axes) for name, each in found.items()},
        "trajectories-end/conv": found["conv"][..., -1],
    }
