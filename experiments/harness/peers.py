"""Several processes that run one study together, each with the devices of its host.

`--coordinator=HOST:PORT --num_processes=N --process_id=I`, or what jax finds out itself
under Slurm and on TPU pods. All processes run the same experiment; trainings are spread
over the devices of all (see `placement`), the rest each computes itself. Process 0, the
first, alone writes and restores; the others follow it, and all compare what they have
measured. How a process ends is told to the others, which end in the same way.

jax ends a process whose peer is lost, whatever it is about: see `supervision`.

Nothing here imports jax before `joined` does; without it a process is alone.
"""

import contextlib
import dataclasses
import hashlib
import json
import os
import sys
import threading
import time
from collections.abc import Generator, Sequence
from typing import Any

from experiments.harness import exits
from experiments.harness.exits import DIFFERS, PEER_LOST, CommandError

FLAGS = ("coordinator", "num_processes", "process_id")
PATIENCE = 20  # seconds that a process waits for the others to come, or to show life
GRACE = 5.0  # seconds that a process has to end itself after another has failed
_POLL = 0.25
_SLURM = ("SLURM_JOB_ID", "SLURM_STEP_NODELIST", "SLURM_PROCID", "SLURM_LOCALID")
_FAILED = "failed"
LOST = "a peer process was lost; --resume goes on, with fewer as well"
_BACKENDS = ("Gloo", "NCCL", "coordination service", "CoordinationService")


@dataclasses.dataclass(frozen=True)
class Peers:
    """Who runs together; None: jax finds it out."""

    coordinator: str | None = None
    num_processes: int | None = None
    process_id: int | None = None


@dataclasses.dataclass
class _Joined:
    """This process among the others, and which of several experiments is run."""

    client: Any  # of jax's key-value store
    index: int
    count: int
    number: int = 0
    agree: bool = False  # all have measured the same, and one process is left to write


_joined: _Joined | None = None


def is_cluster() -> bool:
    """Whether Slurm has started several processes."""
    started = all(name in os.environ for name in _SLURM)
    return started and int(os.environ.get("SLURM_NTASKS", 1)) > 1


def several() -> bool:
    return _joined is not None and _joined.count > 1


def is_first() -> bool:
    return _joined is None or _joined.index == 0


@contextlib.contextmanager
def joined(peers: Peers | None) -> Generator[None]:
    """Connects this process to its peers; tells them if the block fails.

    Args:
      peers: who runs together; None: nobody else.

    Raises:
      CommandError: with code 7, if not all of them come, or if one is lost.
    """
    global _joined
    if peers is None or not _connect(peers):
        yield
        return
    import jax
    from jax._src import distributed  # orbax as well takes the store from there

    state = distributed.global_state
    _joined = _Joined(state.client, state.process_id, state.num_processes)
    ended = threading.Event()
    threading.Thread(target=_watch, args=(_joined, ended), daemon=True).start()
    try:
        yield
        ended.set()
        jax.distributed.shutdown()  # waits for the others
    except BaseException as error:
        told = _translated(error, _joined)
        ended.set()
        _set(_joined, _FAILED, {"code": told.code, "message": str(told)})
        _leave(_joined)
        if _is_of_peers(error):
            raise told from None
        raise
    finally:
        _joined = None


def _connect(peers: Peers) -> bool:
    import jax

    settings = {
        "initialization_timeout": PATIENCE,
        "heartbeat_timeout_seconds": PATIENCE,
        "shutdown_timeout_seconds": PATIENCE,
    }
    jax.config.update("jax_enable_preemption_service", False)  # it takes SIGTERM away
    try:
        if peers.coordinator is None:
            jax.distributed.initialize(**settings)
        else:
            jax.distributed.initialize(
                *dataclasses.astuple(peers),
                cluster_detection_method="deactivate",
                **settings,
            )
    except (ValueError, OSError, ImportError):  # the last two: of asking a pod's host
        if peers.coordinator is not None or is_cluster():
            raise
        return False  # one TPU, which belongs to no pod
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[0]
        message = f"no connection to the other processes: {reason}"
        if "DEADLINE_EXCEEDED" in reason:
            message = f"not all processes came within {PATIENCE} s"
        raise CommandError(PEER_LOST, message) from None
    return True


