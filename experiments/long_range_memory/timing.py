"""Seconds per training step at equal parameters and equal sequences."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from cnn_jax import layers
from experiments.harness.claims import Metrics, Shown, Timings
from experiments.harness.lab import Lab
from experiments.long_range_memory.nets import Net, build
from experiments.long_range_memory.tasks import Sets, Task
from experiments.long_range_memory.training import BATCH, Config, Data, init, step

UNSHARED = "unshared"
REPEATS = 20


def timed_net(name: str, task: Task) -> Net:
    """A net by name; "unshared" is the dilated one with an own kernel at every step."""
    if name != UNSHARED:
        return build(name, task)
    shared = build("dilated", task)
    model = shared.model.clone(conv=layers.ConvLocal)
    return Net(name, model, shared.input_shape)


def prepare(keys: Array, name: str, task: Task, sets: Sets) -> Callable[[], Any]:
    """One training step of the first seed, compiled, as a call without arguments."""
    config = Config(timed_net(name, task), task)
    state = jax.tree.map(lambda leaf: leaf[0], init(keys[:1], config))
    draws = np.random.RandomState(0).random_sample((BATCH, task.num_draws))
    drawn, data = jnp.asarray(draws, jnp.float32), Data(sets, jnp.asarray(1e-3))
    compiled = jax.jit(partial(step, config=config)).lower(state, drawn, data).compile()
    return partial(compiled, state, drawn, data)


def timing_metrics(lab: Lab, calls: Mapping[str, Callable[[], Any]]) -> Metrics:
    """The row about speed, and the seconds of every net beside it."""
    seconds = lab.time(dict(calls), repeats=REPEATS)
    medians = np.array([np.median(each) for each in seconds.values()])
    return {
        "rnn-over-cnn": Timings(np.stack([seconds["rnn"], seconds["dilated"]], 1)),
        "step-seconds": Shown(
            1e3 * medians,
            f"median milliseconds of a training step, {BATCH} sequences of copy memory "
            f"[{', '.join(seconds)}]",
            "ms",
            timed=True,
        ),
    }
