"""What the notes state about pools in trained nets: their maps, and what they learn."""

from experiments.harness.claims import Claim, Control, Part, accurate
from experiments.pooling_statistics.maps import LAYERS, READINGS
from experiments.pooling_statistics.moments import CELLS, LAWS

SOURCE = "S4"

_COMPETENT = "The net {net} has learned to name digits (chance is near 10 %)."


def _competent(row: str, *nets: str) -> tuple[Control, ...]:
    return tuple(
        accurate(
            f"{row}:accuracy-{net}",
            _COMPETENT.format(net=net),
            f"accuracy/{net}",
            above=50.0,
        )
        for net in nets
    )


_APPROXIMATES = tuple(
    Claim(
        id=f"stochastic-approx-average/{layer}",
        statement="On average stochastic pooling is close to average pooling (map of "
        f"{layer} of a trained LeNet).",
        source=SOURCE,
        kind="conditional",
        expected="open",
        metric=f"expectation-over-mean/{layer}",
        relation="within",
        threshold=0.05,
        center=1.0,
        estimate="ratio",
        controls=(
            Control(
                id="stochastic-approx-average:exponential",
                statement="Of windows of 4 independent Exp(1) the ratio is 8/5.",
                metric="expectation-over-mean/exponential",
                relation="within",
                threshold=0.02,
                center=1.6,
                estimate="ratio",
            ),
            *_competent("stochastic-approx-average", "pooled"),
        ),
    )
    for layer in LAYERS
)

_READINGS = {
    "uniform": "independent U(0, 1)",
    "normal": "independent N(0, 1)",
    "exponential": "independent Exp(1)",
    "relu-normal": "independent ReLU of N(0, 1)",
    "trained": "first map of a trained LeNet",
}
assert tuple(_READINGS) == (*LAWS, "trained")
_CLOSED = Control(
    id="avg-reduces-variance:closed-form",
    statement="The variances of averages and maxima of U(0, 1) and Exp(1) are their "
    "closed forms (z of the sample variance).",
    metric="variance-z",
    relation="within",
    threshold=5,
    statistical=True,
    kind="law",
)
_VARIANCE = tuple(
    Claim(
        id=f"avg-reduces-variance/{law}-{cells}",
        statement="Average pooling reduces the variance from a limited neighborhood "
        f"(more than max pooling does; {reading}, {cells} values).",
        source=SOURCE,
        kind="conditional",
        expected="open",
        metric=f"variance-ratio/{law}-{cells}",
        relation="<",
        threshold=1.0,
        estimate="ratio",
        controls=(
            _CLOSED,
            *(_competent("avg-reduces-variance", "pooled") if law == "trained" else ()),
        ),
    )
    for law, reading in _READINGS.items()
    for cells in CELLS
)

_SHIFT = tuple(
    Claim(
        id=f"max-reduces-mean-shift/{reading}",
        statement="Max pooling reduces the mean shift from convolution parameter error "
        f"(more than average pooling does; {where}).",
        source=SOURCE,
        kind="conditional",
        expected="open",
        metric=f"mean-shift-ratio/{reading}",
        relation="<",
        threshold=1.0,
        estimate="ratio",
        controls=(
            Control(
                id="max-reduces-mean-shift:constant",
                statement="A constant of 1 added to a map moves the mean of either "
                "pool by 1.",
                metric="added-constant",
                relation="within",
                threshold=1e-3,
                center=1.0,
                kind="law",
            ),
            *_competent("max-reduces-mean-shift", "pooled"),
        ),
    )
    for reading, where in zip(
        READINGS, ("behind the convolution", "behind the ReLU"), strict=True
    )
)

_PLACES = Claim(
    id="global-avg-late-max-early",
    statement="Use global average pooling on the last maps, max pooling early.",
    source=SOURCE,
    kind="conditional",
    expected="open",
    parts=tuple(
        Part(
            metric=metric,
            relation=">",
            threshold=0.5,
            unit="points",
            estimate="accuracy",
        )
        for metric in ("late-avg-less-max", "early-max-less-avg")
    ),
    controls=_competent("global-avg-late-max-early", "max-avg", "max-max", "avg-avg"),
)

_REGULARIZES = Claim(
    id="pooling-regularizes",
    statement="Pooling helps prevent overfitting (lower test error at equal train "
    "loss than without pools).",
    source=SOURCE,
    kind="conditional",
    expected="open",
    metric="pooled-less-unpooled",
    relation="<",
    threshold=-0.5,
    unit="points",
    estimate="accuracy",
    controls=(
        Control(
            id="pooling-regularizes:overfits",
            statement="Without pools there is overfitting to prevent: test error less "
            "train error at that loss.",
            metric="gap/unpooled",
            relation=">",
            threshold=0.5,
            unit="points",
        ),
    ),
)

MAPS = (*_APPROXIMATES, *_VARIANCE, *_SHIFT)
LEARNING = (_PLACES, _REGULARIZES)
