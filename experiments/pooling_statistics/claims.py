"""What the notes state about pools as statistics, with rules and controls."""

import math

from experiments.harness.claims import Claim, Control, Part
from experiments.pooling_statistics.claims_of_nets import LEARNING, MAPS

SOURCE = "S4"

_PARAMETERS = Claim(
    id="no-parameters",
    statement="Pooling has no learnable parameters (max, average, L2, stochastic).",
    source=SOURCE,
    kind="count",
    expected="yes",
    metric="pool-parameters",
    relation="=",
    threshold=0,
    controls=(
        Control(
            id="no-parameters:learned",
            statement="The shares that a pool between average and maximum learns, one "
            "per channel of 6 and 16, are counted.",
            metric="learned-shares",
            relation="=",
            threshold=22,
        ),
    ),
)

_FOLLOWS = Claim(
    id="stochastic-follows-value",
    statement="Stochastic pooling picks an element with probability proportional to "
    "its value.",
    source=SOURCE,
    kind="law",
    expected="yes",
    statistical=True,
    metric="p/stochastic",
    relation=">",
    threshold=1e-4,
    controls=(
        Control(
            id="stochastic-follows-value:uniform",
            statement="The same test tells a sampler that picks all values above 0 "
            "alike.",
            metric="p/uniform",
            relation="<",
            threshold=1e-6,
            statistical=True,
        ),
        Control(
            id="stochastic-follows-value:negative",
            statement="A negative value, which has no probability, is refused by name.",
            metric="accepted-negative",
            relation="=",
            threshold=0,
        ),
    ),
)

_BETWEEN = Claim(
    id="stochastic-between",
    statement="Stochastic pooling lies between average and max.",
    source=SOURCE,
    kind="law",
    expected="yes",
    metric="leaves-interval",
    relation="<",
    threshold=1e-6,
    controls=(
        Control(
            id="stochastic-between:signed",
            statement="With values of both signs Σa²/Σa leaves the interval, and that "
            "is seen.",
            metric="leaves-interval/signed",
            relation=">",
            threshold=0.1,
        ),
    ),
)

_PICTURES = (
    Claim(
        id="avg-keeps-background",
        statement="Average pooling keeps the background: the mean of a picture.",
        source=SOURCE,
        kind="conditional",
        expected="open",
        metric="bias-avg-less-max",
        relation="<",
        threshold=0,
        unit="sd",
        replicate="photograph",
        controls=(
            Control(
                id="avg-keeps-background:noise",
                statement="The maximum of four U(0, 1) lies (4/5 - 1/2)·√12 sd above "
                "the mean.",
                metric="noise/bias-max",
                relation="within",
                threshold=0.02,
                center=0.3 * 12**0.5,
                kind="law",
            ),
        ),
    ),
    Claim(
        id="max-keeps-texture",
        statement="Max pooling keeps texture (more high frequencies than averages and "
        "than plain subsampling).",
        source=SOURCE,
        kind="conditional",
        expected="open",
        parts=tuple(
            Part(
                metric=f"fine-max-less-{other}",
                relation=">",
                threshold=0,
                replicate="photograph",
            )
            for other in ("avg", "subsampling")
        ),
        controls=(
            Control(
                id="max-keeps-texture:white-noise",
                statement="Of white noise 1 - π/16 of the power lies above a quarter "
                "cycle per pixel.",
                metric="noise/fine-share",
                relation="within",
                threshold=0.02,
                center=1 - math.pi / 16,
                kind="law",
            ),
        ),
    ),
)

CLAIMS = (
    _PARAMETERS,
    _FOLLOWS,
    _BETWEEN,
    *MAPS,
    *_PICTURES,
    *LEARNING,
)
