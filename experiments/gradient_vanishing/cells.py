"""Identities and counts of gated cells, on small random ones."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from cnn_jax.ops import (
    bidirectional,
    gru,
    gru_step,
    init_gru,
    init_lstm,
    init_rnn,
    lstm,
    lstm_step,
    rnn,
)
from experiments.harness.claims import Grid, Metrics, Shown
from experiments.harness.compilation import brief
from experiments.harness.seeds import normals, over_seeds

SIZES = 8, 16  # of inputs and state
SCALE = 0.5  # standard deviation of the random parameters, biases included
PLACEMENTS = ("after", "before")  # of the reset gate and the product with hn
FALLING = tuple(round(1 - i / 10, 1) for i in range(11))  # a scalar reset gate
ROUNDING = 1e-6
ELMO = {"inputs": 512, "state": 4096, "projection": 512}
CLIP = 3.0
SEQUENCE, LENGTH = 6, 4  # steps with and without padding
LAYERS: dict[str, tuple[Any, Any]] = {
    "RNN": (rnn, init_rnn),
    "LSTM": (lstm, init_lstm),
    "GRU": (gru, init_gru),
}


def shapes_of(init: Any, *sizes: int, **options: Any) -> Any:
    """The shapes of what `init(key, *sizes, **options)` draws."""
    return jax.eval_shape(lambda key: init(key, *sizes, **options), jax.random.key(0))


def random_params(key: Array, init: Any, *sizes: int, **options: Any) -> dict:
    """Params in the shapes that `init` makes, all of them normal."""
    leaves, tree = jax.tree.flatten(shapes_of(init, *sizes, **options))
    drawn = normals(key, *(leaf.shape for leaf in leaves))
    return jax.tree.unflatten(tree, [SCALE * leaf for leaf in drawn])


def _gru_case(key: Array) -> tuple[dict, Array, Array]:
    """A random GRU with a state [H] and inputs [D]."""
    draw, rest = jax.random.split(key)
    features, size = SIZES
    h, inputs = normals(rest, (size,), (features,))
    return random_params(draw, init_gru, features, size), h, inputs


def slopes() -> Metrics:
    """gate-gradient-near-one: the largest slope of a sigmoid, and that of a tanh."""
    places = jnp.linspace(-20, 20, 4001)
    largest = {
        name: np.asarray(jnp.max(jax.vmap(jax.grad(function))(places)))[None]
        for name, function in (("sigmoid", jax.nn.sigmoid), ("tanh", jnp.tanh))
    }
    return {f"largest-slope/{name}": value for name, value in largest.items()}


def sizes_of_cells() -> Metrics:
    """gru-simpler/count and elmo-projection/count: parameters by their shapes."""

    def split(init: Any, *sizes: int, **options: Any) -> tuple[int, int]:
        """Numbers of parameters in kernels, and in biases."""
        leaves = jax.tree.leaves(shapes_of(init, *sizes, **options))
        kernels = sum(leaf.size for leaf in leaves if leaf.ndim == 2)
        return kernels, sum(leaf.size for leaf in leaves) - kernels

    gru_kernels, gru_biases = split(init_gru, *SIZES)
    lstm_kernels, lstm_biases = split(init_lstm, *SIZES)
    features, size, projection = ELMO.values()
    kernels, biases = split(init_lstm, features, size, projection=projection)
    formula = 4 * size * (projection + features) + size * projection
    whole = gru_kernels + gru_biases, lstm_kernels + lstm_biases
    return {
        "kernels-less-3-to-4": np.asarray([4 * gru_kernels - 3 * lstm_kernels]),
        "parameters-less-3-to-4": np.asarray([4 * whole[0] - 3 * whole[1]]),
        "elmo-kernels-less-formula": np.asarray([kernels - formula]),
        "elmo-biases-less-formula": np.asarray([biases - 4 * size]),
        "elmo-kernels-less-unprojected": np.asarray(
            [kernels - 4 * size * (size + features)]
        ),
        "parameters": Shown(
            np.asarray(whole),
            f"parameters of a GRU and an LSTM, {SIZES[0]} inputs, {SIZES[1]} units",
        ),
    }


def _negated(params: dict) -> dict:
    """The params with an update gate of 1 − z."""
    negative = jax.tree.map(jnp.negative, {name: params[name] for name in ("iz", "hz")})
    return params | negative


def updates(keys: Array) -> Metrics:
    """gru-simpler/convention and gru-update, errors [seeds].

    Returns:
        convention/{negated, same}: Cho's GRU against Chung's with 1 − z for z, and
        with the same z; kept/{chung, cho}: max abs(∂h'/∂h − diag(1 − z)), gates and
        candidate under stop_gradient; update-gates: max abs(1 − 2z).
    """

    def stopped(function: Any) -> Any:
        return lambda z: lax.stop_gradient(function(z))

    still = {"gate": stopped(jax.nn.sigmoid), "activation": stopped(jnp.tanh)}

    def measure(key: Array) -> dict[str, Array]:
        params, h, inputs = _gru_case(key)
        cho, _ = gru_step(params, h, inputs, update="cho")

        def against(other: dict) -> Array:
            chung, _ = gru_step(other, h, inputs, update="chung")
            return jnp.linalg.norm(chung - cho) / jnp.linalg.norm(cho)

        sums = inputs @ params["iz"]["kernel"] + h @ params["hz"]["kernel"]
        z = jax.nn.sigmoid(sums + params["iz"]["bias"])

        def kept(update: str) -> Array:
            def after(h: Array) -> Array:
                return gru_step(params, h, inputs, update=update, **still)[0]

            return jnp.max(jnp.abs(jax.jacfwd(after)(h) - jnp.diag(1 - z)))

        return {
            "convention/negated": against(_negated(params)),
            "convention/same": against(params),
            "kept/chung": kept("chung"),
            "kept/cho": kept("cho"),
            "update-gates": jnp.max(jnp.abs(1 - 2 * z)),
        }

    return {
        name: np.asarray(each)
        for name, each in over_seeds(measure, brief)(keys).items()
    }


def candidate(
    params: dict, h: Array, inputs: Array, r: Array, reset: str, activation: Any
) -> Array:
    """The candidate n of a GRU whose reset gate is r: Cho's h' where z = 0."""
    size = len(h)

    def fixed(value: Array) -> tuple[dict, dict]:
        inner = {"kernel": jnp.zeros((len(inputs), size)), "bias": value}
        return inner, {"kernel": jnp.zeros((size, size))}

    ir, hr = fixed(jnp.broadcast_to(r, (size,)))
    iz, hz = fixed(jnp.zeros(size))
    given = params | {"ir": ir, "hr": hr, "iz": iz, "hz": hz}
    options = {"gate": "identity", "activation": activation, "update": "cho"}
    return gru_step(given, h, inputs, reset=reset, **options)[0]


def resets(keys: Array) -> Metrics:
    """gru-reset: what a reset gate lets through.

    Returns:
        candidate-change/{zero, one} [seeds, placement]: how far h moves the candidate
        at r = 0 and at r = 1; increases/scalar [seeds]: how often abs(U(r h)) grows as
        a scalar r falls; increases/vector and decreases/alike [1], of the example.
    """

    def measure(key: Array) -> tuple[Array, Array]:
        params, h, inputs = _gru_case(key)

        def change(r: float, reset: str) -> Array:
            of = partial(
                candidate, params, inputs=inputs, reset=reset, activation="tanh"
            )
            without = of(h=jnp.zeros_like(h), r=jnp.asarray(r))
            gap = of(h=h, r=jnp.asarray(r)) - without
            return jnp.linalg.norm(gap) / jnp.linalg.norm(without)

        changes = [[change(r, reset) for reset in PLACEMENTS] for r in (0.0, 1.0)]
        sizes = jnp.stack([_reset_state(params, h, jnp.asarray(r)) for r in FALLING])
        return jnp.asarray(changes), jnp.sum(sizes[1:] > sizes[:-1] + ROUNDING)

    changes, increases = map(np.asarray, over_seeds(measure, brief)(keys))
    zero, one = (Grid(changes[:, i], {"reset": PLACEMENTS}) for i in range(2))
    return {
        "candidate-change/zero": zero,
        "candidate-change/one": one,
        "increases/scalar": increases,
        **_vector_example(),
    }


def _reset_state(params: dict, h: Array, r: Array) -> Array:
    """abs(U(r h)), the reset gate before the product."""
    bare = jax.tree.map(jnp.zeros_like, params) | {
        "hn": {"kernel": params["hn"]["kernel"], "bias": jnp.zeros_like(h)}
    }
    inputs = jnp.zeros(len(params["in"]["kernel"]))
    return jnp.abs(candidate(bare, h, inputs, r, "before", "identity"))


def _vector_example() -> dict[str, np.ndarray]:
    """U = [1, -1], h = (1, 1): the two parts cancel until one of them is reset.

    Returns:
        increases/vector [1]: how often abs(U(r h)) grows as r falls from (1, 1) to
        (1, 0.2); decreases/alike [1]: how often it falls, from there to (0.5, 0.1).
    """
    params = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape), shapes_of(init_gru, 1, 2))
    params["hn"]["kernel"] = jnp.asarray([[1.0, 0.0], [-1.0, 0.0]])
    open_gate, one_reset, both_reset = (
        _reset_state(params, jnp.ones(2), jnp.asarray(r))
        for r in ((1.0, 1.0), (1.0, 0.2), (0.5, 0.1))
    )
    increases = jnp.sum(one_reset > open_gate + ROUNDING)
    decreases = jnp.sum(both_reset < one_reset - ROUNDING)
    return {
        "increases/vector": np.asarray(increases)[None],
        "decreases/alike": np.asarray(decreases)[None],
    }


def clips(keys: Array) -> Metrics:
    """elmo-projection/clips: cells and projections beyond the clip.

    Returns:
        beyond-clip/{clipped, free} [seeds, 2]: numbers of cells and of projections.
    """
    features, size = SIZES
    projection, num_steps = 4, 50

    def measure(key: Array) -> Array:
        draw, rest = jax.random.split(key)
        params = random_params(draw, init_lstm, features, size, projection=projection)
        (inputs,) = normals(rest, (num_steps, features))
        # A wide open memory and a projection of many units: both leave the clip.
        params["hf"]["bias"] = jnp.full(size, 5.0)
        params["projection"]["kernel"] *= 8.0

        def beyond(limit: float | None) -> Array:
            step = partial(lstm_step, cell_clip=limit, projection_clip=limit)

            def advance(carry: Any, now: Array) -> tuple[Any, Any]:
                carry, _ = step(params, carry, now)
                return carry, carry

            start = jnp.zeros(size), jnp.zeros(projection)
            _, states = lax.scan(advance, start, inputs)
            return jnp.stack([jnp.sum(jnp.abs(each) > CLIP) for each in states])

        return jnp.stack([beyond(CLIP), beyond(None)])

    clipped, free = np.moveaxis(np.asarray(over_seeds(measure, brief)(keys)), 1, 0)
    return {"beyond-clip/clipped": clipped, "beyond-clip/free": free}


def supports(keys: Array) -> Metrics:
    """bidirectional-sees-both: which outputs depend on which inputs.

    Returns:
        unseen/{both, forward} [seeds, layer]: pairs of steps inside the length without
        a derivative, of both directions and of the forward half alone;
        seen-padding [seeds, layer]: pairs in the padding with one.
    """
    inside = np.arange(SEQUENCE) < LENGTH
    pairs = jnp.asarray(inside[:, None] & inside)

    def measure(key: Array) -> Array:
        found = []
        for layer, init in LAYERS.values():
            keys = jax.random.split(key, 3)
            first, second = (random_params(keys[i], init, 3, 4) for i in (0, 1))
            (inputs,) = normals(keys[2], (SEQUENCE, 3))

            def outputs(inputs: Array, layer=layer, params=(first, second)) -> Array:
                return bidirectional(layer, params, inputs, lengths=LENGTH)[1]

            depends = jax.jacfwd(outputs)(inputs) != 0  # [step, unit, step, feature]
            both = jnp.any(depends, axis=(1, 3))
            forward = jnp.any(depends[:, : depends.shape[1] // 2], axis=(1, 3))
            counts = [pairs & ~both, pairs & ~forward, ~pairs & both]
            found.append(jnp.stack([jnp.sum(each) for each in counts]))
        return jnp.stack(found)

    counts = np.asarray(over_seeds(measure, brief)(keys))  # [seed, layer, count]
    names = ("unseen/both", "unseen/forward", "seen-padding")
    return {
        name: Grid(counts[..., place], {"layer": tuple(LAYERS)})
        for place, name in enumerate(names)
    }
