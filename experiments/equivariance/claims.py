"""What the notes state about equivariance and invariance, with rules and controls."""

from experiments.equivariance.geometry import GEOMETRIES
from experiments.equivariance.maxima import WINDOWS
from experiments.harness.claims import Claim, Control, Expected, Part, accurate

TOLERANCE = 1e-5
CONV = "S0 4.3, S1 1.2"

_GEOMETRY_STATEMENTS: dict[str, tuple[Expected, str]] = {
    "circular": ("yes", "circular padding, circular shifts"),
    "stride-aligned": ("yes", "circular, stride s, shifts that are multiples of s"),
    "stride-2-odd": ("no", "circular, stride 2, odd shifts, best realignment"),
    "zero-roll": ("no", "zero padding, circular shifts of images that fill the frame"),
    "zero-fill-margin": (
        "yes",
        "zero padding, zero-fill shifts, empty margin, no bias",
    ),
    "zero-fill-bias": ("no", "zero padding, zero-fill shifts, empty margin, with bias"),
    "reflect": ("no", "reflect padding, circular shifts"),
    "valid": ("yes", "no padding, outputs whose field lies inside both images"),
    "full": ("yes", "full padding, zero-fill shifts, no bias"),
    "half-pixel-linear": ("yes", "circular, half-pixel Fourier shifts, linear"),
    "half-pixel-relu": ("no", "circular, half-pixel Fourier shifts, with ReLU"),
}

_UNSHARED = Control(
    id="conv-equivariant:unshared",
    statement="A layer with independent kernels does not commute, in any geometry.",
    metric="unshared-error",
    relation=">",
    threshold=0.1,
)

_ALIVE = Control(
    id="conv-equivariant:alive",
    statement="No map of any net is zero or constant: it would commute with anything.",
    metric="spread",
    relation=">",
    threshold=1e-3,
)

_CONV_EQUIVARIANT = tuple(
    Claim(
        id=f"conv-equivariant/{name}",
        statement=f"A convolution commutes with any translation ({reading}).",
        source=CONV,
        kind="law",
        expected=expected,
        metric=f"error/{name}",
        relation="<",
        threshold=TOLERANCE,
        controls=(_UNSHARED, _ALIVE),
    )
    for name, (expected, reading) in _GEOMETRY_STATEMENTS.items()
)
assert tuple(_GEOMETRY_STATEMENTS) == tuple(GEOMETRIES)

_MOVES = tuple(
    Claim(
        id=f"moves-by-same-amount/{stride}",
        statement="The representation moves by the same amount as the input "
        f"(stride {stride}).",
        source="S0 4.3",
        kind="law",
        expected="yes" if stride == 1 else "no",
        metric=f"slope/{stride}",
        relation="within",
        threshold=0.02,
        center=1.0,
        controls=(
            Control(
                id=f"moves-by-same-amount:peak-{stride}",
                statement="The moved map is found again: its correlation peaks.",
                metric=f"peak/{stride}",
                relation=">",
                threshold=0.99,
            ),
        ),
    )
    for stride in (1, 2, 4)
)

_SHARING_CONTROLS = (
    Control(
        id="sharing-gives-equivariance:equal-kernels",
        statement="Unshared kernels of equal value commute: sharing is equal values, "
        "not shared storage.",
        metric="sharing/equal",
        relation="<",
        threshold=TOLERANCE,
    ),
    Control(
        id="sharing-gives-equivariance:indivisible",
        statement="Tiles that do not divide the circular map commute with no shift.",
        metric="sharing/indivisible",
        relation=">",
        threshold=0.01,
    ),
)
_SHARING_STATEMENT = "Parameter sharing is what makes a layer equivariant"


def _sharing(arm: str, reading: str, *parts: Part, **rule) -> Claim:
    return Claim(
        id=f"sharing-gives-equivariance/{arm}",
        statement=f"{_SHARING_STATEMENT} ({reading}).",
        source="S0 4.3, S2 1.2",
        kind="law",
        expected="yes",
        parts=parts,
        controls=_SHARING_CONTROLS,
        **rule,
    )


