"""The two forms that most claims about an identity take: rounding, or a number."""

from experiments.harness.claims import Claim, Control, Expected, Kind, Part


def tolerance(
    identifier: str,
    statement: str,
    source: str,
    expected: Expected,
    threshold: float,
    controls: tuple[Control, ...] = (),
) -> Claim:
    """A law whose relative error, the metric of the claim's own name, is rounding."""
    return Claim(
        id=identifier,
        statement=statement,
        source=source,
        kind="law",
        expected=expected,
        metric=identifier,
        relation="<",
        threshold=threshold,
        controls=controls,
    )


def equal(
    identifier: str,
    statement: str,
    source: str,
    kind: Kind,
    expected: Expected,
    threshold: float = 0,
    controls: tuple[Control, ...] = (),
) -> Claim:
    """A number, the metric of the claim's own name, that is what is stated."""
    return Claim(
        id=identifier,
        statement=statement,
        source=source,
        kind=kind,
        expected=expected,
        metric=identifier,
        relation="=",
        threshold=threshold,
        controls=controls,
    )


def both(
    identifier: str,
    statement: str,
    source: str,
    kind: Kind,
    expected: Expected,
    *parts: Part,
) -> Claim:
    return Claim(
        id=identifier,
        statement=statement,
        source=source,
        kind=kind,
        expected=expected,
        parts=parts,
    )
