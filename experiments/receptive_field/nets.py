"""Training the labeling nets, what they get right, and how far they look."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from cnn_jax.data import Dataset, Split
from cnn_jax.instruments import effective_receptive_field, field_spread
from cnn_jax.training import Config as TrainingConfig
from cnn_jax.training import Data, State, chunk
from experiments.harness.claims import Images, Metrics, Shown
from experiments.harness.compilation import brief
from experiments.harness.lab import Lab
from experiments.harness.seeds import normals, over_seeds
from experiments.receptive_field.labeling import (
    ARMS,
    LAYERS,
    NO_INK,
    SIDE,
    WIDTH,
    Design,
    Labeler,
    centered,
    compose,
    ink_objective,
)
from experiments.receptive_field.spreads import exponent

NUM_PROBES = 16  # test digits in the middle of a canvas, whose gradients are taken
BATCH = 8  # canvases per step
BRIEF_STEPS = 500  # which take less time than compiling them well
# Of Adam; the lowest training loss in `python -m experiments.receptive_field.tuning`.
LEARNING_RATES = {
    "plain": 1e-2,
    "deep": 5e-3,
    "pooled": 5e-3,
    "dilated": 2e-2,
    "upsampled": 2e-2,
}
ROUNDS = 3  # how often the training canvases use every digit


class Task(NamedTuple):
    """Canvases to train and to test on; single digits in the middle of one."""

    train: Split
    test: Split
    probes: np.ndarray


def task_of(digits: Dataset) -> Task:
    """The same canvases for every net and seed."""
    return Task(
        compose(digits.train, ROUNDS, seed=1),
        compose(digits.test, 1, seed=2),
        centered(digits.test.images[:NUM_PROBES]),
    )


@dataclass(frozen=True)
class Trained:
    """One net after training, over seeds.

    right: [seeds, canvases], ink pixels labeled right; classes: [seeds, H, W] of the
    first test canvas; fields: effective fields before and after training [seeds, 2, H,
    W]; spreads: of both [seeds, 2].
    """

    design: Design
    right: np.ndarray
    classes: np.ndarray
    fields: np.ndarray
    spreads: np.ndarray


def designs(depths: tuple[int, ...]) -> dict[str, Design]:
    """Every net of a run; the plain arm is one of the depths."""
    return ARMS | {_stack_name(depth): Design(WIDTH, (1,) * depth) for depth in depths}


def train(
    keys: Array, lab: Lab, task: Task, label: str, design: Design, steps: int
) -> Trained:
    """Trains one net on canvases of training digits; looks at it on test digits."""
    rate = _learning_rate(label, design)
    before, after = fit(keys, lab, task, label, design, steps, rate)
    return _looked_at(design, before, after, task)


def fit(
    keys: Array,
    lab: Lab,
    task: Task,
    label: str,
    design: Design,
    steps: int,
    learning_rate: float,
) -> tuple[Any, Any]:
    """Params [seeds, ...] before and after training."""
    config = TrainingConfig(
        Labeler(design),
        (SIDE, SIDE, 1),
        learning_rate=learning_rate,
        batch_size=BATCH,
        chunk_steps=min(50, steps),
        objective=ink_objective,
    )
    data = Data(
        jnp.asarray(task.train.images),
        jnp.asarray(task.train.labels),
        jnp.asarray(0),
        jnp.asarray(steps),
    )
    states = over_seeds(partial(_initial, config=config), brief)(keys)
    jit = brief if steps * len(keys) <= BRIEF_STEPS else jax.jit
    trained = lab.fit(
        over_seeds(partial(chunk, config=config), jit),
        states,
        data,
        num_chunks=-(-steps // config.chunk_steps),
        label=label,
    )
    return states.params, trained.params


def _initial(key: Array, config: TrainingConfig) -> State:
    """The state before training: He-normal kernels, biases 0."""
    init_key, data_key = jax.random.split(key)
    shapes = jax.eval_shape(config.model.init, init_key, jnp.zeros((1, SIDE, SIDE, 1)))
    leaves, tree = jax.tree.flatten(shapes["params"])
    params = [
        drawn * (2 / math.prod(drawn.shape[:-1])) ** 0.5
        if drawn.ndim > 1
        else jnp.zeros(drawn.shape)
        for drawn in normals(init_key, *(leaf.shape for leaf in leaves))
    ]
    params = jax.tree.unflatten(tree, params)
    step = jnp.zeros((), jnp.int32)
    return State(params, config.optimizer.init(params), step, data_key)


def _looked_at(design: Design, before: Any, after: Any, task: Task) -> Trained:
    def apply(params: Any, inputs: Array) -> Array:
        return Labeler(design).apply({"params": params}, inputs)[0]

    test, probes = task.test, jnp.asarray(task.probes)
    predict = over_seeds(lambda params, images: _classes(apply, params, images), brief)
    classes = np.asarray(predict(after, jnp.asarray(test.images)))
    ink = test.labels != NO_INK
    both = jax.tree.map(lambda *each: jnp.stack(each, 1), before, after)

    def look(params: Any, probes: Array) -> Array:
        field = partial(effective_receptive_field, apply)
        return jax.lax.map(lambda each: field(each, probes), params)

    fields = np.asarray(over_seeds(look, brief)(both, probes))
    axes = jax.vmap(jax.vmap(field_spread))(jnp.asarray(fields))
    return Trained(
        design,
        (ink & (classes == test.labels)).sum((2, 3)),
        classes[:, 0],
        fields,
        np.asarray(jnp.sqrt(jnp.mean(jnp.square(axes), axis=-1))),
    )


def _classes(apply: Callable, params: Any, images: Array) -> Array:
    batches = images.reshape(-1, 10, *images.shape[1:])
    classes = jax.lax.map(lambda batch: jnp.argmax(apply(params, batch), -1), batches)
    return classes.reshape(images.shape[:-1])


def net_metrics(
    trained: dict[str, Trained], test: Split, depths: tuple[int, ...]
) -> Metrics:
    """The rows that need training.

    Returns:
        exponent/trained [seeds]; spread-ratio [seeds], with over without upsampling;
        dilated-less-{pooled, plain}: points per test canvas; accuracy/NET [seeds];
        products-over-plain/{pooled, dilated, upsampled}, frame-less-field [1].
    """
    ink = (test.labels != NO_INK).sum((1, 2))
    # Weighted by its ink, the mean over canvases is the accuracy over ink pixels.
    points = {
        name: 100 * net.right / ink.mean(dtype=np.float64)
        for name, net in trained.items()
    }
    metrics: dict = {f"accuracy/{name}": p.mean(1) for name, p in points.items()}
    for reading, depth in (("shallowest", depths[0]), ("deepest", depths[-1])):
        metrics[f"accuracy/{reading}"] = metrics[f"accuracy/{_stack_name(depth)}"]
    for other in ("pooled", "plain"):
        metrics[f"dilated-less-{other}"] = Images(points["dilated"] - points[other])
    plain = ARMS["plain"].num_macs
    for name in ("pooled", "dilated", "upsampled"):
        share = ARMS[name].num_macs / plain
        metrics[f"products-over-plain/{name}"] = np.asarray([share])
    stacks = [trained[_stack_name(depth)] for depth in depths]
    spreads = np.stack([net.spreads for net in stacks], -1)  # [seeds, 2, depths]
    metrics["exponent/trained"] = exponent(np.asarray(depths, float), spreads[:, 1])
    largest = max(net.design.field for net in stacks)
    metrics["frame-less-field"] = np.asarray([SIDE - largest])
    ratio = trained["upsampled"].spreads / trained["dilated"].spreads
    metrics["spread-ratio"] = ratio[:, 1]
    metrics["spread-ratio-untrained"] = Shown(
        ratio[:, 0], "spread with over without upsampling, before training [seed]"
    )
    return metrics | _shown(trained, test, depths, spreads)


def _stack_name(depth: int) -> str:
    return "plain" if depth == LAYERS else f"depth-{depth}"


def _learning_rate(name: str, design: Design) -> float:
    """That of the arm; of another depth, that of the plain or of the deep net."""
    if name in LEARNING_RATES:
        return LEARNING_RATES[name]
    deep = len(design.dilations) > LAYERS
    return LEARNING_RATES["deep" if deep else "plain"]


def _shown(
    trained: dict[str, Trained],
    test: Split,
    depths: tuple[int, ...],
    spreads: np.ndarray,
) -> dict[str, Shown]:
    nets = [net.design for net in trained.values()]
    counts = [(d.width, d.num_params, d.num_macs, d.field) for d in nets]
    ink = test.labels[test.labels != NO_INK]
    fields = np.stack([net.fields.mean(0) for net in trained.values()])
    return {
        "designs": Shown(
            np.asarray(counts),
            "[net; features, parameters, multiply-accumulates, field in px]",
        ),
        "nets": Shown(np.asarray(list(trained)), "the nets, in this order everywhere"),
        "depths": Shown(np.asarray(depths), "layers of the stacks that are compared"),
        "chance": Shown(
            np.asarray([100 * np.bincount(ink).max() / ink.size]),
            "accuracy of the most frequent label",
            "%",
        ),
        "trained-spreads": Shown(
            spreads,
            "spread of the gradient map [seed; before, after training; depth]",
            "px",
        ),
        "effective-fields": Shown(
            fields,
            "effective field, mean of the seeds [net; before, after training; y; x]",
        ),
        "canvas": Shown(test.images[0, ..., 0], "a test canvas [y; x]"),
        "canvas-labels": Shown(test.labels[0], "its labels, -1 without ink [y; x]"),
        "canvas-classes": Shown(
            np.stack([net.classes[0] for net in trained.values()]),
            "labels given, first seed [net; y; x]",
        ),
    }
