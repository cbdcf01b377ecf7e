"""--sweep: from "rate=0.1,0.01;width=8,16" to the values of every cell.

Fields are separated by semicolons, the values of one by commas. A value that holds a
comma or a semicolon, or nothing, stands in quotes, '...' or "...": nets='lstm,gru',all
has two values.
"""

import itertools
import re
from collections.abc import Mapping, Sequence

from experiments.harness.exits import USAGE, CommandError
from experiments.harness.modules import Scalar
from experiments.harness.options import Option, as_word, nearest

SWEPT = ("seed", "num_seeds", "data")  # beside the fields of a Config
MOST_CELLS = 1000
_VALUE = re.compile(r"""\s*(?:'([^']*)'|"([^"]*)"|([^,;'"]*[^,;'"\s]))\s*(?=[,;]|$)""")
_NAME = re.compile(r"\s*([A-Za-z_]\w*)\s*=")

Grid = Mapping[str, Sequence[Scalar]]


def parse(text: str, options: Mapping[str, Option]) -> dict[str, tuple[Scalar, ...]]:
    """The values of every swept field, in the order of the text.

    Args:
      text: behind --sweep=.
      options: by name what may be swept.

    Raises:
      CommandError: with code 2 and one line, where the text cannot be meant.
    """
    grid: dict[str, tuple[Scalar, ...]] = {}
    place = 0
    while place < len(text) or not grid:
        named = _NAME.match(text, place)
        if named is None:
            raise _refusal(f"expected NAME=VALUE,... at {text[place:]!r}")
        name = named[1]
        if name in grid:
            raise _refusal(f"{name} is given twice")
        if name not in options:
            offer = nearest(name, options) or f"; these can: {', '.join(options)}"
            raise _refusal(f"{name!r} cannot be swept{offer}")
        words, place = _words(text, named.end(), name)
        grid[name] = _values(words, options[name])
    cells = list(itertools.product(*grid.values()))
    if len(cells) > MOST_CELLS:
        raise _refusal(f"{len(cells):,} cells; at most {MOST_CELLS:,} can be")
    return grid


def cells(grid: Grid) -> list[dict[str, Scalar]]:
    """The fields of every cell; those of the last field vary fastest."""
    return [
        dict(zip(grid, values, strict=True))
        for values in itertools.product(*grid.values())
    ]


def text(grid: Grid) -> str:
    """What `parse` reads as this grid."""
    return ";".join(
        f"{name}={','.join(map(_quoted, values))}" for name, values in grid.items()
    )


def label(cell: Mapping[str, Scalar]) -> str:
    """A cell in words: rate=0.1 width=8."""
    return " ".join(f"{name}={as_word(value)}" for name, value in cell.items())


def _quoted(value: Scalar) -> str:
    given = as_word(value)
    quote = '"' if "'" in given else "'"
    plain = _VALUE.fullmatch(given)
    return given if plain and plain[3] == given else f"{quote}{given}{quote}"


def _words(text: str, place: int, name: str) -> tuple[list[str], int]:
    """The values of a field from `place` on, and where the next field begins."""
    words = []
    while True:
        found = _VALUE.match(text, place)
        if found is None:
            rule = "quoted if it holds a comma or semicolon, or nothing"
            raise _refusal(f"expected a value of {name}, {rule}, at {text[place:]!r}")
        words.append(next(each for each in found.groups() if each is not None))
        place = found.end() + 1
        if text[found.end() : place] != ",":
            return words, place


def _values(words: Sequence[str], option: Option) -> tuple[Scalar, ...]:
    values = []
    for word in words:
        try:
            value = option.parser.parse(word)
        except ValueError as error:
            raise _refusal(f"{option.name}={word}: {error}") from None
        if value in values:
            raise _refusal(f"{option.name} has {word} twice")
        values.append(value)
    return tuple(values)


def _refusal(what: str) -> CommandError:
    return CommandError(USAGE, f"--sweep: {what}")
