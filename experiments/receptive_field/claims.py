"""What the notes state about receptive fields and dilation, with rules and controls."""

from experiments.harness.claims import Claim, Control, Expected, Part, accurate
from experiments.receptive_field.counts import GROWTH
from experiments.receptive_field.stacks import KNOWN


def _seen(row: str) -> tuple[Control, Control]:
    """The two ways to the field agree, and the frame is larger than the field."""
    return (
        Control(
            id=f"{row}:closed-form",
            statement="Closed form and gradient support agree in size and place.",
            metric=f"{row}/disagreements",
            relation="=",
            threshold=0,
        ),
        Control(
            id=f"{row}:inside",
            statement="Every support lies inside its frame.",
            metric=f"{row}/margin",
            relation=">",
            threshold=0,
        ),
    )


def _equal(metric: str, threshold: float) -> Part:
    return Part(metric=metric, relation="=", threshold=threshold)


_DILATED: tuple[tuple[str, Expected, str], ...] = (
    ("layer", "no", "one layer"),
    ("stack", "yes", "a stack of dilations 1, 2, 4"),
)
_DILATED_FIELDS = tuple(
    Claim(
        id=f"dilated-3-7-15/{arm}",
        statement="A 3x3 kernel with dilation 2 sees 7x7, with dilation 4 15x15 "
        f"({reading}).",
        source="S0 5.1",
        kind="count",
        expected=expected,
        parts=(_equal(f"field-2/{arm}", 7), _equal(f"field-4/{arm}", 15)),
        controls=_seen("dilated-3-7-15"),
    )
    for arm, expected, reading in _DILATED
)

_GROWTH: dict[str, tuple[Expected, str]] = {
    "doubling": ("yes", "dilations 1, 2, 4, ..."),
    "constant": ("no", "dilation 2 everywhere"),
    "idcnn": ("no", "dilations 1, 1, 2 in turn"),
    "gridding": ("no", "dilations 2, 4, 8, ..."),
}
assert tuple(_GROWTH) == tuple(GROWTH)
_GAP = Control(
    id="exponential-growth:gaps",
    statement="The gaps of one layer of dilation 2 are seen: it covers 3 of 5.",
    metric="coverage-of-a-gap",
    relation="within",
    threshold=1e-6,
    center=0.6,
)
_EXPONENTIAL = tuple(
    Claim(
        id=f"exponential-growth/{arm}",
        statement="Dilation and receptive field grow exponentially with layers, "
        f"parameters linearly, covering everything ({reading}).",
        source="S0 5.1",
        kind="count",
        expected=expected,
        parts=(
            Part(metric=f"growth/{arm}", relation="within", threshold=0.2, center=2.0),
            _equal(f"coverage/{arm}", 1),
        ),
        controls=(*_seen("exponential-growth"), _GAP),
    )
    for arm, (expected, reading) in _GROWTH.items()
)

_WIDEN = Claim(
    id="three-ways-to-widen",
    statement="Larger kernels and more layers add parameters, pooling loses "
    "information, dilation neither.",
    source="S0 5.1",
    kind="count",
    expected="yes",
    parts=(
        Part(metric="params-less-k3/k5", relation=">", threshold=0),
        Part(metric="params-less-k3/two-layers", relation=">", threshold=0),
        _equal("params-less-k3/dilated", 0),
        Part(metric="rank-less-pixels/pool", relation="<", threshold=0),
        _equal("rank-less-pixels/dilated", 0),
    ),
    controls=(
        Control(
            id="three-ways-to-widen:rank",
            statement="The rank of a dilated box of ones on a circle of 12x12 is 64: "
            "its transform is zero at a third of the frequencies of each axis.",
            metric="rank/uniform",
            relation="=",
            threshold=64,
        ),
    ),
)

_COST = Claim(
    id="same-cost",
    statement="Dilation enlarges the view at equal parameters and compute.",
    source="S0 5.1, S1 4.3",
    kind="count",
    expected="yes",
    parts=(
        _equal("same-cost/parameters", 0),
        _equal("same-cost/products", 0),
        Part(metric="same-cost/field", relation=">", threshold=0),
    ),
    controls=(
        Control(
            id="same-cost:counted",
            statement="The closed form counts the products that a loop counts.",
            metric="same-cost/miscounted",
            relation="=",
            threshold=0,
        ),
    ),
)


