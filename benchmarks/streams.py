"""How fast MNIST is read as a stream and trained on, beside images held in memory.

    python -m benchmarks.streams --data_dir=DIR

prints examples per second, by what reads: reading alone, and steps of LeNet on 40x40
canvases, batch 64, chunks of 50 steps. Ways take turns, each alone: it is opened, and
12 chunks are timed behind the first four, when all that was read ahead is taken. The
median of three such rounds counts; about two minutes on two idle cores.
"""

import argparse
import functools
import itertools
import time
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from cnn_jax import data
from cnn_jax.data import order
from cnn_jax.models import LeNet
from cnn_jax.training import Config, Data, State, chunk, chunk_in_order, init

SIZES: dict[str, Any] = {"batch_size": 64, "steps": 50, "view": "canvas"}
CONFIG = Config(LeNet(), (40, 40, 1), batch_size=64, chunk_steps=50)
KEYS = np.array([[0, 1]], np.uint32)
WARM, TIMED, ROUNDS = 4, 12, 3

Way = Callable[[], Iterator[Any]]


def held(split: data.Split) -> Iterator[data.Split]:
    """The items of a stream, taken from memory."""
    size, steps, first = SIZES["batch_size"], SIZES["steps"], 0
    while True:
        rows = order.batches(KEYS, len(split.labels), size, first, steps)
        yield data.Split(split.images[rows], split.labels[rows])
        first += steps


def streamed(data_dir: str, num_workers: int) -> Iterator[data.Split]:
    """The items of a stream."""
    where: dict[str, Any] = {"data_dir": data_dir, "num_workers": num_workers}
    with data.stream("mnist", keys=KEYS, **where, **SIZES) as stream:
        yield from stream


def trained(
    step: Callable[[State, Data], Any], state: State, items: Iterator[Any]
) -> Iterator[Any]:
    """The log of one chunk after the other."""
    settings = jnp.asarray(0), jnp.asarray(10**9)
    for images, labels in items:
        state, log = step(state, Data(images, labels, *settings))
        yield jax.block_until_ready(log)


def trained_on(way: Way, state: State) -> Way:
    """The same way, with a chunk of steps behind every item."""
    step = jax.jit(functools.partial(chunk_in_order, config=CONFIG))

    def items() -> Iterator[Any]:
        for images, labels in way():
            yield images[0], labels[0]

    return lambda: trained(step, state, items())


def rates(ways: dict[str, Way]) -> dict[str, float]:
    """Examples per second of each way."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(ROUNDS):
        for name, way in ways.items():
            items = way()
            for _ in range(WARM):
                next(items)
            began = time.perf_counter()
            for _ in range(TIMED):
                next(items)
            seconds[name].append(time.perf_counter() - began)
            del items  # which closes a stream
    examples = TIMED * SIZES["batch_size"] * SIZES["steps"]
    return {name: float(examples / np.median(all)) for name, all in seconds.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data_dir", required=True)
    data_dir = parser.parse_args().data_dir
    split = data.load("mnist", view="canvas", data_dir=data_dir).train
    reading: dict[str, Way] = {"memory": lambda: held(split)}
    for number, name in enumerate(("a thread", "1 process", "2 processes")):
        reading[name] = functools.partial(streamed, data_dir, number)
    key = jax.random.wrap_key_data(jnp.asarray(KEYS[0]))
    state = init(jax.random.key(0), CONFIG)._replace(key=key)
    step = jax.jit(functools.partial(chunk, config=CONFIG))
    whole = tuple(map(jnp.asarray, split))
    training = {name: trained_on(way, state) for name, way in reading.items()}
    training["memory"] = lambda: trained(step, state, itertools.repeat(whole))
    alone, both = rates(reading), rates(training)
    print("| examples from | read alone | trained on |\n|---|---|---|")
    for name in reading:
        print(f"| {name} | {alone[name]:,.0f} | {both[name]:,.0f} |")


if __name__ == "__main__":
    main()
