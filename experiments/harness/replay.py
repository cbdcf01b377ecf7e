"""Repeats a run and compares: the same config has to give the same bits.

Where versions or the kind of device are others than the run's, no bits can be promised,
and claims are compared in place of metrics, within these tolerances: a law has its
verdict again; a count its number within one part in a million; of a conditional claim
no part is supported here and refuted there, and the 95 % intervals, which are of the
same seeds, overlap.
"""

import dataclasses
import math
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from experiments.harness import (
    directory,
    environment,
    exits,
    flags,
    intents,
    options,
    table,
)
from experiments.harness.exits import UNUSABLE, CommandError

# A claim's words and its place among the run's claims may change; its numbers may not.
_NOT_COMPARED = {"note", "measured", "p", "survives_holm"}
_OPPOSITE = {"supported", "refuted"}

Record = Mapping[str, Any]


def replay(
    run: Path, data_dir: str | None, folder: Path, stream: int | None = None
) -> int:
    """Repeats a run from its config.json and compares it with its result.

    Compared are the config, every metric but measured times, bit for bit, and every
    claim; in another environment the claims alone, within tolerances. Algorithms that
    the run chose by measuring are taken as it chose them. The replay itself leaves
    nothing behind.

    Args:
      run: the run directory.
      data_dir: where the data lies now, if not where it lay then.
      folder: where the experiments are.
      stream: as of --stream, whatever the run did.

    Returns:
      0 if all is the same, else 1, after saying what differs.

    Raises:
      CommandError: with code 3 if the run is still going on, 6 if the directory is
        damaged, or if the data set holds other examples now.
    """
    began = time.perf_counter()
    with directory.finished(run) as result:
        config = directory.read_json(run / directory.CONFIG)
        request = request_of(run, config, folder)
        request = dataclasses.replace(request, stream=stream)
        if data_dir is not None:
            request = dataclasses.replace(request, data_dir=data_dir)
        environment.prepare(request.device, request.num_threads)
        repeated, changed_metrics, timed = _repeat(run, request, result, began)
    now, then = repeated["environment"], result["environment"]
    recorded = {"experiment": result["experiment"], **result["config"]}
    changed = environment.changes(intents.study(recorded), intents.study(config))
    lines = [f"config: {line}" for line in changed]
    is_elsewhere = environment.deciding(then) != environment.deciding(now)
    number = len(result["claims"])
    if is_elsewhere and changed_metrics:
        lines += _changed_claims(result, repeated, timed, _disagrees)
        others = table.count(len(changed_metrics), "metric")
        same = (
            f"another environment: {others} with other bits, all {number} claims agree"
        )
    else:
        lines += [f"metric {line}" for line in changed_metrics]
        lines += _changed_claims(result, repeated, timed, _changed)
        same = f"bit-identical, all {number} verdicts the same"
    return _told(run, lines, environment.differences(then, now), same)


def _told(run: Path, lines: list[str], environments: list[str], same: str) -> int:
    """Prints what differs, or that nothing does; returns the exit code."""
    surroundings = [f"environment: {line}" for line in environments]
    if lines:
        print("\n".join([f"{run} differs from its replay", *lines, *surroundings]))
        return exits.DIFFERS
    print("\n".join([*surroundings, same]))
    return 0


def request_of(run: Path, config: Record, folder: Path) -> intents.Request:
    """The request that config.json stands for, checked like a command line."""
    name = config.get("experiment")
    words = [f"--exp={name}"]
    for field, value in config.items():
        if field != "experiment" and value is not None:
            words.append(f"--{field}={options.as_word(value)}")
    try:
        command = flags.parse(words, folder)
    except CommandError as error:
        path = run / directory.CONFIG
        raise CommandError(UNUSABLE, f"{path} is damaged: {error}") from None
    if not isinstance(command, intents.Run) or name == options.ALL:
        raise CommandError(UNUSABLE, f"{run / directory.CONFIG} is damaged")
    return command.requests[0]


