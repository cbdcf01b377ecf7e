"""What carries a gradient through gated cells: norms, the cell's own path, gates.

Cells of WIDTH units as flax.linen draws them, recurrent kernels times a gain; the
inputs are standard normal. A carry (c, h) is flattened, so c is its first half.
"""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from cnn_jax.instruments import (
    carry_jacobians,
    gate_values,
    log_jacobian_norms,
    log_singular_values,
    saturation,
)
from cnn_jax.ops import gru_step, init_gru, init_lstm, init_rnn, lstm_step, rnn_step
from experiments.gradient_vanishing.recurrence import WIDTH
from experiments.harness.claims import Metrics, Shown
from experiments.harness.compilation import brief
from experiments.harness.seeds import over_seeds

BIASES = ("0", "1", "5", "chrono")  # of the forget gate
GAINS = (1, 2, 4, 8)
ARMS = tuple(f"{bias}-{gain}" for bias in BIASES for gain in GAINS)
DISTANCES = (1, 2, 4, 8, 16, 32, 64, 100, 200)
FAR = DISTANCES[-1]
CELL = slice(WIDTH)
GATES = ("i", "f", "o")
NOT_FORGET = ("i", "o")
PATH_GAINS = (1, 2, 1, 8, 4)  # of an open cell, and of each of BIASES
BINS = 20
BLOCK = 10  # steps between two orthogonalizations, the dearest part of all
WITHOUT = ("GRU", "orthogonal tanh RNN")  # shown beside the LSTM


def with_gain(params: dict, gain: Array) -> dict:
    """The params with every kernel of the state times the gain."""
    return {
        entry: {
            leaf: gain * value if entry[0] == "h" and leaf == "kernel" else value
            for leaf, value in leaves.items()
        }
        for entry, leaves in params.items()
    }


def with_biases(params: dict, biases: dict[str, Array]) -> dict:
    """The params of an LSTM with these biases, by gate."""
    return params | {
        f"h{gate}": params[f"h{gate}"] | {"bias": bias} for gate, bias in biases.items()
    }


def gates(params: dict, carry: tuple[Array, Array], inputs: Array) -> dict[str, Array]:
    """The gates i, f and o of `lstm_step`."""

    def gate(name: str) -> Array:
        from_inputs = inputs @ params[f"i{name}"]["kernel"]
        entry = params[f"h{name}"]
        return jax.nn.sigmoid(from_inputs + carry[1] @ entry["kernel"] + entry["bias"])

    return {name: gate(name) for name in GATES}


def in_blocks(jacobians: Array) -> Array:
    """Products of BLOCK factors each, whose span of values still fits into floats."""

    def product(block: Array) -> Array:
        start = jnp.eye(block.shape[-1])
        return lax.scan(lambda made, factor: (factor @ made, None), start, block)[0]

    return lax.map(product, jacobians.reshape(-1, BLOCK, *jacobians.shape[1:]))


def nothing() -> tuple[Array, Array]:
    """The carry (c, h) to begin with."""
    return jnp.zeros(WIDTH), jnp.zeros(WIDTH)


def _drawn(key: Array) -> tuple[dict, dict[str, Array], Array]:
    """An LSTM as flax draws it, the biases of i and f of each kind, and inputs."""
    draw, input_key = jax.random.split(key)
    params = init_lstm(draw, WIDTH, WIDTH)
    chrono = init_lstm(draw, WIDTH, WIDTH, chrono_length=FAR)
    zero = jnp.zeros(WIDTH)
    forget = [jnp.full(WIDTH, float(bias)) for bias in BIASES[:-1]]
    biases = {
        "f": jnp.stack([*forget, chrono["hf"]["bias"]]),
        "i": jnp.stack([zero, zero, zero, chrono["hi"]["bias"]]),
    }
    return params, biases, jax.random.normal(input_key, (FAR, WIDTH))


def _memory(params: dict, inputs: Array) -> dict[str, Any]:
    """One LSTM: log10 of ‖∂c_d/∂c_0‖, of the cell path, of the spectrum; its gates."""
    jacobians = carry_jacobians(lstm_step, params, nothing(), inputs)
    values = gate_values(gates, lstm_step, params, nothing(), inputs)
    kept = jnp.sum(jnp.log10(values["f"]), axis=0)
    spread = [saturation(values[name], bins=BINS) for name in GATES]
    # As many of the whole carry's values as there are cells.
    spectrum = log_singular_values(in_blocks(jacobians), sweeps=1)[CELL]
    return {
        "norms": log_jacobian_norms(jacobians, DISTANCES, rows=CELL, columns=CELL),
        "path": jnp.max(kept),
        "median": jnp.median(spectrum),
        "saturated": jnp.stack([each.low + each.high for each in spread]),
        "histogram": spread[GATES.index("f")].histogram,
    }


def memories(keys: Array) -> Metrics:
    """lstm-solves-vanishing, -exploding and lstm-gates-are-binary/init.

    Returns:
        log-norm/{bias}-{gain} [seeds]: log10 ‖∂c_T/∂c_0‖; gates-saturated/init [seeds],
        of all gates, gates-saturated/init-input-output [seeds], of those alone, and
        forget-gate-saturated/5 [seeds].
    """

    def measure(key: Array) -> dict[str, Array]:
        params, biases, inputs = _drawn(key)

        def one(arm: tuple[dict[str, Array], Array]) -> dict[str, Any]:
            return _memory(with_gain(with_biases(params, arm[0]), arm[1]), inputs)

        each = jax.tree.map(lambda leaf: jnp.repeat(leaf, len(GAINS), 0), biases)
        gains = jnp.tile(jnp.asarray(GAINS, float), len(BIASES))
        return lax.map(one, (each, gains))

    measured = over_seeds(measure, brief)(keys)
    found = {name: np.asarray(each) for name, each in measured.items()}
    norms = {
        f"log-norm/{arm}": found["norms"][:, place, -1]
        for place, arm in enumerate(ARMS)
    }
    return {
        **norms,
        **_judged_gates(found["saturated"]),
        **_carried(found),
        **_gate_values(found),
    }


