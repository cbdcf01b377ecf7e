"""The command line: from words to what is to be done, before anything slow is imported.

Only the standard library and absl are imported here, so help and usage errors are
answered at once. Whatever cannot be meant is refused with one line that says what could
have been: a name that is nearly another, a value of the wrong type, a flag given twice,
a word without a flag.
"""

import json
import re
import types
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from absl import flags

from experiments.harness import grid, modules, options, peers, usage
from experiments.harness.exits import USAGE, CommandError
from experiments.harness.intents import (
    CONFIG,
    PLACE,
    RECORDED,
    SWEEP,
    UNRECORDED,
    Command,
    Publish,
    Replay,
    Request,
    Resume,
    Run,
    Say,
    Sweep,
)
from experiments.harness.modules import Experiment, Scalar
from experiments.harness.peers import Peers

# absl reads these whatever is defined; here they would hide typing errors.
_RESERVED = re.compile(r"--?(undefok|flagfile)(=|$)")


def parse(argv: Sequence[str], folder: Path = modules.FOLDER) -> Command:
    """Reads the words behind `python launch.py`.

    Args:
      argv: the words, without the program's name.
      folder: where the experiments are.

    Raises:
      CommandError: with code 2 and one line, where the words cannot be meant.
    """
    known = modules.names(folder)
    first, _ = _feed(argv, (), (), known_only=True)  # finds --exp, which adds flags
    resumed = first["resume"].value
    name = first["exp"].value or _recorded(resumed).get("experiment")
    chosen = _choose(name, known, folder)
    single = chosen[0] if chosen and name != options.ALL else None
    if first["help"].value:
        return Say(usage.describe(single) if single else usage.overview(known))
    fields = tuple(options.of_fields(single)) if single else ()
    values, stray = _feed(argv, fields, chosen, known_only=False)
    if stray:
        raise CommandError(USAGE, _about_stray(stray[0], known))
    given = {name for name in values if values[name].present} - {"h"}
    if not given:
        return Say(usage.overview(known))
    _refuse_conflicts(given)
    if values["list"].value:
        return Say(usage.listing([modules.read(folder, name) for name in known]))
    if values["replay"].value:
        _refuse_cluster("replay")
        run = Path(values["replay"].value)
        return Replay(run, values["data_dir"].value, values["stream"].value)
    if values["publish"].value:
        return Publish(Path(values["publish"].value))
    if resumed and resumed != options.LATEST:
        return _resume(Path(resumed), single, values, given)
    if not chosen:
        raise CommandError(
            USAGE, f"which experiment? --exp={'|'.join((*known, options.ALL))}"
        )
    if "sweep" in given:
        return _sweep(single, values, given)
    requests = tuple(_request(each, values, given) for each in chosen)
    return Run(requests, bool(resumed), _peers(values, given, requests[0].device))


def _sweep(
    single: Experiment | None, values: flags.FlagValues, given: set[str]
) -> Sweep:
    if single is None:
        raise CommandError(USAGE, f"--sweep does not go with --exp={options.ALL}")
    if together := given & {*peers.FLAGS}:
        raise CommandError(USAGE, f"--sweep does not go with --{min(together)}")
    _refuse_cluster("sweep")
    swept = {each.name: each for each in options.of_fields(single)}
    swept |= {
        each.name: each
        for each in options.SETTINGS
        if each.name in grid.SWEPT and (each.name != "data" or single.data)
    }
    text: Any = values["sweep"].value
    fields = grid.parse(text, swept)
    if twice := given & set(fields):
        raise CommandError(USAGE, f"--sweep has {min(twice)}: no --{min(twice)} beside")
    cells = tuple(_request(single, values, given, cell) for cell in grid.cells(fields))
    return Sweep(fields, cells, is_latest=values["resume"].value is not None)


def _recorded(run: str | None) -> dict[str, Any]:
    """The config of a run that is gone on with; empty where it cannot be read."""
    try:
        found = json.loads((Path(run or "") / CONFIG).read_text())
    except (OSError, ValueError):
        return {}  # who goes on with it says what is wrong
    is_named = isinstance(found, dict) and isinstance(found.get("experiment"), str)
    return found if is_named else {}


def _resume(
    run: Path, single: Experiment | None, values: flags.FlagValues, given: set[str]
) -> Resume:
    refused = {"out", "sweep"}
    if (run / SWEEP).is_file():
        refused = set(values) - {"resume", *UNRECORDED}
        _refuse_cluster("resume of a sweep")
    if extra := given & refused:
        raise CommandError(USAGE, f"--resume=RUN_DIR does not go with --{min(extra)}")
    asked: dict[str, Scalar | None] = {}
    if "exp" in given:
        asked["experiment"] = values["exp"].value
    if single is not None:
        request = _request(single, values, given)
        quick = set(single.quick) if values["quick"].value else set()
        names = [name for name in (*request.config, *RECORDED) if name in given | quick]
        asked |= {name: request.record.get(name) for name in names if name != PLACE}
    anew = {name: values[name].value for name in (*UNRECORDED, *({PLACE} & given))}
    device = _recorded(str(run)).get("device")
    return Resume(run, asked, anew, _peers(values, given, device))