_SHARING = (
    _sharing(
        "shared",
        "one kernel everywhere: all shifts commute",
        metric="sharing/shared",
        relation="<",
        threshold=TOLERANCE,
    ),
    _sharing(
        "tiled",
        "t x t kernels in turn: multiples of t commute, others do not",
        Part(metric="sharing/tiled-aligned", relation="<", threshold=TOLERANCE),
        Part(metric="sharing/tiled-misaligned", relation=">", threshold=0.1),
    ),
    _sharing(
        "unshared",
        "independent kernels: no shift commutes",
        metric="sharing/unshared",
        relation=">",
        threshold=0.1,
    ),
)

_INVARIANCE = (
    Claim(
        id="conv-invariant",
        statement="A convolution has translation invariance: the same response "
        "however the input is shifted.",
        source="S1 1.2",
        kind="law",
        expected="no",
        metric="invariance/conv",
        relation="<",
        threshold=TOLERANCE,
        controls=(
            Control(
                id="conv-invariant:equivariant",
                statement="The same convolutions are equivariant.",
                metric="invariance/equivariance",
                relation="<",
                threshold=TOLERANCE,
            ),
        ),
    ),
    Claim(
        id="invariance-is-conv-plus-maxpool/sufficient",
        statement="Translation invariance = convolution + max pooling (the two "
        "suffice).",
        source="S0 4.3",
        kind="law",
        expected="no",
        metric="invariance/max-pool",
        relation="<",
        threshold=TOLERANCE,
    ),
    Claim(
        id="invariance-is-conv-plus-maxpool/necessary",
        statement="Translation invariance = convolution + max pooling (no invariance "
        "with a global average in the place of max pooling).",
        source="S0 4.3",
        kind="law",
        expected="no",
        metric="invariance/average",
        relation=">",
        threshold=0.1,
    ),
    Claim(
        id="invariance-is-conv-plus-maxpool/conferred",
        statement="The invariance of a CNN is conferred by pooling (pooling saves more "
        "of the accuracy lost by moving than augmentation does).",
        source="S0 4.3",
        kind="conditional",
        expected="no",
        metric="pooling-less-augmentation",
        relation=">",
        threshold=0.5,
        unit="points",
        estimate="accuracy",
        requires="--arms=default --max_shift=3",
        controls=tuple(
            accurate(
                "invariance-is-conv-plus-maxpool/conferred:"
                f"clean-{arm.replace('+', '-')}",
                f"The arm {arm} classifies unmoved images.",
                f"clean-accuracy/{arm}",
                above=90.0,
            )
            for arm in ("max", "strided", "strided+aug")
        ),
    ),
    Claim(
        id="output-equivariant",
        statement="Because weights are shared, the output is the same wherever the cat "
        "is.",
        source="S2 1.2",
        kind="law",
        expected="no",
        metric="logits/dense",
        relation="<",
        threshold=TOLERANCE,
        controls=(
            Control(
                id="output-equivariant:average",
                statement="With a global average before the dense layer it is.",
                metric="logits/average",
                relation="<",
                threshold=TOLERANCE,
            ),
        ),
    ),
)

_MAX_READINGS: tuple[tuple[str, Expected, str], ...] = (
    ("derivative", "yes", "one non-zero in the Jacobian of a window without ties"),
    ("lowered", "yes", "lowering any other entry"),
    ("any-change", "no", "any change of another entry: [1,3,2,0] to [1,3,2,5]"),
)

_MAXIMA = tuple(
    Claim(
        id=f"max-depends-on-one/{arm}",
        statement="Only the value at the maximum can change a max pool's output "
        f"({reading}).",
        source="S0 4.3",
        kind="law",
        expected=expected,
        metric=f"violations/{arm}",
        relation="=",
        threshold=0,
    )
    for arm, expected, reading in _MAX_READINGS
) + tuple(
    Claim(
        id=f"max-unchanged-fraction/{window}",
        statement="The share of k x k windows whose maximum survives a shift by d is "
        f"(k-d)/(k+d), by (1, 1) (k-1)²/(k²+2k-1) (k = {window}).",
        source="closed form",
        kind="law",
        expected="yes",
        statistical=True,
        metric=f"unchanged-z/{window}",
        relation="within",
        threshold=5,
        controls=(
            Control(
                id=f"max-unchanged-fraction:ties-{window}",
                statement="Ties of a quantized input raise the share.",
                metric=f"unchanged-z-quantized/{window}",
                relation=">",
                threshold=5,
                statistical=True,
            ),
        ),
    )
    for window in WINDOWS
)

CLAIMS = (*_CONV_EQUIVARIANT, *_MOVES, *_SHARING, *_INVARIANCE, *_MAXIMA)
