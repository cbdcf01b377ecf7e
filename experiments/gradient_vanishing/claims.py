"""What the notes state about gradients over time and depth, with rules and controls."""

from experiments.gradient_vanishing import depths, memories, recurrence
from experiments.gradient_vanishing.claims_of_cells import CELLS
from experiments.gradient_vanishing.claims_of_depth import TRAINED_DEPTH
from experiments.gradient_vanishing.claims_of_gates import INITIAL_GATES, TRAINED_GATES
from experiments.gradient_vanishing.claims_of_recall import RECALL
from experiments.harness.claims import Claim, Control, Expected, Part

_RATE = Control(
    id="rnn-gradient-exponential:closed-form",
    statement="Half and four times an orthogonal matrix have the rates ln 1/2 and "
    "ln 4, at distances where the product leaves every float.",
    metric="rate-error",
    relation="<",
    threshold=1e-5,
    kind="law",
)
_BY_GAIN: dict[float, Expected] = {0.5: "yes", 1: "open", 4: "yes"}
_EXPECTED: dict[str, Expected] = {
    f"{name}-{gain}": _BY_GAIN[gain]
    for name in recurrence.ACTIVATIONS
    for gain in recurrence.GAINS
}
_EXPECTED |= {"orthogonal-linear": "no", "identity-relu": "no"}
assert tuple(_EXPECTED) == recurrence.ARMS


def _arm(name: str) -> str:
    """What an arm is, in words."""
    if name in recurrence.ISOMETRIES:
        matrix, activation = name.split("-")
        return f"{matrix} matrix, {activation}"
    activation, gain = name.split("-")
    return f"{activation}, entries N(0, {gain}²/n)"


_EXPONENTIAL = tuple(
    Claim(
        id=f"rnn-gradient-exponential/{arm}",
        statement="The gradient through an RNN shrinks or grows exponentially with "
        f"distance ({_arm(arm)}).",
        source="S4",
        kind="conditional",
        expected=expected,
        parts=(
            Part(
                metric=f"rate/{arm}",
                relation=">",
                threshold=recurrence.RATE_FLOOR,
                unit="nats/step",
            ),
            Part(metric=f"rate-change/{arm}", relation="<", threshold=0.25),
        ),
        controls=(_RATE,),
    )
    for arm, expected in _EXPECTED.items()
)

_ENTRIES = (
    Claim(
        id="small-entries-vanish/small",
        statement="A recurrent matrix with very small entries makes the gradient "
        "vanish (all 64x64 entries 1/64).",
        source="S4",
        kind="count",
        expected="no",
        metric="norm/small",
        relation="<",
        threshold=1e-3,
        controls=(
            Control(
                id="small-entries-vanish/small:below",
                statement="Entries of 0.9/64 do: log10 of the norm is 200·log10 0.9.",
                metric="log-norm/below",
                relation="within",
                threshold=1e-3,
                center=-9.15149,
            ),
        ),
    ),
    Claim(
        id="small-entries-vanish/large",
        statement="A recurrent matrix with very large entries makes the gradient "
        "explode (strictly triangular, entries 5).",
        source="S4",
        kind="count",
        expected="no",
        metric="norm/large",
        relation=">",
        threshold=1e3,
        controls=(
            Control(
                id="small-entries-vanish/large:full",
                statement="A full matrix of entries 5 does: log10 of the norm is "
                "200·log10 320.",
                metric="log-norm/full",
                relation="within",
                threshold=1e-3,
                center=501.03,
            ),
        ),
    ),
)

_TANH = Control(
    id="sigmoid-rarely-explodes:tanh",
    statement="With a tanh and gain 4 the gradient does explode.",
    metric="exploded/tanh",
    relation=">",
    threshold=0.9,
    estimate="share",
    replicate="draw",
    least=recurrence.LEAST_DRAWS,
)
_EXPLOSIONS = tuple(
    Claim(
        id=f"sigmoid-rarely-explodes/{arm}",
        statement="With a sigmoid, explosion is rare (gain "
        f"{arm.replace('-', ', ', 1).replace('bias-0', 'bias 0')}).",
        source="S4",
        kind="conditional",
        expected="open",
        metric=f"exploded/{arm}",
        relation="<",
        threshold=0.05,
        estimate="share",
        replicate="draw",
        least=recurrence.LEAST_DRAWS,
        controls=(_TANH,),
    )
    for arm in recurrence.EXPLOSION_ARMS
)

