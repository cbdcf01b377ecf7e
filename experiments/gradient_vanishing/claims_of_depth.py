"""What the notes state about learning in deep nets, with rules and controls."""

from experiments.gradient_vanishing import learning, optima
from experiments.harness.claims import Claim, Control, Expected, Part

_FASTER = Claim(
    id="relu-converges-faster",
    statement="ReLU converges faster (steps of SGD to 25 % train error, against tanh "
    "and sigmoid).",
    source="S1 5.2",
    kind="conditional",
    expected="open",
    parts=tuple(
        Part(
            metric=f"steps-over-relu/{name}",
            relation=">",
            threshold=1.5,
            estimate="ratio",
            censored=f"censored/{name}",
        )
        for name in ("tanh", "sigmoid")
    ),
    controls=(
        Control(
            id="relu-converges-faster:resolved",
            statement="Every arm takes more than 2 steps, so that one more is a factor "
            "below 1.5.",
            metric="fewest-steps",
            relation=">",
            threshold=2,
            kind="law",
        ),
    ),
)

_OPTIMIZERS: dict[str, tuple[Expected, str]] = {
    "sgd": ("open", "SGD"),
    "adam": ("open", "Adam"),
}


def _learns(optimizer: str, activation: str) -> Control:
    """A net that only wanders tells nothing about what learns."""
    return Control(
        id=f"early-layers-starve/{optimizer}:{activation}-learns",
        statement=f"By {_OPTIMIZERS[optimizer][1]} the net of {activation}s does "
        "learn: it ends wrong about less than half of the train digits (chance is "
        "about 90 %).",
        metric=f"error-after/{optimizer}-{activation}",
        relation="<",
        threshold=50,
        unit="%",
    )


_STARVE = tuple(
    Claim(
        id=f"early-layers-starve/{optimizer}",
        statement="With sigmoids, layers far from the output do not learn "
        f"({name} at its tuned rate, {learning.DEEP} hidden layers).",
        source="S2 4",
        kind="conditional",
        expected=expected,
        metric=f"change-ratio/{optimizer}-sigmoid",
        relation="<",
        threshold=-1,
        controls=(
            Control(
                id=f"early-layers-starve/{optimizer}:relu",
                statement="With ReLUs the first kernel keeps up with the last: log10 "
                "of the ratio is above -1.",
                metric=f"change-ratio/{optimizer}-relu",
                relation=">",
                threshold=-1,
            ),
            Control(
                id=f"early-layers-starve/{optimizer}:last-moves",
                statement="The last hidden kernel does move, by more than a hundredth "
                "of its norm.",
                metric=f"last-change/{optimizer}-sigmoid",
                relation=">",
                threshold=0.01,
            ),
            *(_learns(optimizer, activation) for activation in ("sigmoid", "relu")),
        ),
    )
    for optimizer, (expected, name) in _OPTIMIZERS.items()
)

_WORSE = Claim(
    id="deeper-worse-optima",
    statement="With more layers the optimizer falls into ever worse local optima "
    "(slope over one restart of each of 1, 2, 4 and 6 hidden layers, which also have "
    "310 to 410 parameters).",
    source="S2 4",
    kind="conditional",
    expected="open",
    metric="loss-slope",
    relation=">",
    threshold=0,
    unit="nats/layer",
    replicate="restart",
    least=optima.LEAST_RESTARTS,
    controls=(
        Control(
            id="deeper-worse-optima:arrived",
            statement="Every restart ends where the gradient is below a thousandth of "
            "that at its start.",
            metric="gradient-left",
            relation="<=",
            threshold=optima.TOLERANCE,
            kind="law",
        ),
        Control(
            id="deeper-worse-optima:too-small",
            statement="No net fits the data: each is wrong about more than 1 % of it.",
            metric="least-error",
            relation=">",
            threshold=1,
            unit="%",
            kind="law",
        ),
    ),
)

_MOTIVATION = Claim(
    id="resnet-motivation",
    statement="Residual nets cure a vanishing gradient: where it does not vanish, a "
    "plain net with batch norm is no worse (train error after --resnet_steps steps, of "
    "32 layers unless --depth says otherwise).",
    source="S1 5.6, S2 4",
    kind="conditional",
    expected="open",
    metric="plain-less-residual",
    relation="<",
    threshold=0.5,
    unit="points",
    replicate="net",
    controls=(
        Control(
            id="resnet-motivation:plain-keeps",
            statement="The gradient of that plain net does not vanish before "
            "training: log10 of the first over the last is above -1.",
            metric="first-over-last/plain",
            relation=">",
            threshold=-1,
        ),
    ),
)

TRAINED_DEPTH = (_FASTER, *_STARVE, _WORSE, _MOTIVATION)
