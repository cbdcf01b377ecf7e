"""Checkpoints by orbax whose content is checked: what is restored is what was saved.

Orbax writes a step whole or not at all, but it restores a flipped bit without a word.
So a sha256 over every leaf and every fact lies beside the state, a step that does not
match it counts as damaged, and the newest sound step before it is taken. The leaves lie
in one array of bytes: less than half the time that orbax takes for 200 leaves, and one
read that fails where a file is damaged, not 200 whose failures come later.

A folder holds a step per subfolder, named by its number. One process writes to it.
"""

import dataclasses
import errno
import hashlib
import json
import math
import re
import shutil
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

from cnn_jax.training.packing import leaves_of, pack, size_of, unpack

_FORMAT = 1
_PACKED = "leaves"
_ABOUT_ERRNO = re.compile(r"\[OS error (\d+)")
# Errors that say nothing about what is on the disk.
_PASSING = {
    errno.EACCES,
    errno.EPERM,
    errno.EMFILE,
    errno.ENFILE,
    errno.EAGAIN,
    errno.ENOMEM,
    errno.EINTR,
    errno.ESTALE,
    errno.ETIMEDOUT,
}


class Unsound(Exception):
    """A step is damaged, or belongs to another training."""


@dataclasses.dataclass(frozen=True)
class Checkpoint:
    """A training after `step` steps, or chunks of them.

    Attributes:
      state: a pytree of arrays and typed keys.
      step: 0 or more.
      key: the typed key that the training's randomness is drawn from.
      config: all else that it depends on, in JSON's types.
      loss: by which the best step is found; not finite where there is none.
    """

    state: Any
    step: int
    key: jax.Array
    config: Mapping[str, Any]
    loss: float = math.nan


def save(folder: Path, checkpoint: Checkpoint) -> None:
    """Writes a step, in place of one of the same number, and waits until it is there.

    Args:
      folder: of the steps of one training.
      checkpoint: what is kept.

    Raises:
      OSError: the file system refuses.
    """
    import orbax.checkpoint as ocp

    packed = pack(checkpoint.state)
    facts: dict[str, Any] = {
        "format": _FORMAT,
        "step": checkpoint.step,
        "key": _key_facts(checkpoint.key),
        "config": checkpoint.config,
        "loss": checkpoint.loss if math.isfinite(checkpoint.loss) else None,
        "leaves": leaves_of(checkpoint.state),
    }
    facts["sha256"] = _digest(facts, packed)
    content = ocp.args.Composite(
        state=ocp.args.StandardSave({_PACKED: packed}),
        facts=ocp.args.JsonSave(facts),
    )
    path = folder.absolute() / str(checkpoint.step)
    with _checkpointer() as checkpointer:
        checkpointer.save(path, content, force=True)


def restore(folder: Path, step: int, like: Checkpoint) -> Checkpoint:
    """Reads a step and checks it.

    Args:
      folder: of the steps of one training.
      step: which one.
      like: the same training at any step: structure, shapes, dtypes, key and config
        have to be the same.

    Raises:
      Unsound: the step is damaged or of another training; the message says which.
    """
    import orbax.checkpoint as ocp

    path = folder.absolute() / str(step)
    with _checkpointer() as checkpointer:
        facts = read_facts(folder, step)
        _check_same(facts, like)
        empty = np.empty(1 + sum(map(size_of, facts["leaves"])), np.uint8)
        content = ocp.args.Composite(state=ocp.args.StandardRestore({_PACKED: empty}))
        try:
            packed = checkpointer.restore(path, content)["state"][_PACKED]
        except Exception as error:  # each layer of the format has its own
            if _may_pass(error):
                raise
            raise Unsound(f"damaged ({type(error).__name__})") from error
    if facts["step"] != step or _digest(facts, packed) != facts["sha256"]:
        raise Unsound("damaged (its sha256 is another)")
    loss = math.nan if facts["loss"] is None else facts["loss"]
    state = unpack(packed, like.state, facts["leaves"])
    return Checkpoint(state, step, like.key, facts["config"], loss)


def newest(
    folder: Path, like: Checkpoint, warn: Callable[[int, str], None]
) -> Checkpoint | None:
    """The newest step that is sound, or None.

    Args:
      folder: of the steps of one training.
      like: as of `restore`.
      warn: `warn(step, reason)`, for each newer one that is not sound.
    """
    for step in reversed(steps(folder)):
        try:
            return restore(folder, step, like)
        except Unsound as reason:
            warn(step, str(reason))
    return None


