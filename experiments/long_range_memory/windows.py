"""Which inputs an output of a trained net has a gradient at, in and outside its window.

The output lies in the middle of a sequence with 20 more steps on both sides of its
window: t − field + 1, ..., t. Outside means before it or after t.
"""

import dataclasses

import jax.numpy as jnp
import numpy as np
from jax import Array

from cnn_jax.instruments import gradient_support
from experiments.harness.claims import Grid, Metrics
from experiments.harness.compilation import brief
from experiments.harness.seeds import over_seeds
from experiments.long_range_memory.claims import MADE
from experiments.long_range_memory.nets import CONVOLUTIONAL, Net, apply_flat

MARGIN = 20  # steps before and after the window
NUM_SEQUENCES = 4


def support(net: Net, params: np.ndarray, field: int, positive: bool) -> np.ndarray:
    """Where the output has a gradient: booleans [seeds, field + 2·20].

    Args:
      params: [seeds, P].
      field: steps of the window that ends at the output.
      positive: whether to take parameters and inputs as absolute values, so that every
        ReLU is open and nothing cancels.
    """
    model = net.model.clone(head="every")
    every = dataclasses.replace(net, model=model)
    shape = (NUM_SEQUENCES, field + 2 * MARGIN, net.input_shape[1])
    draws = np.random.RandomState(0).standard_normal(shape)
    inputs = jnp.asarray(np.abs(draws) if positive else draws, jnp.float32)
    last = (MARGIN + field - 1,)

    def one(params: Array, inputs: Array) -> Array:
        def apply(params: Array, inputs: Array) -> Array:
            return apply_flat(every, params, inputs)

        return gradient_support(apply, params, inputs, last)

    given = jnp.asarray(np.abs(params) if positive else params)
    return np.asarray(over_seeds(one, brief)(given, inputs))


def outside(seen: np.ndarray) -> np.ndarray:
    """How many steps outside the window have a gradient, [seeds]."""
    return seen[:, :MARGIN].sum(1) + seen[:, -MARGIN:].sum(1)


def window_metrics(nets: dict[str, tuple[Net, np.ndarray]]) -> Metrics:
    """The row about windows.

    Args:
      nets: NET-TASK -> net and its trained parameters [seeds, P]; the shallow and
        the dilated net and the plain RNN on copy memory and adding.
    """
    counts, lacking = [], []
    for name in CONVOLUTIONAL:
        for task in MADE:
            net, params = nets[f"{name}-{task}"]
            field = net.field
            seen = support(net, params, field, positive=False)
            counts.append(_of_finite(params, outside(seen)))
            first = params[np.argmax(_are_finite(params))][None]
            whole = support(net, first, field, positive=True)
            less = field - whole[:, MARGIN:-MARGIN].sum(1)
            lacking.append(_of_finite(first, less))
    axes = {"net": CONVOLUTIONAL, "task": MADE}
    sizes = tuple(map(len, axes.values()))
    rnn, params = nets["rnn-copy"]
    seen = support(rnn, params, nets["shallow-copy"][0].field, positive=False)
    return {
        "gradients-outside": Grid(np.stack(counts, 1).reshape(-1, *sizes), axes),
        "window-less-support": Grid(np.stack(lacking, 1).reshape(-1, *sizes), axes),
        "gradients-outside-rnn": _of_finite(params, outside(seen)),
    }


def _are_finite(params: np.ndarray) -> np.ndarray:
    """Which seeds have not diverged, [seeds]."""
    return np.asarray(np.isfinite(params).all(1))


def _of_finite(params: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Counts [seeds], NaN where a seed diverged: every gradient of it is not zero."""
    finite = _are_finite(params)
    return counts if finite.all() else np.where(finite, counts, np.nan)