def _judged_gates(saturated: np.ndarray) -> Metrics:
    """What the rows are about, of shares [seed, arm, gate] near 0 or 1."""
    begun = saturated[:, ARMS.index("0-1")]  # as flax draws it
    some = [GATES.index(name) for name in NOT_FORGET]
    return {
        "gates-saturated/init": begun.mean(-1),
        "gates-saturated/init-input-output": begun[:, some].mean(-1),
        "forget-gate-saturated/5": saturated[:, ARMS.index("5-1"), GATES.index("f")],
    }


def _carried(found: dict[str, np.ndarray]) -> Metrics:
    """What is shown of the gradients, of every arm."""
    arms = ", ".join(ARMS)
    return {
        "memory-norms": Shown(
            found["norms"],
            f"log10 of the norm of the gradient from cell to cell of an LSTM [seed; "
            f"forget bias-gain {arms}; distance {', '.join(map(str, DISTANCES))}]",
        ),
        "cell-paths": Shown(
            found["path"].mean(0),
            f"log10 of the largest product of forget gates over {FAR} steps, the cell "
            f"path alone, mean of the seeds [{arms}]",
        ),
        "median-singular-values": Shown(
            found["median"].mean(0),
            f"log10 of the median of the {WIDTH} largest singular values of the whole "
            f"carry's Jacobian, from (c, h) to (c, h) {FAR} steps later, by one sweep "
            f"of QR (right up to a constant), mean of the seeds [{arms}]",
        ),
    }


def _gate_values(found: dict[str, np.ndarray]) -> Metrics:
    """What is shown of the gates, at gain 1."""
    ones = [ARMS.index(f"{bias}-1") for bias in BIASES]
    biases = ", ".join(BIASES)
    return {
        "saturated-gates": Shown(
            100 * found["saturated"][:, ones].mean(0),
            f"share of gates within 0.1 of 0 or 1 at gain 1 [forget bias {biases}; i, "
            "f, o]",
            "%",
        ),
        "gate-histograms": Shown(
            found["histogram"][:, ones].sum(0),
            f"values of the forget gate at gain 1, in {BINS} equal bins [forget bias "
            f"{biases}; bin]",
        ),
    }


def comparisons(keys: Array) -> Metrics:
    """The same norms of a GRU and of a tanh RNN, both with orthogonal kernels."""

    def measure(key: Array) -> Array:
        draw, input_key = jax.random.split(key)
        inputs = jax.random.normal(input_key, (FAR, WIDTH))
        cells = (
            (gru_step, init_gru(draw, WIDTH, WIDTH)),
            (rnn_step, init_rnn(draw, WIDTH, WIDTH)),
        )

        def norm(step: Any, params: dict, gain: Array) -> Array:
            scaled, start = with_gain(params, gain), jnp.zeros(WIDTH)
            jacobians = carry_jacobians(step, scaled, start, inputs)
            return log_jacobian_norms(jacobians, [FAR])[0]

        gains = jnp.asarray(GAINS, float)
        return jnp.stack([lax.map(partial(norm, *cell), gains) for cell in cells])

    return {
        "norms-of-others": Shown(
            np.asarray(over_seeds(measure, brief)(keys)),
            f"log10 of the norm over {FAR} steps [seed; {', '.join(WITHOUT)}; gain "
            f"{', '.join(map(str, GAINS))}]",
        )
    }


def cell_path(keys: Array) -> Metrics:
    """lstm-additive: ‖∂c_T/∂c_0‖ along the cell alone, gates under stop_gradient.

    Returns:
        cell-path-norm/open [seeds], forget gate 1; cell-path-norm/half-open [seeds],
        forget gate about σ(1); cell-path-error [seeds, arm]: that log10 of the norm
        against the largest sum of log10 f over the steps.
    """

    def stopped(function: Any) -> Any:
        return lambda z: lax.stop_gradient(function(z))

    step = partial(
        lstm_step, gate=stopped(jax.nn.sigmoid), activation=stopped(jnp.tanh)
    )

    def measure(key: Array) -> Array:
        params, biases, inputs = _drawn(key)

        def norms(arm: tuple[dict[str, Array], Array]) -> Array:
            made = with_gain(with_biases(params, arm[0]), arm[1])
            jacobians = carry_jacobians(step, made, nothing(), inputs)
            norm = log_jacobian_norms(jacobians, [FAR], rows=CELL, columns=CELL)[0]
            forget = gate_values(gates, lstm_step, made, nothing(), inputs)["f"]
            return jnp.stack([norm, jnp.max(jnp.sum(jnp.log10(forget), axis=0))])

        always, gain = jnp.full((1, WIDTH), 1e3), jnp.asarray(PATH_GAINS, float)
        arms = {
            "f": jnp.concatenate([always, biases["f"]]),
            "i": jnp.concatenate([biases["i"][:1], biases["i"]]),
        }
        return lax.map(norms, (arms, gain))  # σ(1000) is 1 in any float

    logs = np.asarray(over_seeds(measure, brief)(keys), float)  # [seed, arm, 2]
    kept = 10 ** logs[..., 0]
    return {
        "cell-path-norm/open": kept[:, 0],
        "cell-path-norm/half-open": kept[:, 1 + BIASES.index("1")],
        "cell-path-error": np.abs(logs[..., 0] - logs[..., 1]),
    }
