"""What the notes state about the values of gates, with rules and controls."""

from experiments.harness.claims import Claim, Control

_ROW = "lstm-gates-are-binary"
_WHICH = {
    "": "all gates",
    "-input-output": "input and output gates: the forget gates begin near 1",
}


def _near(name: str, statement: str, metric: str, replicate: str = "seed") -> Control:
    """Gates that are known to be near 0 or 1."""
    return Control(
        id=f"{_ROW}/{name}",
        statement=statement,
        metric=metric,
        relation=">",
        threshold=0.5,
        replicate=replicate,
    )


def _init(which: str) -> Claim:
    arm = f"init{which}"
    return Claim(
        id=f"{_ROW}/{arm}",
        statement="Gate values are close to 0 or 1 (before training, as flax draws "
        f"them; {_WHICH[which]}).",
        source="S4",
        kind="conditional",
        expected="no",
        metric=f"gates-saturated/{arm}",
        relation=">",
        threshold=0.5,
        controls=(
            _near(
                f"{arm}:forget-bias-5",
                "A forget gate of bias 5 is: most of its values are near 1.",
                "forget-gate-saturated/5",
            ),
        ),
    )


def _trained(which: str) -> Claim:
    arm = f"trained{which}"
    return Claim(
        id=f"{_ROW}/{arm}",
        statement="Gate values are close to 0 or 1 (after training on first-symbol "
        f"recall; {_WHICH[which]}).",
        source="S4",
        kind="conditional",
        expected="open",
        metric=f"gates-saturated/{arm}",
        relation=">",
        threshold=0.5,
        replicate="net",
        controls=(
            Control(
                id=f"{_ROW}/{arm}:learned",
                statement="The LSTM has learned to recall (chance is 12.5 %).",
                metric="recall/lstm",
                relation=">",
                threshold=90.0,
                unit="%",
                estimate="accuracy",
                replicate="net",
            ),
            Control(
                id=f"{_ROW}/{arm}:before",
                statement="They are not so before training.",
                metric=f"gates-saturated/un{arm}",
                relation="<",
                threshold=0.5,
                replicate="net",
            ),
            _near(
                f"{arm}:forget-bias-3",
                "The forget gates, of bias 3, are so before training.",
                "forget-gate-saturated/untrained",
                "net",
            ),
        ),
    )


INITIAL_GATES = tuple(map(_init, _WHICH))
TRAINED_GATES = tuple(map(_trained, _WHICH))
