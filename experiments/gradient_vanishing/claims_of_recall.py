"""What the notes state about recurrent nets in training, with rules and controls."""

from experiments.gradient_vanishing import clipping
from experiments.gradient_vanishing.recall import CELLS, TASKS
from experiments.harness.claims import Claim, Control, Expected, Part, Relation

_NEAR = Claim(
    id="only-near-steps-update",
    statement="Vanishing means that only the nearest steps are updated (half-life of "
    "the gradient over the length, RNN, first update).",
    source="S4",
    kind="conditional",
    expected="yes",
    metric="half-life/rnn",
    relation="<",
    threshold=0.25,
    controls=(
        Control(
            id="only-near-steps-update:vanishes",
            statement="The RNN's gradient does vanish: less than a tenth reaches the "
            "first step.",
            metric="near-steps/log-ratio",
            relation="<",
            threshold=-1,
        ),
        Control(
            id="only-near-steps-update:isometry",
            statement="Through the same RNN without its tanh, an isometry, no half "
            "is ever lost: the half-life is the whole length.",
            metric="half-life/isometry",
            relation=">",
            threshold=0.99,
        ),
    ),
)

_EXPLODES = Control(
    id="clipping-fixes-explosion:explodes",
    statement="In most runs the gradient grows more than tenfold from the last step "
    "to the first, before training.",
    metric="exploded/relu",
    relation=">",
    threshold=0.5,
    estimate="share",
    replicate="run",
    least=clipping.LEAST_RUNS,
)
_AT = "at the best rate of clipped runs"
_HOW: tuple[tuple[str, str, Relation, float], ...] = (
    ("clipped", f"seldom with it, {_AT}", "<", 0.05),
    ("unclipped", f"mostly without, {_AT}", ">", 0.5),
    ("unclipped-own-rate", "mostly without, at the best rate of such runs", ">", 0.5),
)
_CLIPPING = tuple(
    Claim(
        id=f"clipping-fixes-explosion/{arm}",
        statement="Gradient clipping solves exploding gradients (training diverges "
        f"{how}: ends non-finite or above {clipping.GROWTH} times a first loss that "
        "has itself exploded; whether it learns is not judged).",
        source="S4",
        kind="conditional",
        expected="yes",
        metric=f"diverged/{arm}",
        relation=relation,
        threshold=threshold,
        estimate="share",
        replicate="run",
        least=clipping.LEAST_RUNS,
        controls=(_EXPLODES,),
    )
    for arm, how, relation, threshold in _HOW
)

_SHUFFLED = 17.5  # chance and 5 points


def _read(
    row: str, name: str, statement: str, metric: str, least: float = 90.0
) -> Control:
    """A part of the accuracy of which the instrument is sure."""
    return Control(
        id=f"{row}:{name}",
        statement=statement,
        metric=metric,
        relation=">",
        threshold=least,
        unit="%",
        estimate="accuracy",
        replicate="net",
    )


def _able(row: str, cell: str, task: str) -> Control:
    """What a net or its probe has to be able to do.

    Not that a net which needs the first symbol recalls it: one that does not may have
    overwritten it, which is the statement.
    """
    if task == "unneeded":
        statement = "The net has learned to name the last symbol (chance is 12.5 %)."
        return _read(row, "learned", statement, f"named/{cell}-{task}")
    statement = "The probe finds the first symbol in the state right after it."
    return _read(row, "soon", statement, f"probe-soon/{cell}-{task}")


def _blind(row: str, arm: str) -> Control:
    return Control(
        id=f"{row}:shuffled",
        statement="A probe fitted to shuffled symbols finds nothing (chance is "
        "12.5 %).",
        metric=f"probe-shuffled/{arm}",
        relation="<",
        threshold=_SHUFFLED,
        unit="%",
        estimate="accuracy",
        replicate="net",
    )


def _overwritten(cell: str, task: str) -> Claim:
    row = f"state-overwritten/{cell}-{task}"
    asked = {"needed": "first", "unneeded": "last"}[task]
    name = cell.upper() if cell == "rnn" else f"{cell.upper()} of keeping bias 3"
    return Claim(
        id=row,
        statement="The hidden state is rewritten at every step, so the earliest "
        f"information is almost gone ({name}, trained to name the {asked} of 50 "
        "symbols; a linear probe of the first).",
        source="S4",
        kind="conditional",
        expected="open",
        metric=f"probe/{cell}-{task}",
        relation="<",
        threshold=_SHUFFLED,
        unit="%",
        estimate="accuracy",
        replicate="net",
        controls=(_able(row, cell, task), _blind(row, f"{cell}-{task}")),
    )


_OVERWRITTEN = tuple(_overwritten(cell, task) for cell in CELLS for task in TASKS)

_REMEMBERS = Control(
    id="sigmoid-and-tanh-needed:memory",
    statement="The task tells memories apart: the LSTM recalls better than the RNN.",
    metric="lstm-less-rnn",
    relation=">",
    threshold=10.0,
    unit="points",
    estimate="accuracy",
    replicate="net",
)
_READINGS: tuple[tuple[str, str, Expected, tuple[str, str], Relation], ...] = (
    (
        "tanh-replaceable",
        "The tanh of the LSTM may be replaced (hard tanh, softsign)",
        "open",
        ("hard-tanh", "softsign"),
        ">",
    ),
    (
        "sigmoid-natural",
        "A sigmoid is natural for the gates (clipped linear and tanh gates lose)",
        "open",
        ("clipped-linear-gates", "tanh-gates"),
        "<",
    ),
)
_ACTIVATIONS = tuple(
    Claim(
        id=f"sigmoid-and-tanh-needed/{arm}",
        statement=f"{statement}.",
        source="S4",
        kind="conditional",
        expected=expected,
        parts=tuple(
            Part(
                metric=f"{net}-less-lstm",
                relation=relation,
                threshold=-2.0,
                unit="points",
                estimate="accuracy",
                replicate="net",
            )
            for net in nets
        ),
        controls=(_REMEMBERS,),
    )
    for arm, statement, expected, nets, relation in _READINGS
)

RECALL = (_NEAR, *_CLIPPING, *_OVERWRITTEN, *_ACTIVATIONS)