def _translated(error: BaseException, joined: _Joined) -> CommandError:
    """How this process ends: as another did, where that is why a program failed."""
    if told := exits.explain(error):
        return told
    if not _is_of_peers(error):
        text = f"{type(error).__name__}: {error}".strip()
        return CommandError(1, text.splitlines()[0])
    for _ in range(8):
        if failed := _get(joined, _FAILED):
            return CommandError(failed["code"], failed["message"])
        time.sleep(_POLL)
    return CommandError(PEER_LOST, f"{LOST} ({str(error).strip().splitlines()[0]})")


def _is_of_peers(error: BaseException) -> bool:
    """Whether a program failed because another process has ended, as each backend says.

    Gloo's is a ValueError where numpy waits for the array.
    """
    text = str(error)
    return exits.explain(error) is None and any(name in text for name in _BACKENDS)


def _watch(joined: _Joined, ended: threading.Event) -> None:
    """Ends a process that waits within a program for one that has failed."""
    while joined.agree or not (failed := _get(joined, _FAILED)):
        if ended.wait(4 * _POLL):
            return
    if ended.wait(GRACE):
        return
    tell(failed["message"])
    _leave(joined)
    os._exit(failed["code"])


def tell(message: str) -> None:
    """One line on stderr, if it is still there."""
    with contextlib.suppress(OSError, ValueError):
        print(f"launch.py: {message}", file=sys.stderr, flush=True)


def _leave(joined: _Joined) -> None:
    """Waits a little until all are about to end, since a connection that is lost amid a
    collective ends a process at once; the first, who keeps the store, ends last."""
    _set(joined, f"left/{joined.index}", True)
    deadline = time.monotonic() + 2 * GRACE
    for index in {*range(joined.count)} - {joined.index}:
        while not _get(joined, f"left/{index}") and time.monotonic() < deadline:
            time.sleep(_POLL)
    if joined.index == 0:
        time.sleep(4 * _POLL)


def _set(joined: _Joined, key: str, value: Any) -> None:
    """Sets what is not set yet; a store that is lost takes nothing."""
    with contextlib.suppress(RuntimeError):
        joined.client.key_value_set(key, json.dumps(value))


def _get(joined: _Joined, key: str) -> Any:
    """What is set, or None."""
    try:
        return json.loads(joined.client.key_value_try_get(key))
    except RuntimeError:
        return None


def say(key: str, value: Any) -> None:
    """Tells the others something of the experiment that is run, in JSON's types."""
    if _joined is not None:
        _set(_joined, f"{_joined.number}/{key}", value)


def hear(*keys: str) -> tuple[str, Any]:
    """Waits for what another process says under one of the keys: which one, and what.

    Raises:
      CommandError: another process has failed, in the way it did.
    """
    assert _joined is not None
    while True:
        for key in keys:
            if (value := _get(_joined, f"{_joined.number}/{key}")) is not None:
                return key, value
        _raise_if_failed(_joined)
        time.sleep(_POLL)


def _raise_if_failed(joined: _Joined) -> None:
    if failed := _get(joined, _FAILED):
        raise CommandError(failed["code"], failed["message"])


def next_experiment() -> None:
    """What is said from now on is of the next experiment."""
    if _joined is not None:
        _joined.number, _joined.agree = _joined.number + 1, False


def check_same(digest: str) -> None:
    """Compares what all processes have measured.

    Raises:
      CommandError: with code 1, if it is not the same.
    """
    if _joined is None:
        return
    say(f"digest/{_joined.index}", digest)
    found = [hear(f"digest/{index}")[1] for index in range(_joined.count)]
    check_alike(found, "has measured something else")
    _joined.agree = True


def check_alike(found: Sequence[Any], what: str) -> None:
    """Whether all processes have the same.

    Raises:
      CommandError: with code 1, naming the first one that has not, and what it did.
    """
    for index, other in enumerate(found):
        if other != found[0]:
            raise CommandError(DIFFERS, f"unlike process 0, process {index} {what}")


def gather(row: Sequence[int]) -> list[list[int]]:
    """The rows of all processes, which wait for each other here."""
    if not several():
        return [list(row)]
    import numpy as np
    from jax.experimental import multihost_utils

    return multihost_utils.process_allgather(np.asarray(row, np.int32)).tolist()


def from_first(array: Any) -> Any:
    """An array of bytes as the first process has it; all give one of the same size."""
    from jax.experimental import multihost_utils

    return multihost_utils.broadcast_one_to_all(array)


def key_of(problem: str) -> str:
    """Under which the choice of an algorithm is told."""
    return f"choice/{hashlib.sha256(problem.encode()).hexdigest()}"
