"""Minimization until the gradient is small: L-BFGS, and then Newton's method.

A step counts, a point that is only tried does not: the gradient of a trial on a plateau
may be as small as that of a minimum.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import scipy.optimize

TOLERANCE = 1e-3  # of the gradient's norm at the start
MEMORY = 20  # pairs that L-BFGS keeps
METHODS = ("L-BFGS", "Newton", "stalled")

Objective = Callable[[np.ndarray], tuple[Any, Any]]
Hessian = Callable[[np.ndarray], Any]
Budget = tuple[int, int]  # iterations of L-BFGS, and then of Newton's method


class End(NamedTuple):
    """Where a minimization stopped.

    Attributes:
      params: [P].
      left: norm of the gradient there over that at the start.
      method: the one that arrived, or "stalled".
      calls: evaluations of the gradient.
    """

    params: np.ndarray
    left: float
    method: str
    calls: int


class _Visited:
    """The objective, whose gradient is remembered where it was taken last."""

    def __init__(self, objective: Objective, start: np.ndarray) -> None:
        self._objective = objective
        self._first = np.linalg.norm(objective(start)[1])
        self._at = np.full_like(start, np.nan)
        self._left = np.inf
        self.calls = 0

    def evaluate(self, params: np.ndarray) -> tuple[float, np.ndarray]:
        loss, gradient = self._objective(params)
        self.calls += 1
        self._at = params.copy()
        self._left = float(np.linalg.norm(gradient) / self._first)
        return float(loss), np.asarray(gradient)

    def left(self, params: np.ndarray) -> float:
        """Norm of the gradient over that at the start."""
        if not np.array_equal(params, self._at):
            self.evaluate(params)
        return self._left

    def stop(self, intermediate_result: scipy.optimize.OptimizeResult) -> None:
        """After every step that was taken; points that are only tried do not count."""
        if self.left(intermediate_result.x) < TOLERANCE:
            raise StopIteration


def minimize(
    objective: Objective, hessian: Hessian, start: np.ndarray, budget: Budget
) -> End:
    """L-BFGS, then Newton's method, until TOLERANCE of the gradient is left.

    Args:
        objective: params [P] -> (loss, gradient [P]).
        hessian: params [P] -> [P, P].
        start: [P].
        budget: the most iterations of each.
    """
    visited = _Visited(objective, start)
    at = start
    most, most_of_newton = budget
    limits = {"maxiter": most, "maxfun": 20 * most, "maxcor": MEMORY, "ftol": 0}
    newton = {"maxiter": most_of_newton, "gtol": 0}
    methods = {
        "L-BFGS": ("L-BFGS-B", {}, {**limits, "gtol": 0}),
        "Newton": ("trust-exact", {"hess": hessian}, newton),
    }
    for name, (method, more, options) in methods.items():
        at = scipy.optimize.minimize(
            visited.evaluate,
            at,
            jac=True,
            method=method,
            options=options,
            callback=visited.stop,
            **more,
        ).x
        if visited.left(at) < TOLERANCE:
            return End(at, visited.left(at), name, visited.calls)
    return End(at, visited.left(at), METHODS[-1], visited.calls)