def steps(folder: Path) -> list[int]:
    """The numbers of the steps that are there, sound or not, in ascending order."""
    if not folder.is_dir():
        return []
    return sorted(int(path.name) for path in folder.iterdir() if _is_step(path))


def _is_step(path: Path) -> bool:
    return re.fullmatch("[0-9]+", path.name) is not None


def prune(folder: Path, last: int, unsound: Collection[int] = ()) -> None:
    """Keeps the last steps and the one of the lowest loss, and no half-written one.

    Args:
      folder: of the steps of one training.
      last: how many.
      unsound: steps that are kept in no case.
    """
    found = [step for step in steps(folder) if step not in unsound]
    kept = {*found[-last:]}
    losses = {step: _loss(folder, step) for step in found}
    if losses:
        kept.add(min(losses, key=lambda step: losses[step]))
    for path in folder.iterdir():
        if not (_is_step(path) and int(path.name) in kept):
            shutil.rmtree(path, ignore_errors=True)


def read_facts(folder: Path, step: int) -> dict[str, Any]:
    """What lies beside the state of a step: step, key, config, loss, leaves, sha256.

    Raises:
      Unsound: it cannot be read.
    """
    import orbax.checkpoint as ocp

    only_facts = ocp.args.Composite(facts=ocp.args.JsonRestore())
    try:
        with _checkpointer() as checkpointer:
            path = folder.absolute() / str(step)
            facts = checkpointer.restore(path, only_facts)["facts"]
            names = {"format", "step", "key", "config", "loss", "leaves", "sha256"}
            if set(facts) != names or facts["format"] != _FORMAT:
                raise Unsound("damaged (no checkpoint of this format)")
            return facts
    except Unsound:
        raise
    except Exception as error:  # each layer of the format has its own
        if _may_pass(error):
            raise
        raise Unsound(f"damaged ({type(error).__name__})") from error


def _checkpointer() -> Any:
    """Orbax on this process alone: it would wait for all of several."""
    import orbax.checkpoint as ocp

    own = jax.process_index()
    alone = ocp.options.MultiprocessingOptions(primary_host=own, active_processes={own})
    handler = ocp.CompositeCheckpointHandler(
        composite_options=ocp.CompositeOptions(multiprocessing_options=alone),
        state=ocp.StandardCheckpointHandler(multiprocessing_options=alone),
        facts=ocp.JsonCheckpointHandler(multiprocessing_options=alone),
    )
    return ocp.Checkpointer(handler, multiprocessing_options=alone)


def state_digest(state: Any) -> str:
    """sha256 of a pytree: names, dtypes, shapes and bits of its leaves."""
    return _digest({"leaves": leaves_of(state)}, pack(state))


def _may_pass(error: Exception) -> bool:
    """Whether an error tells of the machine at the moment, not of the step."""
    number = getattr(error, "errno", None)
    if found := _ABOUT_ERRNO.search(str(error)):  # within a text of tensorstore's
        number = int(found[1])
    return isinstance(error, MemoryError | PermissionError) or number in _PASSING


def _check_same(facts: Mapping[str, Any], like: Checkpoint) -> None:
    """Tells another training, and damaged facts, before any array is read."""
    expected = {
        "key": _key_facts(like.key),
        "config": json.loads(json.dumps(like.config)),
        "leaves": leaves_of(like.state),
    }
    for name, value in expected.items():
        mine = facts[name]
        if name == "leaves":  # what jit returns may be weakly typed where it began not
            mine, value = map(_without_weak, (mine, value))
        if mine != value:
            raise Unsound(f"of another training or damaged: another {name}")


def _without_weak(leaves: Any) -> Any:
    try:
        return [{**leaf, "weak": False} for leaf in leaves]
    except TypeError:
        raise Unsound("damaged (no leaves)") from None


def _loss(folder: Path, step: int) -> float:
    """For comparison: infinite where there is none."""
    try:
        loss = read_facts(folder, step)["loss"]
    except Unsound:
        return math.inf
    return loss if isinstance(loss, float) else math.inf


def _key_facts(key: jax.Array) -> dict[str, Any]:
    data = np.asarray(jax.random.key_data(key)).tolist()
    return {"dtype": str(key.dtype), "data": data}


def _digest(facts: Mapping[str, Any], packed: np.ndarray) -> str:
    """sha256 of all facts but the digest itself, and of the bits of the state."""
    told = {name: value for name, value in facts.items() if name != "sha256"}
    total = hashlib.sha256(json.dumps(told, sort_keys=True).encode())
    total.update(packed.data)
    return total.hexdigest()
