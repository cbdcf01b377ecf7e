"""How a command ends: exit codes, and the one line that says why.

0 it ran, 1 a replay differs, 2 usage, 3 device or lock not available, 4 not finite,
5 disk or memory, 6 data or run directory unusable, 7 a peer process lost, 130 and 143
interrupted and terminated.
"""

import errno

DIFFERS = 1
USAGE = 2
UNAVAILABLE = 3
NOT_FINITE = 4
EXHAUSTED = 5
UNUSABLE = 6
PEER_LOST = 7
INTERRUPTED = 130
TERMINATED = 143

_STORAGE = {
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EROFS,
    errno.EACCES,
    errno.EPERM,
    errno.EFBIG,
    errno.EIO,
    errno.ENAMETOOLONG,
    errno.ENOMEM,
}


class CommandError(Exception):
    """Ends the command with a code and one clear line instead of a traceback."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


class Terminated(KeyboardInterrupt):
    """SIGTERM, raised where Python stands, as SIGINT raises KeyboardInterrupt."""


def explain(error: BaseException) -> CommandError | None:
    """What a user can be told about an error; None for a bug."""
    match error:
        case CommandError():
            return error
        case Terminated():
            return CommandError(TERMINATED, "terminated")
        case KeyboardInterrupt():
            return CommandError(INTERRUPTED, "interrupted")
        case MemoryError():
            return CommandError(EXHAUSTED, "out of memory")
        case OSError() if error.errno in _STORAGE:
            where = error.filename or "while writing"
            return CommandError(EXHAUSTED, f"{error.strerror}: {where}")
    text = str(error).strip()
    if "RESOURCE_EXHAUSTED" in text:  # how XLA says that a device's memory ended
        return CommandError(EXHAUSTED, text.splitlines()[0])
    return None
