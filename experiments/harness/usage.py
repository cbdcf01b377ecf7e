"""What the command line says about itself."""

import textwrap
from collections.abc import Iterable, Sequence

from experiments.harness import options
from experiments.harness.modules import Experiment, Scalar

_WIDTH = 88
_COMMANDS = (
    ("--list", "the experiments, one a line"),
    ("--exp=NAME --help", "what it measures, and its flags"),
    ("--exp=NAME --quick", "a first look, in seconds"),
    ("--exp=NAME", "the whole study; --exp=all runs every experiment"),
    ("--exp=NAME --resume=latest", "the same, going on with its newest run if there"),
    ('--exp=NAME --sweep="A=1,2"', "at every cell of a grid, with one table"),
    ("--resume=RUN_DIR", "go on with a run that was ended, to the same bits"),
    ("--replay=RUN_DIR", "repeat a run and compare, bit for bit"),
    ("--publish=RUN_DIR", "copy its result to results/ and into README.md"),
)


def overview(known: Sequence[str]) -> str:
    """What `python launch.py` can do."""
    return "\n".join(
        [
            "Measures what textbooks say about convolution, pooling and recurrence.",
            "",
            *_rows((f"python launch.py {words}", text) for words, text in _COMMANDS),
            "",
            f"experiments: {', '.join(known)}",
            "",
            "flags of every experiment:",
            *_rows(_option(option) for option in options.SETTINGS),
        ]
    )


def listing(experiments: Sequence[Experiment]) -> str:
    """Every experiment with its first sentence."""
    return "\n".join(_rows((each.name, each.summary) for each in experiments))


def describe(experiment: Experiment) -> str:
    """An experiment's docstring and its flags."""
    fields = [_option(each) for each in options.of_fields(experiment)]
    settings = []
    for option in options.SETTINGS:
        shown, text = _option(option)
        if option.name == "data":
            if not experiment.data:
                continue
            shown = f"--data={experiment.data[0]}"
            text = f"the data set: {' or '.join(experiment.data)}"
        settings.append((shown, text))
    quick = " ".join(_flag(name, value) for name, value in experiment.quick.items())
    return "\n".join(
        [
            f"python launch.py --exp={experiment.name}",
            "",
            experiment.doc.strip(),
            "",
            f"flags of {experiment.name}:",
            *(_rows(fields) if fields else ["  none"]),
            "",
            "flags of every experiment:",
            *_rows(settings),
            "",
            f"--quick stands for {quick}" if quick else "--quick changes nothing here",
        ]
    )


def _option(option: options.Option) -> tuple[str, str]:
    if option.default is None:
        return f"--{option.name}={option.name.rpartition('_')[2].upper()}", option.help
    if option.is_switch:  # what a user would write: the opposite of the default
        return _flag(option.name, not option.default), option.help
    return _flag(option.name, option.default), option.help


def _flag(name: str, value: Scalar) -> str:
    if isinstance(value, bool):
        return f"--{name}" if value else f"--no{name}"
    return f"--{name}={value}"


def _rows(rows: Iterable[tuple[str, str]]) -> list[str]:
    """Two columns, the second wrapped beside the first."""
    pairs = list(rows)
    left = max((len(first) for first, _ in pairs), default=0) + 4
    lines = []
    for first, second in pairs:
        wrapped = textwrap.wrap(second, max(_WIDTH - left, 30)) or [""]
        lines.append(f"  {first:<{left - 2}}{wrapped[0]}".rstrip())
        lines += [" " * left + line for line in wrapped[1:]]
    return lines
