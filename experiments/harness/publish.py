"""Publishes a run: its result goes to results/, and README.md's tables follow.

A published result names no place on the machine that made it: of data_dir only the last
part stays, and an absolute path in the environment becomes its last part too.
"""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePath
from typing import Any

from experiments.harness import directory, strict_json, table
from experiments.harness.environment import REPOSITORY
from experiments.harness.exits import UNUSABLE, CommandError

BEGIN, END = "<!-- results -->", "<!-- /results -->"

_ABSOLUTE = re.compile(r"(?<![\w.~/\\-])(?:~?/|[A-Za-z]:\\)[^\s'\",;]*")


Record = Mapping[str, Any]


def publish(run: Path, root: Path = REPOSITORY) -> int:
    """Copies result and headline figure of a run and rewrites README's tables.

    Args:
      run: the run directory.
      root: the repository, with results/ and README.md.

    Raises:
      CommandError: with code 3 if the run is still going on, 6 if it is damaged or if
        README.md has no place for the tables.
    """
    with directory.finished(run) as result:
        figures = sorted((run / directory.FIGURES).glob("*.svg"))
        headline = [(each.name, each.read_bytes()) for each in figures[:1]]
    readme = root / "README.md"
    before, after = _around(readme)
    target = root / "results" / result["experiment"]
    content = strict_json.dumps(portable(result), indent=1) + "\n"
    directory.write_whole(target / directory.RESULT, content)
    for name, drawing in headline:
        directory.write_whole(target / name.partition("-")[2], drawing)
    tables = render_results(root / "results")
    directory.write_whole(readme, f"{before}{BEGIN}\n{tables}{END}{after}")
    print(f"{target / directory.RESULT}\n{readme}")
    if result["environment"].get("dirty"):
        print("the run's source had changes that are in no commit")
    return 0


def render_results(results: Path) -> str:
    """The tables of README.md: a row for each statement, its arms by verdict."""
    sections = []
    for path in sorted(results.glob(f"*/{directory.RESULT}")):
        sections.append(_section(json.loads(path.read_text(encoding="utf-8"))))
    return "\n".join(sections)


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


def _section(result: Record) -> str:
    name, config = result["experiment"], result["config"]
    environment = result["environment"]
    groups: dict[str, list[Record]] = {}
    for claim in result["claims"]:
        groups.setdefault(claim["id"].partition("/")[0], []).append(claim)
    seconds = sum(result["wall_seconds"].values())
    seeds = table.count(config["num_seeds"], "seed")
    if config["seed"]:
        seeds += f" of --seed={config['seed']}"
    return "\n".join(
        [
            f"### {name}",
            "",
            f"[{table.counts(result)}](results/{name}/{directory.RESULT}); "
            f"{table.controls_hold(result['controls'])}. "
            f"{config['data'] or 'No data set'}, "
            f"{seeds}, {environment['device']}, "
            f"jax {environment['jax']}, {seconds:.0f} s.",
            "",
            "| statement | ✓ supported | ✗ refuted | neither |",
            "|---|---|---|---|",
            *(_row(row, claims) for row, claims in groups.items()),
            "",
        ]
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
        words.append(f"({claim['verdict']})")
    return " ".join(word for word in words if word)


def _escape(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace("|", "\\|")