_NETS = {"mlp": "20 layers", "rnn": "20 steps"}
_SOURCES = {"mlp": "S1 5.2", "rnn": "S4"}


def _vanishes(row: str, init: str, net: str) -> Control:
    """Sigmoids lose their gradient in the same network."""
    return Control(
        id=f"{row}:sigmoid-{init}-{net}",
        statement=f"With a sigmoid the gradient does vanish, below 10⁻⁶ ({init}, "
        f"{_NETS[net]}).",
        metric=f"log-ratio/sigmoid-{init}-{net}",
        relation="<",
        threshold=-6,
    )


_RELU = tuple(
    Claim(
        id=f"relu-solves-vanishing/{activation}-{init}-{net}",
        statement="ReLU and its kin (Leaky, PReLU, RReLU, Maxout) solve vanishing "
        f"gradients ({activation}, {init}, {_NETS[net]}).",
        source=_SOURCES[net],
        kind="conditional",
        expected="open",
        metric=f"log-ratio/{activation}-{init}-{net}",
        relation=">",
        threshold=-1,
        controls=(_vanishes("relu-solves-vanishing", init, net),),
    )
    for activation in depths.KIN
    for init in depths.INITS
    for net in depths.NETS
)
_BATCH_NORM = tuple(
    Claim(
        id=f"batch-norm-solves-vanishing/{net}",
        statement=f"Batch norm solves vanishing gradients (with ReLU, {_NETS[net]}).",
        source=_SOURCES[net],
        kind="conditional",
        expected="open",
        metric=f"log-ratio/bn-relu-{net}",
        relation=">",
        threshold=-1,
        controls=(
            _vanishes("batch-norm-solves-vanishing", depths.NORMALIZED_INIT, net),
        ),
    )
    for net in depths.NETS
)

_PATH = (
    "Along the cell alone the Jacobian's norm is the product of the forget gates: "
    "their log10 agree to a thousandth, however small."
)
_LSTM = tuple(
    Claim(
        id=f"lstm-solves-{trouble}/{arm}",
        statement=f"The LSTM overcomes {trouble} gradients (forget bias "
        f"{arm.replace('-', ', gain ')}).",
        source="S4",
        kind="conditional",
        expected="open",
        metric=f"log-norm/{arm}",
        relation=relation,
        threshold=threshold,
        controls=(
            Control(
                id=f"lstm-solves-{trouble}:cell-path",
                statement=_PATH,
                metric="cell-path-error",
                relation="<=",
                threshold=1e-3,
                kind="law",
            ),
            Control(
                id=f"lstm-solves-{trouble}:half-open",
                statement="With a forget gate of about σ(1) the same path does vanish.",
                metric="cell-path-norm/half-open",
                relation="<",
                threshold=1e-4,
                kind="law",
            ),
        ),
    )
    for trouble, relation, threshold in (("vanishing", ">", -3), ("exploding", "<", 3))
    for arm in memories.ARMS
)

_RESIDUAL = Claim(
    id="resnet-no-vanishing",
    statement="152 layers without vanishing gradients: here at initialization, and of "
    "32 layers unless --depth says otherwise.",
    source="S1 5.6",
    kind="conditional",
    expected="open",
    metric="first-over-last/residual",
    relation=">",
    threshold=-1,
    controls=(
        Control(
            id="resnet-no-vanishing:plain-sigmoid",
            statement="Without shortcuts and norms, and with sigmoids, they vanish.",
            metric="first-over-last/plain-sigmoid",
            relation="<",
            threshold=-1,
        ),
    ),
)

CLAIMS = (
    *_EXPONENTIAL,
    *_ENTRIES,
    *_EXPLOSIONS,
    *_RELU,
    *_BATCH_NORM,
    *_LSTM,
    *INITIAL_GATES,
    *CELLS,
    _RESIDUAL,
    *TRAINED_DEPTH,
    *RECALL,
    *TRAINED_GATES,
)
