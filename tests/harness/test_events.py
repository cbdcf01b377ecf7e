"""The log's schema: what runs write obeys it, and what cannot be read is told."""

import json
from pathlib import Path
from typing import Any

import pytest

from experiments.harness import directory, events
from experiments.harness.exits import CommandError
from tests.harness import toys
from tests.harness.toys import Launch

TYPES = {"text": str, "whole": int, "number": int | float, "object": dict}
ALWAYS = {"event", "seconds"}
SEEDS, CHUNKS = 2, 4


def problems(event: dict[str, Any], config: set[str]) -> list[str]:
    """What a logged event has otherwise than the schema says."""
    name, fields = event["event"], events.EVENTS[event["event"]].fields
    found = [f"{name}: no {field}" for field in {*fields, *ALWAYS} - set(event)]
    found += [
        f"{name}: {field} is no {kind}"
        for field, kind in fields.items()
        if not isinstance(event.get(field), TYPES[kind])
    ]
    others = set(event) - set(fields) - ALWAYS
    if name in ("start", "resume"):
        others ^= config - {"experiment"}
    elif name == "chunk":
        others = {each for each in others if not _is_by_seed(event[each])}
    return found + [f"{name}: {other}" for other in others]


def _is_by_seed(values: Any) -> bool:
    return (
        isinstance(values, list)
        and len(values) == SEEDS
        and all(each is None or isinstance(each, float) for each in values)
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return toys.study(tmp_path)


def test_every_event_of_a_run_that_was_ended_and_resumed_obeys_the_schema(
    launch: Launch, out: Path
):
    words = (f"--num_seeds={SEEDS}", f"--chunks={CHUNKS}", "--checkpoint_seconds=0")
    ended = launch("--exp=study", *words, f"--out={out}", "--signals=15 2")
    assert ended.code == 143
    (run,) = out.glob("study/*")
    for state in run.glob("checkpoints/d-*/3/*/d/*"):
        state.write_bytes(b"damaged")
    assert launch(f"--resume={run}", "--profile").code == 0
    config = set(json.loads((run / "config.json").read_text()))
    log = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    assert [problem for event in log for problem in problems(event, config)] == []
    told = {event["event"] for event in log}
    assert told == set(events.EVENTS) - {"choice"}  # tests/harness/test_choices.py
    assert log[0]["event"] == "start"
    assert log[0]["version"] == events.VERSION
    chunks = [event for event in log if event["event"] == "chunk"]
    assert {event["steps"] / event["chunk"] for event in chunks} == {10}


def test_parts_that_a_process_has_streamed_are_not_compared():
    """Those of a second process are known as well, the first counts where both are."""
    held = {"test": "a", "train": "b"}
    told = [
        {"event": "start", "examples": {"test": "a"}},
        {"event": "drawn", "examples": {"test": "x"}},
        {"event": "resume", "examples": held},
    ]
    assert events.examples(told[1:2]) is None
    assert events.examples(told) == held
    assert (
        events.others({"test": "a"}, held) == events.others(held, {"test": "a"}) == []
    )
    assert events.others(held, {"test": "a", "train": "c"}) == ["train"]


def written(run: Path, *lines: dict[str, Any]) -> Path:
    text = "".join(f"{json.dumps({'seconds': 0.5, **line})}\n" for line in lines)
    (run / directory.LOG).write_text(text)
    return run


@pytest.mark.parametrize("version", [events.VERSION + 1, "2.0"])
@pytest.mark.parametrize("event", ["start", "resume"])
def test_a_newer_version_is_refused_in_one_line(
    tmp_path: Path, version: object, event: str
):
    begun = {"event": "start", "version": events.VERSION}
    run = written(tmp_path, *[begun, {"event": event, "version": version}])
    with pytest.raises(CommandError) as refused:
        directory.read_log(run)
    assert refused.value.code == 6
    assert str(refused.value) == (
        f"{run}/log.jsonl is of version {version}; this program reads versions up to "
        f"{events.VERSION}: take a newer one"
    )


def test_a_log_without_a_version_is_read(tmp_path: Path):
    run = written(tmp_path, {"event": "start"}, {"event": "drawn", "version": 99})
    assert [each["event"] for each in directory.read_log(run)] == ["start", "drawn"]


@pytest.mark.parametrize(
    ("line", "is_needed"),
    [
        (b'{"event": "chunk", "seconds": 1.5, "label": "a"', False),
        (b'{"event": "chunk", "seconds": }{"event": "choice", "seconds": 2}', True),
        (b'{"event": "chunk", "seco\0\0\0, "of": 12}', True),
        (b'{"event": "choice", "seconds": 2', True),
        (b'{"event": "chonk", "seconds": 2', True),
        (b'{"event": 3, "seconds": 2}', True),
        (b'["event"]', True),
        (b"\xff\xfe", True),
        (b"", True),
    ],
)
def test_of_a_damaged_line_is_known_whether_a_run_depends_on_it(
    tmp_path: Path, line: bytes, is_needed: bool
):
    start = b'{"event": "start", "seconds": 0}'
    (tmp_path / "log").write_bytes(b"\n".join([start, line, start, b'{"torn']))
    found, damaged = events.read(tmp_path / "log")
    assert len(found) == 2
    assert damaged == [events.Damaged(2, is_needed)]


def test_the_schema_stands_in_the_guide_for_contributors():
    guide = (Path(__file__).parents[2] / "CONTRIBUTING.md").read_text()
    begin, end = "<!-- log -->\n", "\n<!-- /log -->"
    shown = guide[guide.index(begin) + len(begin) : guide.index(end)]
    assert shown == events.table()
