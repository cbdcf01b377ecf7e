"""What the notes state about single pools: outputs, parameters, fields, linearity."""

from experiments.harness.claims import (
    Claim,
    Control,
    Estimate,
    Expected,
    Part,
    accurate,
)
from experiments.pooling_robustness.signals import POOLS, SIGNALS, SIZES

_UNCHANGED = "most-outputs-unchanged"
_NAMES = {
    "max": "max",
    "avg": "average",
    "l2": "L2",
    "distance-weighted": "distance-weighted",
    "stochastic": "stochastic, as in testing",
}
_SIGNALS = {
    "uniform": "U(0, 1)",
    "images": "images",
    "trained": "maps of a trained net",
}

_NEEDS = "--arms=max"  # whose maps are pooled


def _learned(row: str) -> Control:
    return accurate(
        f"{row}:learned",
        "The nets whose maps are pooled have learned: they are right about most of the "
        "drawn test images.",
        "signals/accuracy",
        above=90,
    )


def _closed_form(row: str, pool: str, statement: str) -> Control:
    return Control(
        id=f"{row}:closed-form",
        statement=statement,
        metric=f"{pool}-closed-form",
        relation="within",
        threshold=0.02,
        kind="law",
    )


_OVERLAP = _closed_form(
    _UNCHANGED,
    "max",
    "Of U(0, 1) the maximum leaves (k - 1) / (k + 1) of the windows unchanged (the "
    "difference from it).",
)


def _most_unchanged(pool: str, size: int, signal: str) -> Claim:
    arm = f"{pool}-{size}-{signal}"
    return Claim(
        id=f"{_UNCHANGED}/{arm}",
        statement="Whatever the pooling function, most outputs do not change under a "
        f"small translation ({_NAMES[pool]}, {size}x{size}, {_SIGNALS[signal]}; also "
        "more than of plain subsampling).",
        source="S1 2.3",
        kind="conditional",
        expected=_expected(pool, size, signal),
        parts=(
            Part(metric=f"unchanged/{arm}", relation=">", threshold=0.5),
            Part(metric=f"unchanged-less-subsampling/{arm}", relation=">", threshold=0),
        ),
        requires=_NEEDS,
        controls=(
            (_OVERLAP, _learned(_UNCHANGED)) if signal == "trained" else (_OVERLAP,)
        ),
    )


def _expected(pool: str, size: int, signal: str) -> Expected:
    if pool != "max" or size == 2:
        return "no"
    return "yes" if signal == "uniform" and size > 3 else "open"


_WEAKER = "avg-less-invariant-than-max"
_ROOT = _closed_form(
    _WEAKER,
    "avg",
    "Of U(0, 1) the average changes by √(2 / k) of its spread (the difference from "
    "it).",
)


def _weaker(
    arm: str, words: str, metric: str, threshold: float, estimate: Estimate
) -> Claim:
    return Claim(
        id=f"{_WEAKER}/{arm}",
        statement="Average pooling's approximate invariance is weaker than max "
        f"pooling's ({words}; 1 px, 2x2 pools of maps of a net that has max pools).",
        source="S0 4.3",
        kind="conditional",
        expected="open",
        metric=metric,
        relation=">",
        threshold=threshold,
        estimate=estimate,
        requires=_NEEDS,
        controls=(_ROOT, _learned(_WEAKER)),
    )


_CUTS = "pooling-cuts-parameters"
_PARAMETERS: dict[str, tuple[str, str, Expected]] = {
    "any": ("an all-convolutional net with a global pool", "S2 2", "no"),
    "dense-head": ("of the dense layer behind it", "S3", "yes"),
    "next-layer": ("of the next layer, a convolution", "S4", "no"),
}
_CUTS_CONTROLS = (
    Control(
        id=f"{_CUTS}:closed-form",
        statement="The nets' trees have the parameters of the closed form.",
        metric="parameters-miscounted",
        relation="=",
        threshold=0,
    ),
    Control(
        id=f"{_CUTS}:pools",
        statement="Two pools of 2x2 leave a sixteenth of the cells.",
        metric="cells-left",
        relation="=",
        threshold=1 / 16,
    ),
)


def _cuts(arm: str) -> Claim:
    words, source, expected = _PARAMETERS[arm]
    return Claim(
        id=f"{_CUTS}/{arm}",
        statement=f"Pooling significantly reduces parameters ({words}).",
        source=source,
        kind="count",
        expected=expected,
        metric=f"parameters-with-less-without/{arm}",
        relation="<",
        threshold=0,
        controls=_CUTS_CONTROLS,
    )


_WIDENS = Claim(
    id="pooling-widens-view",
    statement="Pooling widens the next layers' receptive field and cuts their compute.",
    source="S4, S3",
    kind="count",
    expected="yes",
    parts=(
        Part(metric="field-with-less-without", relation=">", threshold=0),
        Part(metric="macs-with-less-without", relation="<", threshold=0),
    ),
    controls=tuple(
        Control(
            id=f"pooling-widens-view:{name}",
            statement=f"{name.capitalize()} of the closed form are those of {other}.",
            metric=f"{metric}-miscounted",
            relation="=",
            threshold=0,
        )
        for name, metric, other in (
            ("fields", "fields", "a gradient's support"),
            ("products", "macs", "a loop"),
        )
    ),
)

_SPECIAL = "pooling-is-convolution"
_CONVOLUTION = (
    Claim(
        id=f"{_SPECIAL}/avg",
        statement="Pooling is a special convolution, stride = kernel, no padding "
        "(average, against the uniform depthwise kernel).",
        source="S3",
        kind="law",
        expected="yes",
        metric="convolution/avg",
        relation="<",
        threshold=1e-6,
        controls=(
            Control(
                id=f"{_SPECIAL}/avg:max",
                statement="The same comparison tells the maximum from that kernel.",
                metric="convolution/max",
                relation=">",
                threshold=0.1,
            ),
        ),
    ),
    Claim(
        id=f"{_SPECIAL}/max",
        statement="Pooling is a special convolution, stride = kernel, no padding "
        "(max, which then would be additive; that it is homogeneous proves nothing).",
        source="S3",
        kind="law",
        expected="no",
        metric="additivity/max",
        relation="<",
        threshold=1e-6,
        controls=(
            Control(
                id=f"{_SPECIAL}/max:avg",
                statement="The average, which is a convolution, is additive.",
                metric="additivity/avg",
                relation="<",
                threshold=1e-6,
            ),
        ),
    ),
)

CLAIMS_OF_SIGNALS: tuple[Claim, ...] = (
    *(
        _most_unchanged(pool, size, signal)
        for pool in POOLS
        for size in SIZES
        for signal in SIGNALS
    ),
    _weaker(
        "unchanged",
        "share of outputs unchanged, max less average",
        "unchanged-max-less-avg",
        0,
        "mean",
    ),
    _weaker(
        "relative",
        "change over size, average over max",
        "relative-avg-over-max",
        1,
        "ratio",
    ),
    _weaker(
        "centered",
        "change over spread, average over max",
        "centered-avg-over-max",
        1,
        "ratio",
    ),
    *map(_cuts, _PARAMETERS),
    _WIDENS,
    *_CONVOLUTION,
)
