"""The harness's own flags: name, type, default and meaning of each.

A flag is one `Option`; an experiment's Config adds one per field. Its parser turns a
word into a value, or says what was expected.
"""

import dataclasses
import difflib
import math
import os
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from absl import flags

from experiments.harness.modules import Experiment

ALL = "all"
DEVICES = ("cpu", "gpu", "tpu")
SEEDS_BY = ("auto", "map", "vmap")
LARGEST_SEED = 2**32 - 1  # jax takes a larger seed modulo 2**32 without a word
MOST_THREADS = 1024
MOST_WORKERS = 64
MOST_SEEDS = 1000  # all of them train at once, in one program


class Parser(flags.ArgumentParser):
    """Converts the word behind a flag, or says what was expected instead."""

    def __init__(self, expected: str, convert: Callable[[str], Any]) -> None:
        self.expected = expected
        self.convert = convert

    def parse(self, argument: Any) -> Any:
        try:
            return self.convert(argument)
        except ValueError:
            raise ValueError(f"expected {self.expected}") from None


@dataclasses.dataclass(frozen=True)
class Option:
    """One flag: its name, what its word means, its default and what it is for."""

    name: str
    parser: Parser
    default: Any
    help: str

    @property
    def is_switch(self) -> bool:
        """Whether --name and --noname stand for true and false."""
        return self.parser is SWITCH

    def define(self, values: flags.FlagValues) -> None:
        flag: flags.Flag = flags.Flag(
            self.parser,
            None,
            self.name,
            None,
            self.help,
            short_name="h" if self.name == "help" else None,
            boolean=self.is_switch,
            allow_overwrite=False,
        )
        flag.value = self.default  # as it is: a default is no word to be parsed
        flags.DEFINE_flag(flag, values)


def whole(least: float = -math.inf, most: float = math.inf) -> Callable[[str], int]:
    """A converter to whole numbers of a range."""

    def convert(word: str) -> int:
        value = int(word)
        if not least <= value <= most:
            raise ValueError
        return value

    return convert


def as_word(value: Any) -> str:
    """A value as a flag has it: true, not True."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _finite(word: str) -> float:
    value = float(word)
    if not math.isfinite(value):
        raise ValueError
    return value


def _duration(word: str) -> float:
    value = _finite(word)
    if value < 0:
        raise ValueError
    return value


def _one_of(words: tuple[str, ...]) -> Parser:
    def convert(word: str) -> str:
        if word not in words:
            raise ValueError
        return word

    return Parser(f"one of {', '.join(words)}", convert)


def _address(word: str) -> str:
    host, _, port = word.rpartition(":")
    if not host or not 0 < int(port) < 2**16:
        raise ValueError
    return word


def _not_empty(word: str) -> str:
    if not word:
        raise ValueError
    return word


def _threads(word: str) -> int:
    """A number, or every core that this process may use."""
    if word != ALL:
        return whole(1, MOST_THREADS)(word)
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1  # macOS has no affinity


def _truth(word: str) -> bool:
    if word not in ("true", "false"):
        raise ValueError
    return word == "true"


SWITCH = Parser("true or false", _truth)
_NAME = Parser("a name", _not_empty)
_DIRECTORY = Parser("a directory", _not_empty)
_FIELDS: dict[type, Parser] = {
    int: Parser("a whole number", whole()),
    float: Parser("a finite number", _finite),
    str: Parser("text", str),
    bool: SWITCH,
}

# Beside the config in the lines of the log that begin a process.
_LOGGED = {"event", "seconds", "version", "time", "command", "environment"} | {
    "experiment",
    "examples",
}

OUT = "runs"
CHECKPOINT_SECONDS = 10.0
LATEST = "latest"
SETTINGS = (
    Option("quick", SWITCH, False, "a first look: fewer seeds, steps and arms"),
    Option(
        "seed",
        Parser(f"a whole number in 0..{LARGEST_SEED}", whole(0, LARGEST_SEED)),
        0,
        "what all randomness is drawn from",
    ),
    Option(
        "num_seeds",
        Parser(f"a whole number in 1..{MOST_SEEDS}", whole(1, MOST_SEEDS)),
        5,
        "repetitions; fewer than 5 leave conditional claims inconclusive",
    ),
    Option("data", _NAME, None, "the data set"),
    Option("data_dir", _DIRECTORY, None, "where prepared data sets lie"),
    Option("out", _DIRECTORY, OUT, "a run is written to OUT/EXPERIMENT/STAMP"),
    Option("device", _one_of(DEVICES), "cpu", "where to run"),
    Option(
        "num_threads",
        Parser(f"{ALL} or a whole number in 1..{MOST_THREADS}", _threads),
        3,
        "threads of the CPU, or all; the last bits of a result depend on it",
    ),
    Option(
        "seeds_by",
        _one_of(SEEDS_BY),
        "auto",
        "map: each seed as if alone; vmap: beside each other; auto: vmap where it fits",
    ),
    Option(
        "checkpoint_seconds",
        Parser("seconds, 0 or more", _duration),
        CHECKPOINT_SECONDS,
        "between two checkpoints of a training; 0: as often as can be",
    ),
    Option("tensorboard", SWITCH, False, "event files beside the log, as it goes on"),
    Option("profile", SWITCH, False, "trace some steps, for XProf and Perfetto"),
    Option(
        "stream",
        Parser(f"a whole number in 0..{MOST_WORKERS}", whole(0, MOST_WORKERS)),
        None,
        "processes that read training images as they are needed, by grain, or 0: a "
        "thread; not given: all are held in memory, to the same bits",
    ),
)
COMMANDS = (
    Option("exp", _NAME, None, "the experiment, or all of them"),
    Option("list", SWITCH, False, "the experiments, one a line"),
    Option("resume", _DIRECTORY, None, "go on with a run; latest: the newest of --exp"),
    Option("sweep", _NAME, None, "run --exp at every cell of a grid: A=1,2;B=x,'y,z'"),
    Option("replay", _DIRECTORY, None, "repeat a run and compare"),
    Option("publish", _DIRECTORY, None, "copy a result to results/ and README.md"),
    Option(
        "coordinator",
        Parser("HOST:PORT", _address),
        None,
        "where process 0 of several runs; Slurm and TPU pods need none of these",
    ),
    Option("num_processes", Parser("a whole number", whole(1)), None, "how many run"),
    Option("process_id", Parser("a whole number", whole(0)), None, "which of them"),
    Option("help", SWITCH, False, "what there is; with --exp, its flags"),
)


def of_fields(experiment: Experiment) -> Iterator[Option]:
    """The flags that an experiment adds: one per field of its Config."""
    taken = {option.name for option in SETTINGS + COMMANDS}
    for field in experiment.fields:
        if field.name in taken | _LOGGED | {"h"}:
            raise ValueError(
                f"{experiment.path}: Config.{field.name} has a name of the harness"
            )
        yield Option(field.name, _FIELDS[field.type], field.default, field.help)


def nearest(word: str, candidates: Iterable[str], prefix: str = "") -> str:
    """The end of a message that offers what was probably meant."""
    close = difflib.get_close_matches(word, list(candidates), 1, 0.5)
    return f"; did you mean {prefix}{close[0]}?" if close else ""
