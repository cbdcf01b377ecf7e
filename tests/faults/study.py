"""A small experiment that trains: three nets, two at a time, then a fourth alone."""

from pathlib import Path

from experiments.harness import directory

SOURCE = '''"""Does a line fit?

It trains lines with Adam on noisy points and measures how far the slope is off.
"""

import dataclasses
import os
import time

import jax
import jax.numpy as jnp
import numpy as np
import optax

from experiments.harness.claims import Claim
from experiments.harness.metrics import Shown
from experiments.harness.seeds import over_seeds

DATA = ()
QUICK = {"chunks": 3}
CLAIMS = (
    Claim(
        id="line-fits",
        statement="A line fits.",
        source="T1",
        kind="conditional",
        expected="yes",
        metric="a",
        relation="<",
        threshold=0.5,
    ),
)


@dataclasses.dataclass(frozen=True)
class Config:
    """What can be changed."""

    chunks: int = 12  # of ten steps each
    pause: float = 0.0  # seconds before each chunk
    diverges: int = -1  # the chunk of "d" from which on the loss is not finite
    signals: str = ""  # "15 3": SIGTERM in chunk 3 of "d", once
    idle: float = 0.0  # seconds that a measurement takes which trains nothing


def _start(key):
    draw, key = jax.random.split(key)
    params = {"slope": jax.random.normal(draw, (3,)), "offset": jnp.zeros(())}
    return params, optax.adam(0.05).init(params), key, jnp.asarray(0)


def _chunk(state, target):
    def step(state, _):
        params, moments, key, number = state
        points = jax.random.normal(jax.random.fold_in(key, number), (16, 3))

        def loss(params):
            wrong = points @ (params["slope"] - target) + params["offset"]
            return jnp.mean(wrong**2)

        value, gradient = jax.value_and_grad(loss)(params)
        updates, moments = optax.adam(0.05).update(gradient, moments)
        params = optax.apply_updates(params, updates)
        return (params, moments, key, number + 1), value

    state, losses = jax.lax.scan(step, state, length=10)
    return state, {"loss": losses}


def run(keys, config, lab):
    chunk, start = over_seeds(_chunk), over_seeds(_start)

    def train(label, target):
        def advance(states, examples):
            if config.pause:
                lab.log("pause", label=label)
                time.sleep(config.pause)
            number = int(states[3][0]) // 10
            states, log = chunk(states, examples)
            if label == "d" and 0 <= config.diverges <= number:
                log = {"loss": log["loss"] * jnp.nan}
            once = lab.directory / "signalled"
            ends = label == "d" and config.signals.endswith(f" {number}")
            if ends and not once.exists():
                once.touch()
                os.kill(os.getpid(), int(config.signals.split()[0]))
                time.sleep(0.5)
            return states, log

        states = lab.fit(
            advance, start(keys), jnp.asarray(target),
            num_chunks=config.chunks, label=label,
        )
        slope = np.asarray(states[0]["slope"])
        return {
            label: np.abs(slope - target).max(1),
            f"{label} slope": Shown(slope, "slope by seed"),
        }

    def idle():
        lab.log("idle")
        time.sleep(config.idle)
        return {}

    nets = {name: (lambda n=name, t=target: train(n, t)) for name, target in
            (("a", 1.0), ("b, c", 2.0), ("d", 3.0))}
    metrics = lab.measure({"idle": idle, **nets} if config.idle else nets)
    return metrics | train("alone", 0.5)


def plot(metrics):
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5, 3))
    figure.subplots().plot(metrics["a"], "o")
    return {"distance": figure}
'''


def logged(out: Path, event: str) -> list[dict]:
    """The events of this name in the study's log until now."""
    try:
        (run,) = out.glob("study/*")
        events = directory.read_log(run)
    except (ValueError, OSError):
        return []
    return [each for each in events if each["event"] == event]
