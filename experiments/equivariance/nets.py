"""The trained nets: their arms, their training, and what moving costs each of them."""

import dataclasses
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from cnn_jax.data import Dataset, Split
from cnn_jax.instruments import (
    consistency_of_batch_pairs,
    lost_by_moving,
    predict_shifted,
    shift_consistency,
    shift_grid,
)
from cnn_jax.models import LeNet
from cnn_jax.ops import avg_pool, blur_pool, max_pool, polyphase_pool
from cnn_jax.training import Config as TrainingConfig
from cnn_jax.training import Data, State, chunk, chunk_in_order, init
from experiments.harness.claims import Images, Metrics, Shown
from experiments.harness.compilation import brief
from experiments.harness.lab import Lab
from experiments.harness.seeds import over_seeds

AUGMENTATION = 3  # pixels, of the arms with "+aug"


def _max(inputs: jax.Array) -> jax.Array:
    return max_pool(inputs, (2, 2), (2, 2))


def _average(inputs: jax.Array) -> jax.Array:
    return avg_pool(inputs, (2, 2), (2, 2))


def _blur(inputs: jax.Array) -> jax.Array:
    """Dense maximum, then blur and subsample: Zhang's form of max pooling."""
    return blur_pool(max_pool(inputs, (2, 2), (1, 1), "SAME"), (2, 2))


def _polyphase(inputs: jax.Array) -> jax.Array:
    return polyphase_pool(inputs, (2, 2))


MODELS: dict[str, LeNet] = {
    "max": LeNet(pool=_max),
    "strided": LeNet(pool=None, conv_strides=2),
    "blur": LeNet(pool=_blur),
    "polyphase": LeNet(pool=_polyphase),
    "average": LeNet(pool=_average),
    "none": LeNet(pool=None),
    "global": LeNet(pool=_max, head="global"),
}
PROTOCOLS = ("exhaustive", "zhang-2019", "aps-2021")


@dataclasses.dataclass(frozen=True)
class Trained:
    """One arm after training: params [seeds, ...] and its predictions.

    predictions: classes [seeds, shifts, images], the unmoved images first;
    num_params, num_macs are of the architecture.
    """

    arm: str
    params: dict
    predictions: jax.Array
    num_params: int


def parse_arm(arm: str) -> tuple[str, int]:
    """ "max+aug" -> ("max", 3): the architecture and its augmentation in pixels."""
    name, plus, _ = arm.partition("+")
    return name, AUGMENTATION if plus else 0


