"""Where the seconds of a run go."""

import time
from typing import Any

import jax

# Lowering and compiling; tracing is left out, since nested functions report it twice.
_COMPILING = (
    "/jax/core/compile/jaxpr_to_mlir_module_duration",
    "/jax/core/compile/backend_compile_duration",
)


class Clock:
    """Splits the seconds since `began` into imports, compile, run and report.

    Seconds in which two threads compile at once count once.
    """

    def __init__(self, began: float) -> None:
        self.seconds = dict.fromkeys(("imports", "compile", "run", "report"), 0.0)
        self._last = began
        self._compiling = 0.0
        self._compiled_until = began
        jax.monitoring.register_event_duration_secs_listener(self._hear)

    def stop(self, stage: str) -> None:
        """Ends a stage; what was spent compiling in it counts as that."""
        now = time.perf_counter()
        self.seconds[stage] += now - self._last - self._compiling
        self.seconds["compile"] += self._compiling
        self._last, self._compiling = now, 0.0

    def _hear(self, event: str, duration_secs: float, **_: Any) -> None:
        if event in _COMPILING:
            now = time.perf_counter()
            start = max(now - duration_secs, self._compiled_until)
            self._compiling += max(0.0, now - start)
            self._compiled_until = now
