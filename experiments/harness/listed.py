"""Flags that name some of what there is."""

from collections.abc import Sequence


def listed(flag: str, given: str, known: Sequence[str]) -> tuple[str, ...]:
    """The names of a comma list, in the order of the known ones; of "all", all.

    Args:
        flag: what they name, for the error.
        given: "all", or names with commas between them.
        known: every name there is.

    Raises:
        ValueError: a name that is not known, or one that is given twice.
    """
    asked = [each.strip() for each in given.split(",")]
    if asked == ["all"]:
        return tuple(known)
    if len(set(asked)) < len(asked) or not set(asked) <= set(known):
        raise ValueError(
            f"expected {flag} as all or from {', '.join(known)}, each once, "
            f"got {given!r}"
        )
    return tuple(name for name in known if name in asked)
