"""Layers over time put together: both directions, and one on top of the other."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

# layer(params, inputs, carry, lengths=...) -> (carry, outputs)
Layer = Callable[..., tuple[Any, Array]]


def bidirectional(
    layer: Layer,
    params: tuple[Any, Any],
    inputs: ArrayLike,
    carry: tuple[Any, Any] | None = None,
    *,
    lengths: ArrayLike | None = None,
    merge: Callable[[Array, Array], Array] | None = None,
) -> tuple[tuple[Any, Any], Array]:
    """A layer forward and one backward in time, their outputs side by side.

        y_t = merge(forward y_t, backward y_t)

    Args:
      layer: `rnn`, `lstm`, `gru`, or one of them with options by functools.partial,
        whose `reverse` and `keep_order` are of no meaning.
      params: (of the forward layer, of the backward one).
      inputs: [*N, T, D].
      carry: (of the forward layer, of the backward one) or None.
      lengths: integers [*N] in 0..T: the backward layer begins there; or None.
      merge: by default joins [*N, T, H] and [*N, T, H'] to [*N, T, H + H'].

    Returns:
      ((carry of the forward layer, of the backward one), outputs).

    Raises:
      ValueError: params or carry that are no pair, and what the layer raises.

    Reference:
      Schuster and Paliwal, Bidirectional recurrent neural networks, 1997.
    """
    forward, backward = _pair("params", params)
    first, last = _pair("carry", (None, None) if carry is None else carry)
    first, after = layer(forward, inputs, first, lengths=lengths, reverse=False)
    last, before = layer(
        backward, inputs, last, lengths=lengths, reverse=True, keep_order=True
    )
    if merge is None:
        outputs = jnp.concatenate([after, before], axis=-1)
    else:
        outputs = merge(after, before)
    return (first, last), outputs


def stacked(
    layer: Layer,
    params: Sequence[Any],
    inputs: ArrayLike,
    carry: Sequence[Any] | None = None,
    *,
    lengths: ArrayLike | None = None,
    dropout_rate: float = 0.0,
    key: Array | None = None,
) -> tuple[tuple[Any, ...], Array]:
    """Layers one on top of the other, with dropout between them.

        y = layer_L(... dropout(layer_2(dropout(layer_1(inputs)))))

    Args:
      layer: `rnn`, `lstm`, `gru`, or one of them with options by functools.partial;
        for both directions, partial(bidirectional, lstm).
      params: one entry per layer.
      inputs: [*N, T, D].
      carry: one entry per layer, or None.
      lengths: integers [*N] in 0..T, or None: all T.
      dropout_rate: share of values between two layers that become zero, 0 <= rate < 1,
        the others divided by 1 − rate; leave it 0 where nothing is trained.
      key: typed key, needed above 0.

    Returns:
      (one carry per layer, outputs of the last).

    Raises:
      ValueError: no layer, another number of carries, a rate outside [0, 1) or one
        above 0 without a key.

    Reference:
      Zaremba, Sutskever and Vinyals, Recurrent neural network regularization, 2014.
    """
    if not 0 <= dropout_rate < 1 or (dropout_rate and key is None):
        raise ValueError(
            "dropout_rate: expected 0, or below 1 with a key, got "
            f"{dropout_rate} {'without' if key is None else 'with'} a key"
        )
    carries = [None] * len(params) if carry is None else carry
    if not params or len(carries) != len(params):
        raise ValueError(
            "params and carry: expected one entry per layer and at least one layer, "
            f"got {len(params)} and {len(carries)}"
        )
    new, outputs = [], jnp.asarray(inputs)
    for level, (one, first) in enumerate(zip(params, carries, strict=True)):
        if level and dropout_rate and key is not None:
            outputs = _dropout(jax.random.fold_in(key, level), outputs, dropout_rate)
        last, outputs = layer(one, outputs, first, lengths=lengths)
        new.append(last)
    return tuple(new), outputs


def _dropout(key: Array, values: Array, rate: float) -> Array:
    kept = jax.random.bernoulli(key, 1 - rate, values.shape)
    return jnp.where(kept, values / (1 - rate), jnp.zeros_like(values))


def _pair(name: str, given: Any) -> tuple[Any, Any]:
    if not isinstance(given, tuple | list) or len(given) != 2:
        found = len(given) if isinstance(given, tuple | list) else type(given).__name__
        raise ValueError(f"{name}: expected a pair (forward, backward), got {found}")
    return given[0], given[1]
