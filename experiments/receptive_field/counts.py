"""The rows that are arithmetic: fields, parameters, costs and ranks, each seen twice.

Every field is the closed form's and is confirmed by the support of a gradient; every
count of products by a loop over positions and taps.
"""

import itertools
from collections.abc import Iterable

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from cnn_jax.ops import (
    Layer,
    avg_pool,
    conv,
    num_macs,
    num_params,
    output_shapes,
    receptive_field,
)
from experiments.harness.claims import Grid, Metrics, Shown
from experiments.harness.compilation import brief
from experiments.harness.seeds import normals
from experiments.receptive_field.stacks import (
    KNOWN,
    Measured,
    Seen,
    chain,
    dilated,
    look,
    see,
    seen,
)

DEPTH = 7  # layers of the growing stacks
GROWTH = {
    "doubling": tuple(2**layer for layer in range(DEPTH)),
    "constant": (2,) * DEPTH,
    "idcnn": tuple(itertools.islice(itertools.cycle((1, 1, 2)), DEPTH)),
    "gridding": tuple(2 ** (layer + 1) for layer in range(DEPTH)),
}
DILATIONS = (2, 3, 4)
CHANNELS = 8
SIDE = 12  # of the images whose layers are written out as matrices


def dilated_fields() -> Metrics:
    """dilated-3-7-15: the fields of one dilated 3x3 layer, and of the stack 1, 2, 4.

    Returns:
        field-2/{layer, stack}, field-4/{layer, stack} [1, axis].
    """
    readings = {
        "field-2/layer": (2,),
        "field-4/layer": (4,),
        "field-2/stack": (1, 2),
        "field-4/stack": (1, 2, 4),
    }
    all_seen = {
        name: see(chain(*dilated(dilations, rank=2)), 21, rank=2)
        for name, dilations in readings.items()
    }
    axes = {"axis": ("rows", "columns")}
    metrics: dict = {
        name: Grid(each.size[None], axes) for name, each in all_seen.items()
    }
    return metrics | _checks("dilated-3-7-15", all_seen.values())


def growth() -> Metrics:
    """exponential-growth: the field after every layer, and the share it covers.

    The prefixes of a stack are the stack itself whose later kernels are (0, 1, 0), so
    that one program measures all of them.

    Returns:
        growth/NAME [1, l] for l >= 3; coverage/NAME [1, l].
    """
    metrics: dict = {}
    fields, shares, supports, every = [], [], [], []
    for name, dilations in GROWTH.items():
        prefixes = _prefixes(dilations)
        field = np.asarray([each.closed for each in prefixes], float)
        share = np.asarray([each.coverage for each in prefixes])
        later = tuple(range(3, DEPTH))
        ratios = field[3:] / field[2:-1]
        metrics[f"growth/{name}"] = Grid(ratios[None], {"l": later})
        layers = tuple(range(1, DEPTH + 1))
        metrics[f"coverage/{name}"] = Grid(share[None], {"l": layers})
        fields.append(field)
        shares.append(share)
        supports.append([each.support for each in prefixes])
        every += prefixes
    # One layer of dilation 2 has 3 taps in 5 positions: the gaps must be seen.
    metrics["coverage-of-a-gap"] = shares[list(GROWTH).index("constant")][:1]
    stacks = ", ".join(GROWTH)
    label = f"[stack: {stacks}; layers 1 to {DEPTH}]"
    metrics["fields"] = Shown(np.stack(fields), f"field {label}", "positions")
    params = [
        [num_params(dilated(dilations[:depth]), 1) for depth in range(1, DEPTH + 1)]
        for dilations in GROWTH.values()
    ]
    metrics["parameters"] = Shown(np.asarray(params), f"parameters {label}")
    metrics["coverages"] = Shown(np.stack(shares), f"share of taps covered {label}")
    metrics["supports"] = Shown(
        np.stack(supports),
        f"inputs that the middle output depends on {label[:-1]}; position]",
    )
    return metrics | _checks("exponential-growth", every)


def _prefixes(dilations: tuple[int, ...]) -> list[Seen]:
    """The first 1, 2, ... layers of a 1-D stack, all from one program."""
    size = 2 * sum(GROWTH["gridding"]) + 5
    inputs = jnp.zeros((1, size, 1))
    used = np.tri(DEPTH)[:, :, None] * np.asarray([1.0, 0.0, 1.0])
    kernels = jnp.asarray(used + np.asarray([0.0, 1.0, 0.0]), jnp.float32)

    def apply(kernels: Array, inputs: Array) -> Array:
        for dilation, kernel in zip(dilations, kernels, strict=True):
            kernel = kernel.reshape(3, 1, 1)
            inputs = conv(inputs, kernel, kernel_dilation=dilation)
        return inputs

    @brief
    def measure(kernels: Array) -> Measured:
        return jax.lax.map(lambda each: look(apply, each, inputs), kernels)

    measured = map(np.asarray, measure(kernels))
    return [
        seen(each, receptive_field(dilated(dilations[: depth + 1])), (size,))
        for depth, each in enumerate(zip(*measured, strict=True))
    ]


