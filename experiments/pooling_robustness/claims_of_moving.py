"""What the notes state about moving inputs and pools, with rules and controls."""

from experiments.harness.claims import Claim, Control, Part, accurate
from experiments.pooling_robustness.moving_nets import NORMALIZED


def _arms(*names: str) -> str:
    return f"--arms={','.join(names)}"


def _clean(row: str, *arms: str) -> tuple[Control, ...]:
    """A constant classifier loses nothing by moving, and fails this."""
    return tuple(
        accurate(
            f"{row}:clean-{arm}",
            f"The {arm} net classifies unmoved images.",
            f"clean-accuracy/{arm}",
            above=90.0,
        )
        for arm in arms
    )


LOGITS = Claim(
    id="avg-less-invariant-than-max/logits",
    statement="Average pooling's approximate invariance is weaker than max pooling's "
    "(change of a trained net's logits by 1 px, in units of their spread over images, "
    "average over max).",
    source="S0 4.3",
    kind="conditional",
    expected="open",
    metric="logit-change-ratio",
    relation=">",
    threshold=1.0,  # log(average / max) > 0
    estimate="ratio",
    requires=_arms("max", "average"),
    controls=_clean("avg-less-invariant-than-max/logits", "average", "max"),
)

_MOTIONS: dict[str, tuple[str, tuple[Control, ...]]] = {
    "translation": ("translation: 2 px", ()),
    "scale": (
        "scaling: x1.5",
        (
            Control(
                id="pooling-scale:in-frame",
                statement="The enlarged digit stays in the frame: share of ink that "
                "leaves it.",
                metric="ink-outside",
                relation="<",
                threshold=0.001,
                kind="count",
            ),
        ),
    ),
    "rotation": ("rotation: 30 degrees", ()),
}

KEEPS = tuple(
    Claim(
        id=f"pooling-{name}",
        statement=f"Pooling keeps invariance to {reading} (accuracy lost by it, "
        "strided twin less max pooling).",
        source="S2 2",
        kind="conditional",
        expected="open",
        metric=f"saved/{name}",
        relation=">",
        threshold=2.0,
        unit="points",
        estimate="accuracy",
        requires=_arms("max", "strided"),
        controls=(*_clean(f"pooling-{name}", "max", "strided"), *controls),
    )
    for name, (reading, controls) in _MOTIONS.items()
)

_DOWNSAMPLING = "pooling-is-downsampling"
_READINGS = {
    "strided": (
        "max of 2x2, stride 2, less plain subsampling",
        "max-less-subsampling",
        ("max", "strided"),
        (
            Control(
                id=f"{_DOWNSAMPLING}:twin",
                statement="A convolution with stride 2 is the dense one of which every "
                "second pixel is kept: relative difference of a trained net's logits.",
                metric="twin-is-subsampling",
                relation="<",
                threshold=1e-5,
                kind="law",
            ),
        ),
    ),
    "dense": (
        "max of 2x2, stride 1, less no pool",
        "dense-max-less-none",
        ("none", "dense-max"),
        (),
    ),
}

DOWNSAMPLING = tuple(
    Claim(
        id=f"{_DOWNSAMPLING}/{arm}",
        statement="The essence of pooling is downsampling (accuracy lost by 2 px: "
        f"{reading}).",
        source="S2 2",
        kind="conditional",
        expected="no",
        metric=metric,
        relation="within",
        threshold=1.0,
        unit="points",
        estimate="accuracy",
        requires=_arms(*arms),
        controls=(*_clean(_DOWNSAMPLING, *arms), *controls),
    )
    for arm, (reading, metric, arms, controls) in _READINGS.items()
)

_ALIASING = "anti-aliasing-helps"
_ALIASING_CONTROLS = _clean(_ALIASING, "max", "blur")
_STATED = "Blurring before subsampling raises shift consistency without losing accuracy"

ANTI_ALIASING = (
    Claim(
        id=f"{_ALIASING}/consistency",
        statement=f"{_STATED} (accuracy lost by 2 px, max less blur).",
        source="Zhang 2019",
        kind="conditional",
        expected="yes",
        metric="saved-by-blur",
        relation=">",
        threshold=0.5,
        unit="points",
        estimate="accuracy",
        requires=_arms("max", "blur"),
        controls=_ALIASING_CONTROLS,
    ),
    Claim(
        id=f"{_ALIASING}/accuracy",
        statement=f"{_STATED} (accuracy on still images, blur less max).",
        source="Zhang 2019",
        kind="conditional",
        expected="yes",
        metric="blur-less-max",
        relation=">",
        threshold=-0.5,
        unit="points",
        estimate="accuracy",
        requires=_arms("max", "blur"),
        controls=_ALIASING_CONTROLS,
    ),
)

SUBPIXEL = Claim(
    id="integer-vs-subpixel",
    statement="100 % consistency under integer shifts implies robustness to sub-pixel "
    "shifts (images whose class half a pixel leaves as it was).",
    source="AFC 2023",
    kind="conditional",
    expected="no",
    metric="half-pixel-agreement",
    relation=">",
    threshold=99.0,
    unit="%",
    estimate="accuracy",
    requires=_arms("circular"),
    controls=(
        *_clean("integer-vs-subpixel", "circular"),
        Control(
            id="integer-vs-subpixel:integer",
            statement="No circular shift by whole pixels changes a class: number of "
            "disagreements.",
            metric="integer-disagreements",
            relation="=",
            threshold=0,
            kind="law",
        ),
    ),
)

_FLUCTUATES = "pool-output-fluctuates"

FLUCTUATES = Claim(
    id=_FLUCTUATES,
    statement="Average and max pooling outputs fluctuate, normalization behind them "
    "helps (accuracy with less without it: max AND average).",
    source="S4",
    kind="conditional",
    expected="open",
    parts=tuple(
        Part(
            metric=f"normalized-less-plain/{arm}",
            relation=">",
            threshold=0.5,
            unit="points",
            estimate="accuracy",
        )
        for arm in NORMALIZED
    ),
    requires=_arms(*NORMALIZED, *(f"{arm}-normalized" for arm in NORMALIZED)),
    controls=(
        *_clean(_FLUCTUATES, *NORMALIZED),
        *(
            Control(
                id=f"{_FLUCTUATES}:{arm}",
                statement=f"The outputs of {arm} pools do fluctuate: spread of their "
                "root mean square over images, by its mean.",
                metric=f"fluctuation/{arm}",
                relation=">",
                threshold=0.05,
            )
            for arm in NORMALIZED
        ),
    ),
)

CLAIMS_OF_MOVING = (
    LOGITS,
    *KEEPS,
    *DOWNSAMPLING,
    *ANTI_ALIASING,
    SUBPIXEL,
    FLUCTUATES,
)
