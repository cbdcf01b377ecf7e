"""From the words behind `python launch.py` to an exit code."""

import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from experiments.harness import exits, flags, intents, modules, peers, signals
from experiments.harness.supervision import supervised


def main(argv: Sequence[str], folder: Path = modules.FOLDER) -> int:
    """Does what the words say.

    Args:
      argv: the words, without the program's name.
      folder: where the experiments are.

    Returns:
      The exit code (see `exits`). What a user can do something about is one line on
      stderr; only a bug shows a traceback.
    """
    try:
        command = flags.parse(argv, folder)
    except Exception as error:
        return _tell(error)
    if isinstance(command, intents.Run | intents.Resume) and command.peers:
        return supervised(lambda: _main(command, argv, folder))
    return _main(command, argv, folder)


def _main(command: intents.Command, argv: Sequence[str], folder: Path) -> int:
    with signals.handled():
        try:
            code = _obey(command, argv, folder)
            sys.stdout.flush()
            return code
        except BrokenPipeError:  # whoever read the output has seen enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 0
        except BaseException as error:
            code = _tell(error)
        if code in (exits.INTERRUPTED, exits.TERMINATED):
            signals.leave_threads(code)  # a second signal may come meanwhile
        return code


def _tell(error: BaseException) -> int:
    told = exits.explain(error)
    if told is None:
        raise error
    print(f"launch.py: {told}", file=sys.stderr)
    return told.code


def _obey(command: intents.Command, argv: Sequence[str], folder: Path) -> int:
    match command:
        case intents.Say(text):
            print(text)
            return 0
        case intents.Publish(run):
            from experiments.harness import publish

            return publish.publish(run, folder=folder)
        case intents.Replay(run, data_dir, stream):
            from experiments.harness import replay

            return replay.replay(run, data_dir, folder, stream)
        case intents.Sweep():
            from experiments.harness import sweep

            return sweep.run(command, argv, time.perf_counter(), _tell)
        case intents.Resume(run) if (run / intents.SWEEP).is_file():
            from experiments.harness import sweep

            return sweep.resumed(command, argv, folder, time.perf_counter(), _tell)
        case intents.Run() | intents.Resume():
            return _run(command, argv, folder)


def _run(
    command: intents.Run | intents.Resume, argv: Sequence[str], folder: Path
) -> int:
    """Runs what is asked for, as the first of several processes or as another one."""
    began = time.perf_counter()
    from experiments.harness import environment, resume

    if isinstance(command, intents.Resume):
        requests = (resume.requested(command, folder),)
    else:
        requests = command.requests
    environment.prepare(requests[0].device, requests[0].num_threads)
    with peers.joined(command.peers):
        if peers.is_first():
            begun = _begun(command, requests)
            return _run_each(requests, begun, argv, began)
        from experiments.harness import run  # imports jax, which reads what is prepared

        for request in requests:
            run.follow(request, began)
        return 0


def _begun(
    command: intents.Run | intents.Resume, requests: Sequence[intents.Request]
) -> list[Path | None]:
    """The runs that are gone on with, None for a new one, which could be written."""
    from experiments.harness import directory, event_files, resume

    event_files.check(requests[0])
    if isinstance(command, intents.Resume):
        return [command.run]
    begun = [resume.latest(each) if command.is_latest else None for each in requests]
    for request, run in zip(requests, begun, strict=True):
        if run is None:
            directory.check_writable(Path(request.out))
    return begun


def _run_each(
    requests: Sequence[intents.Request],
    begun: Sequence[Path | None],
    argv: Sequence[str],
    began: float,
) -> int:
    """Runs one experiment after the other; the first failure gives the code.

    A failure of one of several does not keep the others from running, but a full
    disk and a signal do, and with several processes every failure.
    """
    from experiments.harness import resume

    code = 0
    for request, run in zip(requests, begun, strict=True):
        try:
            resume.go_on(run, request, argv, began)
        except Exception as error:
            if peers.several():
                raise
            failed = _tell(error)
            code = code or failed
            if failed == exits.EXHAUSTED:
                break
        peers.say("end", True)
        peers.next_experiment()
        began = time.perf_counter()
    return code
