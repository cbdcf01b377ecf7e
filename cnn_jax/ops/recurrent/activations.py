"""Activations of gates and states by name, and their slopes as functions of the output.

That a slope needs the output only is what makes a layer's own derivative cheap: the
gates are kept, and nothing is computed twice.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import Array, lax

Activation = str | Callable[[Array], Array]

_FUNCTIONS: dict[str, Callable[[Array], Array]] = {
    "sigmoid": jax.nn.sigmoid,
    "tanh": jnp.tanh,
    "relu": jax.nn.relu,
    "identity": lambda x: x,
    "hard_sigmoid": jax.nn.hard_sigmoid,
    "hard_tanh": jax.nn.hard_tanh,
    "softsign": jax.nn.soft_sign,
}
_SLOPES: dict[str, Callable[[Array], Array]] = {
    "sigmoid": lambda y: y * (1 - y),
    "tanh": lambda y: 1 - y * y,
    "relu": lambda y: (y > 0).astype(y.dtype),
    "identity": jnp.ones_like,
    "hard_sigmoid": lambda y: ((y > 0) & (y < 1)).astype(y.dtype) / 6,
    "hard_tanh": lambda y: (abs(y) < 1).astype(y.dtype),
    "softsign": lambda y: (1 - abs(y)) ** 2,
}
ACTIVATION_NAMES = tuple(_FUNCTIONS)
_NAMES = {function: name for name, function in _FUNCTIONS.items()}
_NAMES |= {lax.logistic: "sigmoid", lax.tanh: "tanh", jax.nn.tanh: "tanh"}


def function_of(
    activation: Activation, argument: str = "activation"
) -> Callable[[Array], Array]:
    """The activation as a function; `argument` is what an error calls it.

    Raises:
      ValueError: a name that `ACTIVATION_NAMES` does not have.
    """
    if callable(activation):
        return activation
    if not isinstance(activation, str) or activation not in _FUNCTIONS:
        names = ", ".join(ACTIVATION_NAMES)
        raise ValueError(
            f"{argument}: expected one of {names} or a function, got {activation!r}"
        )
    return _FUNCTIONS[activation]


def name_of(activation: Activation) -> str | None:
    """Its name, also of jax's own function of that name; None for any other."""
    if isinstance(activation, str):
        return activation
    try:
        return _NAMES.get(activation)
    except TypeError:  # a callable that cannot be hashed
        return None


def slope(name: str, outputs: Array) -> Array:
    """The derivative where the activation's value is this; at a kink either side's."""
    return _SLOPES[name](outputs)
