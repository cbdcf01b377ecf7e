"""What recurrent nets still know at the end of a sequence, and what their gates do.

A linear probe reads a symbol from the state h_t: of the class means μ_k and the pooled
covariance S within classes, on sequences of its own,

    score_k(h) = h·S⁻¹μ_k − ½ μ_k·S⁻¹μ_k          (linear discriminant analysis)

and the largest score is the answer. It is fitted on FITTED sequences and judged on
TEST ones, which all nets and seeds share.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from cnn_jax.instruments import gate_values, saturation
from cnn_jax.ops import lstm_step
from experiments.gradient_vanishing.memories import BINS, GATES, NOT_FORGET, gates
from experiments.gradient_vanishing.recall import (
    CELLS,
    KINDS,
    LEARNING_RATES,
    NETS,
    TASKS,
    WIDTH,
    Net,
    fit,
    logits_of,
    one_hot,
    sequences,
)
from experiments.harness.claims import Images, Metrics, Shown
from experiments.harness.compilation import brief
from experiments.harness.lab import Lab
from experiments.harness.seeds import over_seeds

FITTED, TEST = sequences(1, 4096), sequences(2, 2048)
SEEN = 64  # test sequences whose gates are looked at
SHUFFLES = 20  # of the symbols that the control of a probe is fitted to
RIDGE = 1e-6  # of the mean variance, so that S has an inverse
FIRST, LAST = 0, -1
ARMS = tuple(f"{cell}-{task}" for cell in CELLS for task in TASKS)
VARIANTS = tuple(name for name in NETS if name not in CELLS)


class Trained(NamedTuple):
    """One arm after training, over nets: trainings of every seed.

    right: [nets, N], whether the net names the symbol asked for; states: [nets, 2, M
    + N, WIDTH], h_1 and h_T of the sequences of FITTED and TEST; gates: shares near 0
    or 1 and histograms, before and after training, of LSTMs.
    """

    right: np.ndarray
    states: np.ndarray
    gates: Mapping[str, np.ndarray] | None


def train(keys: Array, lab: Lab, name: str, task: str, steps: int) -> Trained:
    """Trains one arm, and looks at it on sequences that it has not seen."""
    net = NETS[name]
    rate = LEARNING_RATES[name]
    before, after = fit(keys, lab, f"{name}, {task}", net, task, steps, rate)

    symbols = jnp.asarray(np.concatenate([FITTED, TEST]))
    answers, states = map(np.asarray, _looked_at(after.params, symbols, net))
    right = answers[:, len(FITTED) :] == TEST[:, TASKS[task]]
    seen = name == "lstm" and task == "needed"
    looked = _gates(net, before.params, after.params) if seen else None
    return Trained(right, states, looked)


@partial(brief, static_argnames="net")
def _looked_at(params: Array, symbols: Array, net: Net) -> tuple[Array, Array]:
    """The answers [nets, N] and the states h_1 and h_T [nets, 2, N, WIDTH]."""

    def look(params: Array) -> tuple[Array, Array]:
        tree = net.tree(params)
        outputs = net.outputs(tree, symbols)
        states = jnp.stack([outputs[:, FIRST], outputs[:, LAST]])
        return jnp.argmax(logits_of(tree, states[LAST]), axis=-1), states

    return jax.lax.map(look, params)


def _gates(net: Net, *params: Array) -> dict[str, np.ndarray]:
    """shares [nets, before and after, gate] near 0 or 1; histograms [..., bin]."""

    def look(each: Array, symbols: Array) -> tuple[Array, Array]:
        def one(params: Array) -> tuple[Array, Array]:
            cell = net.tree(params)["cell"]
            start = (jnp.zeros(WIDTH),) * 2
            of = partial(gate_values, gates, lstm_step, cell, start)
            values = jax.vmap(of)(one_hot(symbols))
            spread = [saturation(values[name], bins=BINS) for name in GATES]
            shares = jnp.stack([one.low + one.high for one in spread])
            return shares, jnp.stack([one.histogram for one in spread])

        return jax.lax.map(one, each)

    shares, histograms = over_seeds(look, brief)(
        jnp.stack(params, axis=1), jnp.asarray(TEST[:SEEN])
    )
    return {"shares": np.asarray(shares), "histograms": np.asarray(histograms)}


def probe(
    states: np.ndarray, labels: np.ndarray, test_states: np.ndarray
) -> np.ndarray:
    """The linear probe's answers.

    Args:
        states: [M, WIDTH] that it is fitted on.
        labels: [M] in 0 ... KINDS − 1, each of them there.
        test_states: [N, WIDTH].

    Returns:
        [N] integers.
    """
    states = states.astype(np.float64)
    means = np.stack([states[labels == kind].mean(0) for kind in range(KINDS)])
    within = np.cov((states - means[labels]).T, bias=True)
    ridge = RIDGE * states.var(axis=0).mean()
    directions = np.linalg.solve(within + ridge * np.eye(states.shape[1]), means.T)
    offsets = 0.5 * np.sum(means.T * directions, axis=0)
    return np.argmax(test_states @ directions - offsets, axis=1)


def _probed(net: Trained, time: int, place: int, labels: np.ndarray) -> np.ndarray:
    """100 where a probe fitted to the labels finds the symbol at `place` in h_time.

    Returns:
        [nets, N]
    """
    cut = len(FITTED)
    answers = [
        probe(states[time, :cut], labels, states[time, cut:]) for states in net.states
    ]
    return 100.0 * (np.stack(answers) == TEST[:, place])


def _shuffled(net: Trained) -> np.ndarray:
    """The same after fitting to shuffled symbols, the mean of many shuffles.

    States that lie in few clusters get one symbol each, so that a single shuffle may
    hit by luck.
    """
    generator = np.random.RandomState(7)
    labels = FITTED[:, FIRST]
    shuffles = [generator.permutation(labels) for _ in range(SHUFFLES)]
    return np.mean([_probed(net, LAST, FIRST, each) for each in shuffles], axis=0)


def measurements(
    keys: Array, lab: Lab, steps: int
) -> dict[str, Callable[[], dict[str, Trained]]]:
    """Label -> the training of an arm, under its label."""
    arms = {name: (name, "needed") for name in VARIANTS}
    # One task after the other: two that begin at once would both compile the program.
    arms |= {f"{cell}-{task}": (cell, task) for task in TASKS for cell in CELLS}
    return {
        label: partial(_named, label, partial(train, keys, lab, *arm, steps))
        for label, arm in arms.items()
    }


def _named(label: str, measure: Callable[[], Trained]) -> dict[str, Trained]:
    return {label: measure()}


def with_readouts(metrics: dict[str, Any]) -> Metrics:
    """The metrics with those of the trained arms in the arms' stead.

    Returns:
        probe/{cell}-{task}: the first symbol from h_T; probe-shuffled/{cell}-{task}:
        after fitting to shuffled symbols; probe-soon/{cell}-needed: the first from h_1;
        named/{cell}-unneeded: the last, by the net itself; recall/{net}: the first, by
        the net itself; {net}-less-lstm, lstm-less-rnn, all in points per test sequence;
        gates-saturated/{untrained, trained} [nets], of all gates, and with
        -input-output of those alone; forget-gate-saturated/untrained [nets].
    """
    trained = {name: metrics.pop(name) for name in (*ARMS, *VARIANTS)}
    found: dict[str, Any] = {}
    first = FITTED[:, FIRST]
    for arm in ARMS:
        net = trained[arm]
        found[f"probe/{arm}"] = Images(_probed(net, LAST, FIRST, first))
        found[f"probe-shuffled/{arm}"] = Images(_shuffled(net))
    for cell in CELLS:
        needed, unneeded = (trained[f"{cell}-{task}"] for task in TASKS)
        found[f"named/{cell}-unneeded"] = Images(100.0 * unneeded.right)
        soon = _probed(needed, FIRST, FIRST, first)
        found[f"probe-soon/{cell}-needed"] = Images(soon)
    right = {
        name: 100.0 * trained[f"{name}-needed" if name in CELLS else name].right
        for name in NETS
    }
    for name, points in right.items():
        found[f"recall/{name}"] = Images(points)
    for name in VARIANTS:
        found[f"{name}-less-lstm"] = Images(right[name] - right["lstm"])
    found["lstm-less-rnn"] = Images(right["lstm"] - right["rnn"])
    return metrics | found | _shown(trained["lstm-needed"], right)


def _shown(lstm: Trained, right: dict[str, np.ndarray]) -> dict[str, Any]:
    assert lstm.gates is not None
    shares = lstm.gates["shares"]  # [net, before and after, gate]
    some = shares[..., [GATES.index(name) for name in NOT_FORGET]]
    return {
        "gates-saturated/untrained": shares[:, 0].mean(-1),
        "gates-saturated/trained": shares[:, 1].mean(-1),
        "gates-saturated/untrained-input-output": some[:, 0].mean(-1),
        "gates-saturated/trained-input-output": some[:, 1].mean(-1),
        "forget-gate-saturated/untrained": shares[:, 0, GATES.index("f")],
        "recall-accuracies": Shown(
            np.stack([points.mean(1) for points in right.values()], 1),
            f"accuracy of first-symbol recall [net; {', '.join(right)}]",
            "%",
        ),
        "trained-gates": Shown(
            100 * shares.mean(0),
            "gates near 0 or 1 [before, after training; input, forget, output gate]",
            "%",
        ),
        "trained-gate-histograms": Shown(
            lstm.gates["histograms"].sum(0),
            "gate values in 20 bins of [0, 1] [before, after training; input, forget, "
            "output gate; bin]",
        ),
    }