def _competent(row: str, *nets: str) -> tuple[Control, ...]:
    return tuple(
        accurate(
            f"{row}:accuracy-{net}",
            f"The net {net} has learned to label ink (chance is near 10 %).",
            f"accuracy/{net}",
            above=50.0,
        )
        for net in nets
    )


def _matched(row: str, *nets: str) -> tuple[Control, ...]:
    return tuple(
        Control(
            id=f"{row}:products-{net}",
            statement=f"The net {net} has the plain net's multiply-accumulates.",
            metric=f"products-over-plain/{net}",
            relation="within",
            threshold=0.05,
            center=1.0,
            kind="count",
        )
        for net in nets
    )


_ROOT = "The effective receptive field grows only as the root of the depth"
_EFFECTIVE = (
    Claim(
        id="effective-is-smaller/random",
        statement=f"{_ROOT} (random linear nets).",
        source="Luo 2016",
        kind="conditional",
        expected="yes",
        metric="exponent/random",
        relation="within",
        threshold=0.1,
        center=0.5,
        controls=(
            Control(
                id="effective-is-smaller/random:full-field",
                statement="The full field of the same nets grows linearly.",
                metric="field-exponent/random",
                relation="within",
                threshold=0.1,
                center=1.0,
                kind="count",
            ),
            Control(
                id="effective-is-smaller/random:closed-form",
                statement="At the largest depth L the spread is √(2L/3), the closed "
                "form of independent layers.",
                metric="spread-over-closed-form",
                relation="within",
                threshold=0.1,
                center=1.0,
            ),
        ),
    ),
    Claim(
        id="effective-is-smaller/trained",
        statement=f"{_ROOT} (nets trained to label digits).",
        source="Luo 2016",
        kind="conditional",
        expected="open",
        metric="exponent/trained",
        relation="within",
        threshold=0.1,
        center=0.5,
        controls=(
            *_competent("effective-is-smaller/trained", "shallowest", "deepest"),
            Control(
                id="effective-is-smaller/trained:inside",
                statement="The map is larger than the deepest net's field.",
                metric="frame-less-field",
                relation=">",
                threshold=0,
                kind="count",
            ),
        ),
    ),
)

_BLOCKS = Claim(
    id="idcnn-field",
    statement="Four blocks of dilations 1, 1, 2 capture a larger field.",
    source="S0 5.2",
    kind="count",
    expected="yes",
    metric="idcnn-field",
    relation="=",
    threshold=33,
    controls=_seen("idcnn-field"),
)

_UPSAMPLE = Claim(
    id="upsample-before-dilation",
    statement="Upsampling the map before a dilated convolution raises resolution and "
    "captures more of the whole.",
    source="S0 5.1",
    kind="conditional",
    expected="no",
    metric="spread-ratio",
    relation=">",
    threshold=1.0,
    estimate="ratio",
    controls=(
        *_matched("upsample-before-dilation", "upsampled"),
        *_competent("upsample-before-dilation", "upsampled", "dilated"),
    ),
)

_LABELING = Claim(
    id="dilation-without-pooling",
    statement="Pooling loses accuracy; without it the field is too small; dilation "
    "escapes both.",
    source="S0 5.1",
    kind="conditional",
    expected="open",
    parts=tuple(
        Part(
            metric=f"dilated-less-{other}",
            relation=">",
            threshold=0.5,
            unit="points",
            estimate="accuracy",
        )
        for other in ("pooled", "plain")
    ),
    controls=(
        *_matched("dilation-without-pooling", "pooled", "dilated"),
        *_competent("dilation-without-pooling", "pooled", "plain", "dilated"),
    ),
)

_KNOWN = tuple(
    Claim(
        id=f"known-nets/{name}",
        statement="The published receptive fields of known nets hold "
        f"({name}: {field} pixels).",
        source="receptive_field repository",
        kind="count",
        expected="yes",
        parts=(
            _equal(f"closed-form/{name}", field),
            _equal(f"support/{name}", field),
        ),
        controls=_seen("known-nets"),
    )
    for name, (_, _, field) in KNOWN.items()
)

CLAIMS = (
    *_DILATED_FIELDS,
    *_EXPONENTIAL,
    _WIDEN,
    _COST,
    *_EFFECTIVE,
    _BLOCKS,
    _UPSAMPLE,
    _LABELING,
    *_KNOWN,
)
