"""Publishes a run: its result goes to results/, and README.md's tables follow.

A published result names no place on the machine that made it: of data_dir only the last
part stays, and an absolute path in the environment becomes its last part too.

A run of an experiment as it is goes to results/EXPERIMENT/. One whose flags say what to
measure in another way, --data or a field of the Config, goes below it, into a folder
named after these flags, and README.md shows it below the other.

Verdicts, tables and the figure follow from what the run measured, by the claims and the
plots as they are now, so that a better word or title needs no new run. A claim that is
judged by another rule than when it ran is named in the result, under "judged_anew".
"""

import itertools
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePath
from typing import Any

import numpy as np

from experiments.harness import (
    directory,
    modules,
    options,
    replay,
    strict_json,
    table,
)
from experiments.harness.claims import Claim
from experiments.harness.environment import REPOSITORY
from experiments.harness.exits import UNUSABLE, CommandError
from experiments.harness.figures import draw
from experiments.harness.metrics import Metrics, Shown
from experiments.harness.verdicts import judge, judge_controls

TABLES = "tables.md"
_JUDGED = ("claims", "controls")
_HEADER = ("| statement | ✓ supported | ✗ refuted | neither |", "|---|---|---|---|")
BEGIN, END = "<!-- results -->", "<!-- /results -->"

_ABSOLUTE = re.compile(r"(?<![\w.~/\\-])(?:~?/|[A-Za-z]:\\)[^\s'\",;]*")


Record = Mapping[str, Any]


def publish(run: Path, root: Path = REPOSITORY, folder: Path = modules.FOLDER) -> int:
    """Copies result and headline figure of a run and rewrites README's tables.

    Args:
      run: the run directory.
      root: the repository, with results/ and README.md.
      folder: where the experiments are.

    Raises:
      CommandError: with code 3 if the run is still going on, 6 if it is damaged or if
        README.md has no place for the tables.
    """
    with directory.finished(run) as result:
        measured = replay.recorded_metrics(run, result)
    module = modules.load(modules.read(folder, result["experiment"]))
    readme = root / "README.md"
    before, after = _around(readme)
    kept = _judged(portable(result), module.CLAIMS, measured)
    if flags := differing(result, folder):
        kept["flags"] = flags
    target = folder_of(root / "results", result["experiment"], flags)
    content = strict_json.dumps(kept, indent=1) + "\n"
    directory.write_whole(target / directory.RESULT, content)
    if tables := _words(measured):
        directory.write_whole(target / TABLES, tables)
    else:
        (target / TABLES).unlink(missing_ok=True)
    for name, drawing in itertools.islice(draw(module.plot, measured).items(), 1):
        directory.write_whole(target / f"{name}.svg", drawing.svg)
    sections = render_results(root / "results")
    directory.write_whole(readme, f"{before}{BEGIN}\n{sections}{END}{after}")
    print(f"{target / directory.RESULT}\n{readme}")
    if result["environment"].get("dirty"):
        print("the run's source had changes that are in no commit")
    if anew := kept.get("judged_anew"):
        print(f"judged by other rules than when they ran: {', '.join(anew)}")
    return 0


def _judged(
    result: dict[str, Any], claims: Sequence[Claim], measured: Metrics
) -> dict[str, Any]:
    """The result with the verdicts of these claims."""
    judged = {
        "claims": [each.to_json() for each in judge(claims, measured)],
        "controls": [each.to_json() for each in judge_controls(claims, measured)],
    }
    anew = [
        new["id"]
        for name in _JUDGED
        for new in judged[name]
        if _rule(new) not in map(_rule, result[name])
    ]
    return result | judged | ({"judged_anew": anew} if anew else {})


def _rule(judged: Record) -> list[Any]:
    return [judged.get(name) for name in ("id", "kind", "rule", "metric", "controls")]


def render_results(results: Path) -> str:
    """The tables of README.md: a row for each statement, its arms by verdict."""
    sections = []
    for place in sorted(results.glob("*/")):
        paths = [place / directory.RESULT, *sorted(place.glob(f"*/{directory.RESULT}"))]
        found = list(filter(Path.is_file, paths))
        if found and found[0] != paths[0]:  # published with flags only
            sections.append(f"### {place.name}\n")
        read = {path: json.loads(path.read_text(encoding="utf-8")) for path in found}
        usual = read.get(paths[0])
        for path, result in read.items():
            other = _otherwise(result, usual) if usual else ""
            sections.append(_section(result, path.parent, results.parent, other))
    return "\n".join(sections)


def differing(result: Record, folder: Path = modules.FOLDER) -> str:
    """The flags by which a run measures something else than the experiment as it is."""
    experiment = modules.read(folder, result["experiment"])
    defaults = {field.name: field.default for field in experiment.fields}
    if experiment.data:
        defaults["data"] = experiment.data[0]
    given = {name: result["config"].get(name, defaults[name]) for name in defaults}
    return " ".join(
        f"--{name}={options.as_word(value)}"
        for name, value in given.items()
        if value != defaults[name]
    )


def folder_of(results: Path, experiment: str, flags: str) -> Path:
    """The folder of a result: the experiment's, or one below it, named by flags."""
    words = re.sub(r"[^A-Za-z0-9.]+", "-", flags.replace("=-", "=minus"))
    return results / experiment / words.strip("-")


