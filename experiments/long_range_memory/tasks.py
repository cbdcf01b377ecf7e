"""Tasks that need the distant past: copy memory, adding, digits pixel by pixel.

A sequence of copy memory is 10 symbols out of 8, T − 1 blanks and 11 delimiters; blank
is wanted at the first T + 10 steps, then the symbols in their order, each T + 10 steps
after it was read. Every net sees by the delimiters that it is time to recall, so that
chance is within reach of all. One step of adding is (value in [0, 1], marker); two
markers are 1, one in each half, and the sum of their values is wanted after the last
step. A digit is read one pixel a step, in the order of the rows or in a fixed random
one, and its class is wanted after the last.

Shape letters: N sequences, L steps of a sequence, D numbers a step.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

from cnn_jax.data import Dataset

RECALLED, SYMBOLS = 10, 8
BLANK, DELIMITER = 0, SYMBOLS + 1
KINDS = SYMBOLS + 2  # of inputs; the delimiter is never wanted
CLOSE = 0.1  # of the sum, and its guess counts as right
HELD_OUT_SEED = 2018
MOST_IMAGES = 1000  # held-out ones of each set; all of digits, a tenth of MNIST


class Examples(NamedTuple):
    """inputs [N, L, D]; targets [N], or [N, L] where every step is judged."""

    inputs: Array
    targets: Array


@dataclass(frozen=True)
class Task:
    """What is drawn, and how an answer is judged.

    Attributes:
      length: L.
      in_features: D.
      num_outputs: of the net.
      head: where the net is read: "every" step or the "last".
      needed: steps that an output has to see, its own among them.
      chance: expected loss of the best guess that uses no input.
      chance_right: percent right of that guess.
      num_draws: numbers in [0, 1) that make a sequence.
      make: (such numbers [N, num_draws], stored examples) -> examples.
      judge: (outputs, targets) -> losses [N], shares right [N].
    """

    name: str
    length: int
    in_features: int
    num_outputs: int
    head: str
    needed: int
    chance: float
    chance_right: float
    num_draws: int
    make: Callable[[Array, Any], Examples]
    judge: Callable[[Array, Array], tuple[Array, Array]]


@lru_cache
def copy_memory(length: int) -> Task:
    """Copy memory over T = `length` blanks: chance is 10 ln 8 / (T + 20)."""
    steps = length + 2 * RECALLED
    return Task(
        name="copy",
        length=steps,
        in_features=KINDS,
        num_outputs=SYMBOLS + 1,
        head="every",
        needed=length + RECALLED + 1,
        chance=RECALLED * math.log(SYMBOLS) / steps,
        chance_right=100 / SYMBOLS,
        num_draws=RECALLED,
        make=partial(_make_copy, length=length),
        judge=_judge_copy,
    )


@lru_cache
def adding(length: int) -> Task:
    """The adding problem: the best blind guess is 1, and its error 1/6.

    It is within c = 0.1 of the sum of two with probability 1 − (1 − c)².
    """
    return Task(
        name="adding",
        length=length,
        in_features=2,
        num_outputs=1,
        head="last",
        needed=length,
        chance=1 / 6,
        chance_right=100 * (1 - (1 - CLOSE) ** 2),
        num_draws=length + 2,
        make=_make_adding,
        judge=_judge_adding,
    )


def digits(num_pixels: int) -> Task:
    """Digits pixel by pixel; every class has nearly a tenth of the test images."""
    return Task(
        name="digits",
        length=num_pixels,
        in_features=1,
        num_outputs=10,
        head="last",
        needed=num_pixels,
        chance=math.log(10),
        chance_right=10.0,
        num_draws=1,
        make=_take_stored,
        judge=_judge_classes,
    )


def problem(
    name: str, length: int, num_held_out: int, load: Callable[[], Dataset]
) -> "tuple[Task, Sets]":
    """The task of that name, and its examples; `load` gives the images of digits."""
    if name in ("copy", "adding"):
        task = (copy_memory if name == "copy" else adding)(length)
        return task, made_sets(task, num_held_out)
    data = load()
    task = digits(data.test.images[0].size)
    return task, digit_sets(data, permuted=name == "permuted")


class Sets(NamedTuple):
    """train: what to draw from, () where sequences are made anew for every step.

    held_out: validation and test examples [2, N, ...].
    """

    train: Any
    held_out: Examples


def made_sets(task: Task, num_held_out: int) -> Sets:
    """Validation and test sequences of copy memory or adding, the same in every run."""
    draw = np.random.RandomState(HELD_OUT_SEED)  # its stream is frozen for good
    numbers = draw.random_sample((2 * num_held_out, task.num_draws))
    both = jax.jit(task.make)(jnp.asarray(numbers, jnp.float32), ())
    halves = (each.reshape(2, num_held_out, *each.shape[1:]) for each in both)
    return Sets((), Examples(*halves))


def blind_losses(task: Task, held_out: Examples) -> np.ndarray:
    """Losses of the best blind guess on the validation and test sequences: [2].

    The guess of adding is 1, and what it loses depends on the sums that were drawn: it
    is the mean of (sum − 1)². That of copy memory loses 10 ln 8 / (T + 20) whatever was
    drawn, that of digits ln 10.
    """
    if task.name != "adding":
        return np.full(2, task.chance)
    return np.mean(np.square(np.asarray(held_out.targets, float) - 1), axis=1)


def digit_sets(data: Dataset, permuted: bool) -> Sets:
    """Digits as sequences, the same in every run.

    Of the training images as many as there are test images are the validation set, but
    of many of either the same 1,000 are looked at.
    """
    num_images, height, width, _ = data.train.images.shape
    num_test = len(data.test.labels)
    shuffled = np.random.RandomState(HELD_OUT_SEED).permutation(num_images)
    validation, train = shuffled[:num_test][:MOST_IMAGES], np.sort(shuffled[num_test:])
    test = np.arange(num_test)
    if num_test > MOST_IMAGES:
        test = np.random.RandomState(HELD_OUT_SEED).permutation(num_test)[:MOST_IMAGES]
    pixels = np.arange(height * width)
    if permuted:
        pixels = np.random.RandomState(0).permutation(height * width)

    def sequences(images: np.ndarray) -> np.ndarray:
        return images.reshape(len(images), -1, 1)[:, pixels]

    images, labels = data.train
    held_out = (images[validation], data.test.images[test])
    return Sets(
        _examples(sequences(images[train]), labels[train]),
        _examples(
            np.stack([sequences(each) for each in held_out]),
            np.stack([labels[validation], data.test.labels[test]]),
        ),
    )


def _examples(inputs: np.ndarray, targets: np.ndarray) -> Examples:
    return Examples(jnp.asarray(inputs), jnp.asarray(targets))


def _make_copy(numbers: Array, stored: Any, length: int) -> Examples:
    symbols = 1 + jnp.floor(numbers * SYMBOLS).astype(int)
    number = len(numbers)
    blanks = jnp.full((number, length - 1), BLANK)
    delimiters = jnp.full((number, 1 + RECALLED), DELIMITER)
    kinds = jnp.concatenate([symbols, blanks, delimiters], axis=1)
    wait = jnp.full((number, length + RECALLED), BLANK)
    targets = jnp.concatenate([wait, symbols], axis=1)
    return Examples(jax.nn.one_hot(kinds, KINDS), targets)


def _make_adding(numbers: Array, stored: Any) -> Examples:
    values, places = numbers[:, :-2], numbers[:, -2:]
    length = values.shape[1]
    half = length // 2
    first = jnp.floor(places[:, :1] * half).astype(int)
    second = half + jnp.floor(places[:, 1:] * (length - half)).astype(int)
    steps = jnp.arange(length)[None]
    markers = ((steps == first) | (steps == second)).astype(values.dtype)
    sums = jnp.sum(values * markers, axis=1)
    return Examples(jnp.stack([values, markers], axis=-1), sums)


def _take_stored(numbers: Array, stored: Examples) -> Examples:
    """With replacement."""
    index = jnp.floor(numbers[:, 0] * len(stored.targets)).astype(int)
    return Examples(*(each[index] for each in stored))


def _judge_copy(logits: Array, targets: Array) -> tuple[Array, Array]:
    """Loss over all steps, but right are only symbols recalled."""
    losses = optax.softmax_cross_entropy_with_integer_labels(logits, targets)
    right = jnp.argmax(logits, -1)[:, -RECALLED:] == targets[:, -RECALLED:]
    return jnp.mean(losses, axis=1), jnp.mean(right, axis=1)


def _judge_adding(outputs: Array, targets: Array) -> tuple[Array, Array]:
    error = outputs[:, 0] - targets
    return jnp.square(error), (jnp.abs(error) < CLOSE).astype(error.dtype)


def _judge_classes(logits: Array, targets: Array) -> tuple[Array, Array]:
    losses = optax.softmax_cross_entropy_with_integer_labels(logits, targets)
    right = jnp.argmax(logits, -1) == targets
    return losses, right.astype(losses.dtype)
