"""The one exception of this package."""


class DataError(Exception):
    """Data that is absent or unusable; its text is one line made for the user."""


def first_line(error: object) -> str:
    """What an exception says, cut to one line, or its class where it says nothing."""
    lines = str(error).strip().splitlines()
    return lines[0].strip() if lines else type(error).__name__