def block_fields() -> Metrics:
    """idcnn-field: four blocks of dilations 1, 1, 2, and how the field grows in them.

    Returns:
        idcnn-field [1]: the field, seen by the gradient.
    """
    blocks = [see(chain(*dilated((1, 1, 2) * n)), 64) for n in range(1, 5)]
    sizes = np.asarray([block.size[0] for block in blocks])
    return {
        "idcnn-field": sizes[-1:],
        "block-fields": Shown(sizes, "field after 1, 2, 3, 4 blocks", "positions"),
    } | _checks("idcnn-field", blocks)


def known_fields() -> Metrics:
    """known-nets: closed form and gradient support of published networks.

    Returns:
        closed-form/NET, support/NET [1].
    """
    all_seen = {name: see(net, size) for name, (net, size, _) in KNOWN.items()}
    metrics: dict = {}
    for name, each in all_seen.items():
        metrics[f"closed-form/{name}"] = np.asarray([each.closed])
        metrics[f"support/{name}"] = each.size
    return metrics | _checks("known-nets", all_seen.values())


def _checks(row: str, every: Iterable[Seen]) -> dict:
    """What the row's controls look at: disagreements, and room around the supports."""
    every = list(every)
    return {
        f"{row}/disagreements": np.asarray([sum(not each.agrees for each in every)]),
        f"{row}/margin": np.asarray([min(each.margin for each in every)]),
    }


def widening(keys: Array) -> Metrics:
    """three-ways-to-widen: what each way to a larger field costs.

    Returns:
        params-less-k3/{k5, two-layers, dilated} [1]: parameters beyond one 3x3 layer's;
        rank-less-pixels/{pool, dilated}: [1] and [seeds], of the layer's matrix;
        rank/uniform [1]: of a kernel whose gaps in frequency are known.
    """
    one = Layer((3, 3), CHANNELS)
    ways = {
        "k5": [Layer((5, 5), CHANNELS)],
        "two-layers": [one, one],
        "dilated": [Layer((3, 3), CHANNELS, kernel_dilation=2)],
    }
    base = num_params([one], CHANNELS)
    metrics: dict = {
        f"params-less-k3/{name}": np.asarray([num_params(way, CHANNELS) - base])
        for name, way in ways.items()
    }
    pool, uniform, *drawn = _ranks(keys)
    metrics["rank-less-pixels/pool"] = np.asarray([pool - SIDE**2])
    metrics["rank-less-pixels/dilated"] = np.asarray(drawn) - SIDE**2
    metrics["rank/uniform"] = np.asarray([uniform])
    return metrics


def _ranks(keys: Array) -> list[int]:
    """Ranks of a 2x2 average pool and of dilated kernels: uniform, one per seed."""
    units = jnp.eye(SIDE**2).reshape(-1, SIDE, SIDE, 1)

    @brief
    def written(keys: Array) -> tuple[Array, Array]:
        drawn = jax.vmap(lambda key: normals(key, (9,))[0])(keys)
        kernels = jnp.concatenate([jnp.ones((1, 9)), drawn]).reshape(-1, 3, 3, 1, 1)

        def layer(kernel: Array) -> Array:
            return conv(units, kernel, kernel_dilation=2, padding="CIRCULAR")

        return avg_pool(units, (2, 2), (2, 2)), jax.lax.map(layer, kernels)

    pool, layers = written(keys)
    matrix = [
        np.asarray(each, np.float64).reshape(SIDE**2, -1) for each in (pool, *layers)
    ]
    # The entries are float32's; what they leave of a zero is no rank.
    return [int(np.linalg.matrix_rank(each, rtol=1e-5)) for each in matrix]


def costs() -> Metrics:
    """same-cost: a dilated layer's parameters, products and field, less a plain one's.

    Returns:
        same-cost/{parameters, products, field} [1, dilation]; products-miscounted [1]:
        layers whose closed form differs from a loop.
    """
    shape = (32, 32, CHANNELS)
    plain = Layer((3, 3), CHANNELS)
    layers = [Layer((3, 3), CHANNELS, kernel_dilation=d) for d in DILATIONS]
    assert all(output_shapes([layer], shape) == (shape,) for layer in layers)

    def excess(measure) -> Grid:
        values = np.asarray([measure([layer]) - measure([plain]) for layer in layers])
        return Grid(values[None], {"dilation": DILATIONS})

    real = [num_macs([each], shape, padded=False) for each in (plain, *layers)]
    return {
        "same-cost/parameters": excess(lambda stack: num_params(stack, CHANNELS)),
        "same-cost/products": excess(lambda stack: num_macs(stack, shape)),
        "same-cost/field": excess(lambda stack: receptive_field(stack)[0].size),
        "same-cost/miscounted": np.asarray([_miscounted()]),
        "products-with-inputs": Shown(
            np.asarray(real),
            "multiply-accumulates without padded taps, 32x32 [dilation 1, 2, 3, 4]",
        ),
    }


def _miscounted() -> int:
    """Layers of a small grid whose closed form is not what a loop counts."""
    wrong = 0
    for size, k, d, s in itertools.product((5, 6), (2, 3), (1, 2, 3), (1, 2)):
        layer = Layer(k, 1, kernel_dilation=d, strides=s, padding=d)
        every = real = 0
        for start in range(-d, size + d - (k - 1) * d, s):
            inside = [0 <= start + tap * d < size for tap in range(k)]
            every += k
            real += sum(inside)
        wrong += num_macs([layer], (size, 1)) != every
        wrong += num_macs([layer], (size, 1), padded=False) != real
    return wrong