def _words(measured: Metrics) -> str:
    """The tables of words that a run shows, a header in the first line of each."""
    parts = []
    for each in measured.values():
        if not isinstance(each, Shown):
            continue
        values = np.asarray(each.values)
        if values.ndim != 2 or values.dtype.kind != "U":
            continue
        header, *rows = [f"| {' | '.join(map(_escape, row))} |" for row in values]
        rule = "|---" * values.shape[1] + "|"
        title = f"{_escape(each.label)}:"
        parts.append("\n".join([title, "", header, rule, *rows, ""]))
    return "\n".join(parts)


def portable(result: Record) -> dict[str, Any]:
    """The result without any absolute path."""
    config = dict(result["config"])
    if config.get("data_dir"):
        config["data_dir"] = PurePath(config["data_dir"]).name
    changed = {"config": config, "environment": result["environment"]}
    return {**result, **_without_paths(changed)}


def _without_paths(value: Any) -> Any:
    if isinstance(value, str):
        return _ABSOLUTE.sub(lambda found: re.split(r"[/\\]", found[0])[-1], value)
    if isinstance(value, Mapping):
        return {name: _without_paths(each) for name, each in value.items()}
    return value


def _around(readme: Path) -> tuple[str, str]:
    """What stands before and behind the tables."""
    text = readme.read_text(encoding="utf-8") if readme.is_file() else ""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise CommandError(UNUSABLE, f"{readme} has no {BEGIN} ... {END}")
    return before, after


def _otherwise(result: Record, usual: Record) -> str:
    """Which claims the flags of a run decide in another way than the run without."""
    if result is usual:
        return ""
    before = {each["id"]: each["verdict"] for each in usual["claims"]}
    pairs = {
        claim["id"]: (claim["verdict"], before.get(claim["id"], "not measured"))
        for claim in result["claims"]
    }
    changed = [
        f"{name} {here} ({there})"
        for name, (here, there) in pairs.items()
        if here != there and "not measured" not in (here, there)
    ]
    if not changed:
        return "Every verdict is the one without these flags."
    return f"Verdicts that differ (without these flags): {', '.join(changed)}."


def _section(result: Record, folder: Path, root: Path, otherwise: str = "") -> str:
    """One result, in its folder below that of README.md."""
    place = folder.relative_to(root).as_posix()
    has_tables = (folder / TABLES).is_file()
    flags = result.get("flags", "")
    title = f"#### `{flags}`" if flags else f"### {result['experiment']}"
    if flags:  # what it leaves out is measured by the experiment as it is
        result = {**result, **{name: _measured(result[name]) for name in _JUDGED}}
    groups: dict[str, list[Record]] = {}
    for claim in result["claims"]:
        groups.setdefault(claim["id"].partition("/")[0], []).append(claim)
    return "\n".join(
        [
            title,
            "",
            f"[{table.counts(result)}]({place}/{directory.RESULT}); "
            f"{table.controls_hold(table.guards(result))}{_younger(result)}. "
            f"{_setting(result)}"
            + (f" [Tables]({place}/{TABLES})." if has_tables else ""),
            "",
            *(_HEADER if groups else ()),
            *(_row(row, claims) for row, claims in groups.items()),
            *([""] if groups else ()),
            *((otherwise, "") if otherwise else ()),
        ]
    )


def _younger(result: Record) -> str:
    anew = result.get("judged_anew", ())
    return f"; {len(anew)} judged by a rule younger than the run" if anew else ""


def _measured(judged: Sequence[Record]) -> list[Record]:
    return [each for each in judged if each["verdict"] != "not measured"]


def _setting(result: Record) -> str:
    """Data, seeds, device, version and seconds."""
    config, environment = result["config"], result["environment"]
    seconds = sum(result["wall_seconds"].values())
    seeds = table.count(config["num_seeds"], "seed")
    if config["seed"]:
        seeds += f" of --seed={config['seed']}"
    return (
        f"{config['data'] or 'No data set'}, {seeds}, {environment['device']}, "
        f"jax {environment['jax']}, {seconds:.0f} s."
    )


def _row(row: str, claims: Sequence[Record]) -> str:
    statements = table.statements(claims)
    sources = dict.fromkeys(each["source"] for each in claims)
    cells = {"supported": [], "refuted": [], "neither": []}
    for claim in claims:
        cell = cells.get(claim["verdict"], cells["neither"])
        cell.append(_arm(claim))
    return (
        " | ".join(
            [
                f"| **{row}**: {_escape(' '.join(statements))} "
                f"({_escape('; '.join(sources))})",
                *("<br>".join(cell) for cell in cells.values()),
            ]
        )
        + " |"
    )


def _arm(claim: Record) -> str:
    arm = claim["id"].partition("/")[2]
    words = [arm and f"{arm}:", _escape(claim["measured"])]
    if claim["verdict"] not in ("supported", "refuted"):
        words.append(f"({'; '.join([claim['verdict'], *_failed_controls(claim)])})")
    elif claim["survives_holm"] is False:
        words.append("†")
    return " ".join(word for word in words if word)


def _failed_controls(claim: Record) -> list[str]:
    """Why a claim is invalid, as its note says."""
    return [each for each in claim["note"].split("; ") if each.startswith("control ")]


def _escape(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace("|", "\\|")
