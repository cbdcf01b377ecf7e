"""flip-is-learned-away: two nets that differ in the flip, trained side by side.

One net correlates; the other convolves, by Fourier transforms: an implementation of its
own, for flipping the kernel twice would compile to the first. Both learn real digits by
gradient descent with momentum, in float64, so that rounding stays small over the steps.
"""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import optax

from experiments.convolution_identities.sides import direct_conv
from experiments.harness.claims import Grid, Metrics
from experiments.harness.seeds import normals, over_seeds

FEATURES = 4
WINDOW = 3
RATE, MOMENTUM = 0.1, 0.9

Params = dict[str, jax.Array]


def correlate(images: jax.Array, kernel: jax.Array) -> jax.Array:
    """[N, H, W, 1] and [k, k, 1, F] to [N, H, W, F], k odd: the kernel as it is."""
    return direct_conv(images, kernel, padding="SAME")


def convolve_by_fourier(images: jax.Array, kernel: jax.Array) -> jax.Array:
    """As `correlate`, with the kernel flipped, as the Fourier transform has it."""
    margin = len(kernel) // 2
    rows, columns = images.shape[1:3]
    size = (rows + 2 * margin, columns + 2 * margin)
    product = jnp.fft.rfft2(images, size, axes=(1, 2)) * jnp.fft.rfft2(
        kernel.transpose(2, 0, 1, 3), size, axes=(1, 2)
    )
    outputs = jnp.fft.irfft2(product, size, axes=(1, 2))
    return outputs[:, margin : margin + rows, margin : margin + columns]


def flip(params: Params) -> Params:
    """Params, or many of them, with the kernel [..., k, k, 1, F] flipped."""
    return params | {"kernel": jnp.flip(params["kernel"], (-4, -3))}


def init(key: jax.Array, num_pixels: int) -> Params:
    """Random params of the net: convolution, ReLU, flatten, dense.

    No bias is 0: on an empty margin ReLU would then stand on its kink, and rounding
    would choose its derivative.
    """
    shapes = (WINDOW, WINDOW, 1, FEATURES), (num_pixels * FEATURES, 10), (FEATURES,)
    kernel, dense, bias = normals(key, *shapes)
    return {
        "kernel": kernel * (2 / WINDOW**2) ** 0.5,
        "bias": bias / 10,
        "dense": dense * (2 / len(dense)) ** 0.5,
    }


def train(
    layer: Callable, params: Params, images: jax.Array, labels: jax.Array, steps: int
) -> tuple[Params, jax.Array]:
    """Gradient descent over the whole batch.

    Returns:
        Params after every step [steps, ...], and the loss before it [steps].
    """

    def loss(params: Params) -> jax.Array:
        maps = jax.nn.relu(
            layer(images, params["kernel"]) + params["bias"][None, None, None]
        )
        logits = maps.reshape(len(images), -1) @ params["dense"]
        losses = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
        return jnp.mean(losses)

    optimizer = optax.sgd(RATE, MOMENTUM)

    def step(state: tuple[Params, optax.OptState], _) -> tuple:
        params, memory = state
        value, gradients = jax.value_and_grad(loss)(params)
        updates, memory = optimizer.update(gradients, memory)
        params = optax.apply_updates(params, updates)
        return (params, memory), (params, value)

    return jax.lax.scan(step, (params, optimizer.init(params)), length=steps)[1]


def distance(left: Params, right: Params) -> jax.Array:
    """‖left - right‖ / ‖right‖ after every step, all params as one vector: [steps]."""

    def squares(params: Params) -> jax.Array:
        flat = [leaf.reshape(len(leaf), -1) for leaf in jax.tree.leaves(params)]
        return jnp.sum(jnp.concatenate(flat, axis=1) ** 2, axis=1)

    return jnp.sqrt(squares(jax.tree.map(jnp.subtract, left, right)) / squares(right))


def flip_is_learned(
    keys: jax.Array, images: np.ndarray, labels: np.ndarray, steps: int
) -> Metrics:
    """Trajectories of the correlating net against those of the convolving net.

    Args:
        keys: [seeds].
        images: [N, H, W, 1].
        labels: [N].
        steps: of gradient descent.

    Returns:
        flip-is-learned-away/flipped and /unflipped [seeds, step]: the distance of all
        params, with the kernel flipped once more, where the second net starts with the
        flipped and with the same kernel; /loss [seeds], after training over before;
        "kernels" [seeds, net, k, k], one feature of both nets at the end.
    """

    measure = over_seeds(functools.partial(_trained, steps=steps))
    with jax.enable_x64(True):
        wide = jnp.asarray(images, jnp.float64)
        found = jax.tree.map(np.asarray, measure(keys, wide, jnp.asarray(labels)))
    axes = {"step": tuple(range(1, steps + 1))}
    return {
        "flip-is-learned-away/flipped": Grid(found["flipped"], axes),
        "flip-is-learned-away/unflipped": Grid(found["unflipped"], axes),
        "flip-is-learned-away/loss": found["loss"],
        "kernels": found["kernels"],
    }


def _trained(
    key: jax.Array, images: jax.Array, labels: jax.Array, steps: int
) -> dict[str, jax.Array]:
    """One seed of `flip_is_learned`."""
    start = init(key, images[0].size)
    run = functools.partial(train, images=images, labels=labels, steps=steps)
    learned, losses = run(correlate, start)
    starts = jax.tree.map(lambda *two: jnp.stack(two), flip(start), start)
    others, _ = jax.lax.map(functools.partial(run, convolve_by_fourier), starts)
    flipped, unflipped = jax.vmap(distance, (0, None))(flip(others), learned)
    nets = (learned["kernel"], others["kernel"][0])
    return {
        "flipped": flipped,
        "unflipped": unflipped,
        "loss": losses[-1] / losses[0],
        "kernels": jnp.stack([net[-1, ..., 0, 0] for net in nets]),
    }