def _refuse_cluster(command: str) -> None:
    if peers.is_cluster():
        raise CommandError(
            USAGE, f"--{command} runs in one process, and Slurm has started several"
        )


def _peers(
    values: flags.FlagValues, given: set[str], device: str | None
) -> Peers | None:
    """The processes that run together, or None."""
    if missing := sorted({*peers.FLAGS} - given):
        if len(missing) < len(peers.FLAGS):
            named = min(given & {*peers.FLAGS})
            raise CommandError(USAGE, f"--{named} needs --{missing[0]} as well")
        return Peers() if peers.is_cluster() or device == "tpu" else None
    asked: list[Any] = [values[name].value for name in peers.FLAGS]
    coordinator, count, index = asked
    if index >= count:
        raise CommandError(USAGE, f"flag --process_id: expected at most {count - 1}")
    return Peers(coordinator, count, index)


def _feed(
    argv: Sequence[str],
    fields: Sequence[options.Option],
    chosen: Sequence[Experiment],
    *,
    known_only: bool,
) -> tuple[flags.FlagValues, list[str]]:
    """Lets absl parse; returns the flags and what is no flag."""
    values = flags.FlagValues()
    for option in (*options.COMMANDS, *options.SETTINGS, *fields):
        option.define(values)
    for word in argv:
        if _RESERVED.match(word):
            raise CommandError(USAGE, f"unknown flag {word}")
    try:
        rest = values(["launch.py", *argv], known_only=known_only)
    except flags.UnrecognizedFlagError as error:
        raise CommandError(USAGE, _about_unknown(error, values, chosen)) from None
    except (flags.Error, ValueError) as error:
        raise CommandError(USAGE, str(error)) from None
    return values, rest[1:]


def _choose(
    name: str | None, known: Sequence[str], folder: Path
) -> tuple[Experiment, ...]:
    if name is None:
        return ()
    if name == options.ALL:
        return tuple(modules.read(folder, each) for each in known)
    if name not in known:
        offer = options.nearest(name, (*known, options.ALL)) or "; --list shows them"
        raise CommandError(USAGE, f"no experiment is named {name!r}{offer}")
    return (modules.read(folder, name),)


def _about_unknown(
    error: flags.UnrecognizedFlagError,
    values: flags.FlagValues,
    chosen: Sequence[Experiment],
) -> str:
    name = error.flagname
    for experiment in chosen:  # more than one: their fields are no flags
        if name in {field.name for field in experiment.fields}:
            own = experiment.name
            return f"--{name} is a flag of {own} alone: give it with --exp={own}"
    offer = options.nearest(name, values, "--") or "; --help lists all flags"
    return f"unknown flag --{name}{offer}"


def _about_stray(word: str, known: Sequence[str]) -> str:
    names = (*known, options.ALL)
    offer = (
        options.nearest(word, names, "--exp=") or "; flags are given as --name=value"
    )
    return f"stray argument {word!r}{offer}"


def _refuse_conflicts(given: set[str]) -> None:
    """The commands exclude each other, and most take no further flag."""
    takes = {"list": set(), "replay": {"data_dir", "stream"}, "publish": set()}
    for command, others in takes.items():
        extra = sorted(given - {command} - others)
        if command in given and extra:
            raise CommandError(USAGE, f"--{command} does not go with --{extra[0]}")


def _request(
    experiment: Experiment,
    values: flags.FlagValues,
    given: set[str],
    cell: Mapping[str, Scalar] = types.MappingProxyType({}),
) -> Request:
    """Defaults, then QUICK, then what was given, then a cell of a sweep."""
    known = {each.name for each in (*options.SETTINGS, *experiment.fields)}
    if unknown := set(experiment.quick) - known:
        raise ValueError(f"{experiment.path}: QUICK holds no flag: {unknown}")
    quick = experiment.quick if values["quick"].value else {}

    def value(name: str, default: Any) -> Any:
        if name in cell:
            return cell[name]
        return values[name].value if name in given else quick.get(name, default)

    config = {each.name: value(each.name, each.default) for each in experiment.fields}
    settings = {
        option.name: value(option.name, option.default)
        for option in options.SETTINGS
        if option.name not in ("quick", "data")
    }
    data = value("data", experiment.data[0] if experiment.data else None)
    if data is not None and data not in experiment.data:
        raise CommandError(USAGE, _about_data(data, experiment))
    try:
        experiment.config(**config)
    except ValueError as error:
        raise CommandError(USAGE, f"{experiment.name}: {error}") from None
    return Request(experiment, config, data=data, **settings)


def _about_data(data: str, experiment: Experiment) -> str:
    if not experiment.data:
        return f"{experiment.name} takes no data set"
    offer = options.nearest(data, experiment.data) or f": {', '.join(experiment.data)}"
    return f"{experiment.name} has no data set {data!r}{offer}"