def train_arms(
    keys: jax.Array,
    lab: Lab,
    data: Dataset,
    arms: tuple[str, ...],
    *,
    steps: int,
    batch: int,
    max_shift: int,
) -> list[Trained]:
    """Trains every arm and predicts the test images at every shift of the grid.

    Arms of one architecture share both compilations: the augmentation is an argument.
    All arms start from the same keys, so they share their batches, and twins of one
    architecture their initial params.
    """
    shifts = jnp.asarray(shift_grid(max_shift))
    images = jnp.asarray(data.train.images)
    train_labels = jnp.asarray(data.train.labels)
    test_images = jnp.asarray(data.test.images)
    functions: dict[str, tuple[TrainingConfig, Callable, Callable]] = {}
    initial: dict[str, State] = {}
    trained = []
    for arm in arms:
        name, augmentation = parse_arm(arm)
        if name not in functions:
            sizes = images.shape[1:], batch, steps
            functions[name] = _compiled(MODELS[name], *sizes, lab.is_streaming)
        config, step, predict = functions[name]
        states = _initial_states(initial, keys, config)
        examples = Data(
            images, train_labels, jnp.asarray(augmentation), jnp.asarray(steps)
        )
        num_chunks = -(-steps // config.chunk_steps)
        asked = {"num_chunks": num_chunks, "label": arm}
        states = _fit(lab, config, step, states, examples, **asked)
        predictions = predict(states.params, test_images, shifts)
        sizes = [leaf.size // len(keys) for leaf in jax.tree.leaves(states.params)]
        trained.append(Trained(arm, states.params, predictions, sum(sizes)))
    return trained


def _initial_states(
    known: dict[str, State], keys: jax.Array, config: TrainingConfig
) -> State:
    """The states before training, drawn once for all models of one parameter tree.

    Equal keys and equal trees give equal draws: this saves their compilation alone.
    """
    draw = jax.vmap(partial(init, config=config))
    tree = str(jax.eval_shape(draw, keys))
    if tree not in known:
        known[tree] = brief(draw)(keys)
    return known[tree]


def _compiled(
    model: LeNet,
    image_shape: tuple[int, ...],
    batch: int,
    steps: int,
    is_streaming: bool,
):
    """The training chunk and the prediction of one architecture, over seeds."""
    config = TrainingConfig(
        model, image_shape, batch_size=batch, chunk_steps=min(50, steps)
    )

    def apply(params, images):
        return model.apply({"params": params}, images)[0]

    def on_stream(state_and_split: tuple[State, Split], *settings: jax.Array):
        state, split = state_and_split
        return chunk_in_order(state, Data(*map(jnp.asarray, split), *settings), config)

    # No devices share a batch, since those of a stream are not shared either.
    step = over_seeds(on_stream if is_streaming else partial(chunk, config=config))
    return config, step, over_seeds(partial(predict_shifted, apply))


def _fit(
    lab: Lab,
    config: TrainingConfig,
    step: Callable,
    states: State,
    examples: Data,
    **asked: Any,
) -> State:
    """The states after training on all images, or with --stream on each as it comes."""
    if not lab.is_streaming:
        return lab.fit(step, states, examples, **asked)
    sizes = {"batch_size": config.batch_size, "steps": config.chunk_steps}
    settings = examples.max_shift, examples.num_steps

    def on_stream(states: State, split: Split) -> tuple[State, dict]:
        return step((states, split), *settings)

    with lab.stream(states.key, view="canvas", **sizes) as stream:
        return lab.fit(on_stream, states, stream, **asked)


def conv_layers(trained: list[Trained]) -> list[tuple[np.ndarray, np.ndarray]]:
    """Per layer (kernel, bias) of all arms, stacked: [seeds, arms, ...]."""
    layers = []
    for name in ("conv1", "conv2"):
        each = [arm.params[name] for arm in trained]
        kernel = np.stack([layer["kernel"] for layer in each], 1)
        bias = np.stack([layer["bias"] for layer in each], 1)
        layers.append((kernel, bias))
    return layers


def moving_metrics(
    keys: jax.Array, trained: list[Trained], labels: np.ndarray, max_shift: int
) -> Metrics:
    """Clean accuracy, what moving costs, and the papers' protocols beside them."""
    shifts = shift_grid(max_shift)
    distance = np.abs(shifts).max(1)
    metrics: dict = {}
    lost_table, right_grid, protocols = [], [], []
    for arm in trained:
        right = np.asarray(arm.predictions) == labels
        metrics[f"clean-accuracy/{arm.arm}"] = 100 * right[:, 0].mean(1)
        lost = [
            _lost(arm, labels, distance == pixels).mean(1)
            for pixels in range(1, max_shift + 1)
        ]
        lost_table.append(np.stack(lost, 1))
        right_grid.append(100 * right.mean((0, 2)))
        protocols.append(_protocols(keys, arm, shifts))
    metrics.update(_conferred(trained, labels, distance))
    names = ", ".join(arm.arm for arm in trained)
    metrics["lost-by-moving"] = Shown(
        np.stack(lost_table, 1),
        f"accuracy lost by moving [seed; arm: {names}; 1 to {max_shift} px]",
        "points",
    )
    metrics["accuracy-over-shifts"] = Shown(
        np.stack(right_grid),
        f"accuracy at every shift, mean of the seeds [arm: {names}; shift]",
        "%",
    )
    metrics["protocols"] = Shown(
        np.stack(protocols, 1),
        f"agreement of the class [seed; arm: {names}; {', '.join(PROTOCOLS)}]",
        "%",
    )
    metrics["parameters"] = Shown(
        np.asarray([arm.num_params for arm in trained]), f"parameters [arm: {names}]"
    )
    return metrics


def _lost(arm: Trained, labels: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """Points lost by moving, per image, over the chosen shifts: [seeds, images]."""
    each = np.asarray(_lost_per_shift(arm.predictions, labels), np.float64)
    return each[:, chosen].mean(1)


@brief
def _lost_per_shift(predictions: jax.Array, labels: jax.Array) -> jax.Array:
    """Points, [seeds, shifts, images]: one program, whatever shifts are chosen."""

    def lost(clean: jax.Array, moved: jax.Array) -> jax.Array:
        return 100 * lost_by_moving(clean, moved[None], labels)

    by_shift = jax.vmap(lost, in_axes=(None, 0))
    return jax.vmap(lambda classes: by_shift(classes[0], classes))(predictions)


def _conferred(
    trained: list[Trained], labels: np.ndarray, distance: np.ndarray
) -> Metrics:
    """What pooling saves minus what augmentation saves, where both were trained.

    (strided - max) - (strided - strided+aug), in points lost over the shifts of
    max-norm 1 to 3, per test image.
    """
    by_name = {arm.arm: arm for arm in trained}
    chosen = (distance >= 1) & (distance <= AUGMENTATION)
    needed = ("strided", "max", "strided+aug")
    if distance.max() < AUGMENTATION or not by_name.keys() >= set(needed):
        return {}
    strided, pooled, augmented = (
        _lost(by_name[name], labels, chosen) for name in needed
    )
    saved = (strided - pooled) - (strided - augmented)
    return {"pooling-less-augmentation": Images(saved)}


def _protocols(keys: jax.Array, arm: Trained, shifts: np.ndarray) -> np.ndarray:
    """Agreement in percent under the three protocols: [seeds, protocol].

    The margin of the canvas is wider than the grid, so a circular shift (as APS
    draws) and a crop at an offset (as Zhang draws) are both the zero-fill shift of
    the grid. randint(-m, m) never draws +m.
    """
    half_open = np.flatnonzero(np.all(shifts < shifts.max(), axis=1))
    return 100 * np.asarray(_agreements(keys, arm.predictions, half_open))


@brief
def _agreements(
    keys: jax.Array, predictions: jax.Array, half_open: jax.Array
) -> jax.Array:
    every = jnp.arange(predictions.shape[1])

    def measure(key: jax.Array, predictions: jax.Array) -> jax.Array:
        zhang_key, aps_key = jax.random.split(key)
        return jnp.stack(
            [
                jnp.mean(shift_consistency(predictions)),
                consistency_of_batch_pairs(zhang_key, predictions, every),
                consistency_of_batch_pairs(aps_key, predictions, half_open),
            ]
        )

    return jax.vmap(measure)(keys, predictions)