def _repeat(
    run: Path, request: intents.Request, result: Record, began: float
) -> tuple[Record, list[str], set[str]]:
    """The repeated result, a line per metric that differs, the names of timings."""
    from experiments.harness import metrics, recording
    from experiments.harness import run as running
    from experiments.harness.progress import Progress

    recorded, known = recorded_metrics(run, result), _recorded_choices(run)
    progress = Progress(sys.stderr)
    with running.clear_failures(), tempfile.TemporaryDirectory() as temporary:
        bench = running.prepare(request, began)
        log = directory.read_log(run)
        recording.check_examples(request, run, log, bench.examples)
        print(running.first_line(bench), flush=True)
        try:
            path = Path(temporary)
            outcome = running.measure(bench, running.ignore, progress, path, known)
        finally:
            progress.close()
    timed = {
        name
        for name, each in outcome.metrics.items()
        if isinstance(each, metrics.Timings)
    }
    changed = metrics.differences(recorded, outcome.metrics)
    return running.summarize(bench, outcome), changed, timed


def recorded_metrics(run: Path, result: Record) -> Mapping[str, Any]:
    """The metrics of the run, whose digest has to be the recorded one."""
    from experiments.harness import metrics

    path = run / directory.METRICS
    try:
        recorded = metrics.load(path)
    except FileNotFoundError:
        raise CommandError(UNUSABLE, f"{path} is absent") from None
    except Exception:  # numpy, zipfile and zlib each have their own way to say so
        raise CommandError(UNUSABLE, f"{path} is damaged") from None
    if metrics.digest(recorded) != result["metrics_digest"]:
        raise CommandError(UNUSABLE, f"{path} is damaged: its digest is another")
    return recorded


def _recorded_choices(run: Path) -> list[Any]:
    """The algorithms that were measured to be the fastest, where any were."""
    from cnn_jax import Choice

    path = run / directory.CHOICES
    if not path.exists():
        return []
    try:
        return [Choice(**each) for each in directory.read_json(path)["choices"]]
    except (KeyError, TypeError):
        raise CommandError(UNUSABLE, f"{path} is damaged") from None


def _changed_claims(
    result: Record,
    repeated: Record,
    timed: set[str],
    compare: Callable[[Record, Record, bool], str],
) -> Iterator[str]:
    """A line per claim and control that `compare(old, new, is_timed)` tells of."""
    for kind in ("claims", "controls"):
        old = {each["id"]: each for each in result[kind]}
        new = {each["id"]: each for each in repeated[kind]}
        for name in {**old, **new}:
            if name not in old or name not in new:
                yield f"{name} is in one of the two only"
                continue
            is_timed = bool({rule["metric"] for rule in _rules(new[name])} & timed)
            if line := compare(old[name], new[name], is_timed):
                yield f"{name}: {line}"


def _rules(claim: Record) -> list[Record]:
    return claim.get("parts", [claim])


def _changed(old: Record, new: Record, is_timed: bool) -> str:
    """What differs in a claim; of a timing only supported against refuted counts."""
    changed = [
        name
        for name in {**old, **new}
        if name not in _NOT_COMPARED and old.get(name) != new.get(name)
    ]
    if "verdict" in changed and (not is_timed or _are_opposite(old, new)):
        return f"verdict was {old['verdict']}, is {new['verdict']}"
    return f"{', '.join(changed)} differ" if changed and not is_timed else ""


def _disagrees(old: Record, new: Record, is_timed: bool) -> str:
    """What of a claim is beyond the tolerances of another environment."""
    pairs = list(zip(_rules(old), _rules(new), strict=True))
    is_exact = new["kind"] != "conditional"
    if _are_opposite(old, new) or (is_exact and old["verdict"] != new["verdict"]):
        return f"verdict was {old['verdict']}, is {new['verdict']}"
    if is_timed or new["kind"] == "law":
        return ""
    for rule, again in pairs:
        if _are_opposite(rule, again):
            return f"{rule['metric']} was {rule['verdict']}, is {again['verdict']}"
        if not _are_near(rule, again, is_exact):
            return f"{rule['metric']} was {rule['measured']}, is {again['measured']}"
    return ""


def _are_opposite(old: Record, new: Record) -> bool:
    return {old["verdict"], new["verdict"]} == _OPPOSITE


def _are_near(old: Record, new: Record, is_exact: bool) -> bool:
    """Whether numbers are equal to a millionth, or 95 % intervals overlap."""
    names = ("mean", "mean") if is_exact else ("ci_low", "ci_high")
    ends = [each[name] for each in (old, new) for name in names]
    if None in ends:
        return True
    if is_exact:
        return math.isclose(ends[0], ends[2], rel_tol=1e-6)
    return max(ends[0], ends[2]) <= min(ends[1], ends[3])
