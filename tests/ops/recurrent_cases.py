"""Recurrent cells to test, each with params, a carry and inputs from a seed."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import jax
import numpy as np

from cnn_jax import ops
from tests import reference_recurrent

KINDS = {
    "rnn": (ops.rnn, ops.rnn_step, reference_recurrent.rnn, ops.init_rnn),
    "lstm": (ops.lstm, ops.lstm_step, reference_recurrent.lstm, ops.init_lstm),
    "gru": (ops.gru, ops.gru_step, reference_recurrent.gru, ops.init_gru),
}


@dataclass(frozen=True)
class Case:
    """A cell with options, of the step and of the params' tree."""

    kind: str
    options: dict[str, Any] = field(default_factory=dict)
    tree: dict[str, Any] = field(default_factory=dict)

    @property
    def layer(self) -> Callable[..., Any]:
        return partial(KINDS[self.kind][0], **self.options)

    @property
    def step(self) -> Callable[..., Any]:
        return partial(KINDS[self.kind][1], **self.options)

    @property
    def reference(self) -> Callable[..., Any]:
        return partial(KINDS[self.kind][2], **self.options)

    def draw(
        self,
        batch: tuple[int, ...] = (2,),
        steps: int = 4,
        size: int = 3,
        hidden: int = 4,
    ) -> tuple[Any, Any, np.ndarray]:
        """params, carry and inputs [*batch, steps, size] in float64, none of them 0."""
        rng = np.random.default_rng(5)
        init = partial(KINDS[self.kind][3], **self.tree)
        shapes = jax.eval_shape(lambda: init(jax.random.key(0), size, hidden))
        params = jax.tree.map(lambda leaf: 0.7 * rng.normal(size=leaf.shape), shapes)
        inputs = rng.normal(size=(*batch, steps, size))
        out = self.tree.get("projection", hidden)
        carry = rng.normal(size=(*batch, out))
        if self.kind == "lstm":
            carry = (rng.normal(size=(*batch, hidden)), carry)
        return params, carry, inputs


FAST = {
    "rnn": Case("rnn"),
    "lstm": Case("lstm"),
    "gru": Case("gru"),
    "gru-chung": Case("gru", {"update": "chung"}),
}
PLAIN = {
    "rnn-residual": Case("rnn", {"residual": True}),
    "lstm-projected": Case("lstm", {}, {"projection": 2}),
    "lstm-elmo": Case(
        "lstm", {"cell_clip": 0.4, "projection_clip": 0.3}, {"projection": 3}
    ),
    "lstm-peephole": Case("lstm", {}, {"peephole": True}),
    "lstm-coupled": Case("lstm", {}, {"coupled": True}),
    "lstm-coupled-peephole": Case("lstm", {}, {"coupled": True, "peephole": True}),
    "gru-before": Case("gru", {"reset": "before"}),
    "gru-chung-before": Case("gru", {"reset": "before", "update": "chung"}),
}
CASES = FAST | PLAIN
