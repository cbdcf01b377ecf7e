"""RUN/profile: a trace of what a run computes, for XProf and Perfetto.

A trace of a whole run is a file that no viewer opens. Traced are a few chunks of the
first training that comes to its second one, behind which it compiles nothing more, for
some seconds at most; or, where calls are timed before that, one untimed pass over them.
What Python does is left out: it would fill the file and slow the run down. A trace
changes no bit of what is computed.
"""

import contextlib
import sys
import threading
from collections.abc import Callable, Generator
from pathlib import Path

import jax

FOLDER = "profile"
CHUNKS = 3
SECONDS = 2.0
NOTHING = "nothing was profiled: no training came to its second chunk"


class Profiler:
    """Takes one trace of what a process computes of a run.

    Args:
      folder: RUN/profile.
      log: as of `Lab`.
    """

    def __init__(self, folder: Path, log: Callable[..., None]) -> None:
        self._folder, self._log = folder, log
        self._lock = threading.Lock()
        self._label: str | None = None  # of what is traced, or was
        self._chunks, self._is_tracing = 0, False
        self._timer = threading.Timer(SECONDS, self.close)
        self._timer.daemon = True

    @contextlib.contextmanager
    def step(self, label: str, number: int, is_last: bool) -> Generator[None]:
        """A chunk of a training, or a pass over calls that are timed.

        Args:
          label: what is trained or timed.
          number: of its steps in this process; step 0 compiles.
          is_last: whether no other step of it follows.
        """
        if number > 0:
            self._begin(label)
        with jax.profiler.StepTraceAnnotation(label, step_num=number):
            yield
        with self._lock:
            if label == self._label:
                self._chunks += 1
                if is_last or self._chunks == CHUNKS:
                    self._stop()

    def close(self) -> None:
        """Ends the trace, if it is still being taken, and writes it."""
        with self._lock:
            self._stop()

    def traces(self) -> list[Path]:
        """What Perfetto opens, of all processes that worked on the run."""
        return sorted(self._folder.rglob("perfetto_trace.json.gz"))

    def _begin(self, label: str) -> None:
        with self._lock:
            if self._label is not None:
                return
            self._label, self._is_tracing = label, True
            options = jax.profiler.ProfileOptions()
            options.python_tracer_level = 0
            jax.profiler.start_trace(
                self._folder, create_perfetto_trace=True, profiler_options=options
            )
            self._timer.start()

    def _stop(self) -> None:
        if not self._is_tracing:
            return
        self._is_tracing = False
        self._timer.cancel()
        try:
            jax.profiler.stop_trace()
        except Exception as error:  # no reason to lose what was measured
            print(f"the profile is not written: {error}", file=sys.stderr, flush=True)
            return
        trace = self.traces()[-1].relative_to(self._folder.parent)
        self._log("profile", label=self._label, trace=str(trace))
