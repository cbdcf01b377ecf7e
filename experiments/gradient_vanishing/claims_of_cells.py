"""What the notes state about gated cells themselves, with rules and controls."""

from experiments.harness.claims import Claim, Control, Expected, Part, Relation


def _control(
    row: str,
    name: str,
    statement: str,
    metric: str,
    relation: Relation,
    threshold: float,
) -> Control:
    return Control(
        id=f"{row}:{name}",
        statement=statement,
        metric=metric,
        relation=relation,
        threshold=threshold,
        kind="law",
    )


_PATH = (
    Claim(
        id="lstm-additive",
        statement="The LSTM adds where the RNN multiplies: with a forget gate of 1 the "
        "cell carries the gradient unchanged.",
        source="S4",
        kind="law",
        expected="yes",
        metric="cell-path-norm/open",
        relation="=",
        threshold=1,
        controls=(
            _control(
                "lstm-additive",
                "half-open",
                "With a forget gate of about σ(1) it does not.",
                "cell-path-norm/half-open",
                "<",
                1e-4,
            ),
        ),
    ),
    Claim(
        id="gate-gradient-near-one",
        statement="When the gate's gradient is near 1 the product carries the gradient "
        "on (the largest slope of a sigmoid).",
        source="S4",
        kind="law",
        expected="no",
        metric="largest-slope/sigmoid",
        relation=">",
        threshold=0.9,
        controls=(
            _control(
                "gate-gradient-near-one",
                "tanh",
                "The slope of a tanh does come near 1 on the same inputs.",
                "largest-slope/tanh",
                ">",
                0.9,
            ),
        ),
    ),
)

_GRU = (
    Claim(
        id="gru-simpler/count",
        statement="The GRU is simpler than the LSTM: two gates instead of three and no "
        "cell (kernels of 3 to 4).",
        source="S4",
        kind="count",
        expected="yes",
        metric="kernels-less-3-to-4",
        relation="=",
        threshold=0,
        controls=(
            Control(
                id="gru-simpler/count:biases",
                statement="The biases, of which the GRU has as many, are told apart.",
                metric="parameters-less-3-to-4",
                relation=">",
                threshold=0,
            ),
        ),
    ),
    Claim(
        id="gru-simpler/convention",
        statement="Whether z or 1 − z keeps the state is a convention: the update gate "
        "negated, both GRUs are one.",
        source="S4",
        kind="law",
        expected="yes",
        metric="convention/negated",
        relation="<",
        threshold=1e-6,
        controls=(
            _control(
                "gru-simpler/convention",
                "same",
                "With the same update gate they differ.",
                "convention/same",
                ">",
                1e-2,
            ),
        ),
    ),
    *(
        Claim(
            id=f"gru-update/{name}",
            statement="The larger 1 − z, the more of the last state is kept "
            f"({reading}).",
            source="S4",
            kind="law",
            expected=expected,
            metric=f"kept/{name}",
            relation="<",
            threshold=1e-6,
            controls=(
                _control(
                    "gru-update",
                    "gates-differ",
                    "Some gates are far from 1/2, where z and 1 − z are alike.",
                    "update-gates",
                    ">",
                    1e-2,
                ),
            ),
        )
        for name, expected, reading in (
            ("chung", "yes", "the update of Chung 2014"),
            ("cho", "no", "that of Cho 2014, flax and torch"),
        )
    ),
)

_LESS = "The smaller the reset gate, the less of the last state enters the candidate"


def _changes(name: str) -> Control:
    return _control(
        f"gru-reset/{name}",
        "one",
        "At r = 1 the state does change the candidate.",
        "candidate-change/one",
        ">",
        1e-2,
    )


def _increases(name: str, reading: str, expected: Expected, control: Control) -> Claim:
    """How often more of the state enters as the gate falls."""
    return Claim(
        id=f"gru-reset/{name}",
        statement=f"{_LESS} ({reading}).",
        source="S4",
        kind="law",
        expected=expected,
        metric=f"increases/{name}",
        relation="=",
        threshold=0,
        controls=(control,),
    )


_RESET = (
    Claim(
        id="gru-reset/zero",
        statement=f"{_LESS} (nothing at r = 0).",
        source="S4",
        kind="law",
        expected="yes",
        metric="candidate-change/zero",
        relation="<",
        threshold=1e-6,
        controls=(_changes("zero"),),
    ),
    _increases("scalar", "a scalar gate", "yes", _changes("scalar")),
    _increases(
        "vector",
        "a gate per unit",
        "no",
        _control(
            "gru-reset/vector",
            "alike",
            "In the same example less does enter where both units are reset alike.",
            "decreases/alike",
            "=",
            1,
        ),
    ),
)

_ELMO = (
    Claim(
        id="elmo-projection/count",
        statement="The LSTM of ELMo projects its output (4H(P+D) + HP entries of "
        "kernels and 4H biases).",
        source="S4",
        kind="count",
        expected="yes",
        parts=(
            Part(metric="elmo-kernels-less-formula", relation="=", threshold=0),
            Part(metric="elmo-biases-less-formula", relation="=", threshold=0),
        ),
        controls=(
            Control(
                id="elmo-projection/count:unprojected",
                statement="Without a projection its kernels would be larger.",
                metric="elmo-kernels-less-unprojected",
                relation="<",
                threshold=0,
            ),
        ),
    ),
    Claim(
        id="elmo-projection/clips",
        statement="The LSTM of ELMo clips its cell and its projection.",
        source="S4",
        kind="law",
        expected="yes",
        metric="beyond-clip/clipped",
        relation="=",
        threshold=0,
        controls=(
            _control(
                "elmo-projection/clips",
                "free",
                "Without the clips, cells and projections are beyond them.",
                "beyond-clip/free",
                ">",
                0,
            ),
        ),
    ),
)

_BIDIRECTIONAL = Claim(
    id="bidirectional-sees-both",
    statement="Each step of a bidirectional RNN depends on past and future.",
    source="S4",
    kind="law",
    expected="yes",
    parts=(
        Part(metric="unseen/both", relation="=", threshold=0),
        Part(metric="seen-padding", relation="=", threshold=0),
    ),
    controls=(
        _control(
            "bidirectional-sees-both",
            "forward",
            "The forward half alone does not see the future.",
            "unseen/forward",
            ">",
            0,
        ),
    ),
)

CELLS = (*_PATH, *_GRU, *_RESET, *_ELMO, _BIDIRECTIONAL)
