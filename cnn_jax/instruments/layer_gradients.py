"""The gradient that reaches each activation of a network.

Known of the network: `apply(params, inputs) -> (logits, activations)`.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array
from jax.extend import core

Apply = Callable[[Any, Any], tuple[Any, Any]]


def activation_gradients(
    apply: Apply, params: Any, inputs: Any, loss: Callable[[Any], Array]
) -> Any:
    """The gradient of a loss to every activation.

        ∂L / ∂h_l,   L = loss(logits)

    The network is traced, and taken up again behind each activation: a gradient counts
    whatever follows from that very array. An array that the logits are not computed
    from has gradient 0, such as a copy made beside them, or what a loop or
    rematerialized block hands out and uses inside.

    Args:
      apply: (params, inputs) -> (logits, activations), both pytrees of floats.
      params: whatever `apply` takes.
      inputs: whatever `apply` takes.
      loss: logits -> [].

    Returns:
      A pytree like the activations.
    """
    closed, shapes = jax.make_jaxpr(apply, return_shape=True)(params, inputs)
    (logits, logits_tree), (activations, activations_tree) = map(
        jax.tree.flatten, shapes
    )
    watched = closed.jaxpr.outvars[len(logits) :]

    def perturbed(offsets: Sequence[Array]) -> Array:
        outputs = _evaluate(
            closed, jax.tree.leaves((params, inputs)), _by_variable(watched, offsets)
        )
        return loss(jax.tree.unflatten(logits_tree, outputs[: len(logits)]))

    zeros = [jnp.zeros(shape.shape, shape.dtype) for shape in activations]
    return jax.tree.unflatten(activations_tree, jax.grad(perturbed)(zeros))


def log_activation_gradients(
    apply: Apply, params: Any, inputs: Any, loss: Callable[[Any], Array]
) -> Any:
    """log10 ‖∂L / ∂h_l‖₂ of every activation; -inf is zero.

    The gradients themselves are in the network's dtype: what leaves its range is 0.

    Args: as `activation_gradients`.

    Returns:
      A pytree like the activations, each [].
    """
    gradients = activation_gradients(apply, params, inputs, loss)
    return jax.tree.map(_log10_norm, gradients)


def _log10_norm(array: Array) -> Array:
    """By the largest entry, as squares leave the range of floats first."""
    largest = jnp.max(jnp.abs(array), initial=0)
    ratios = array.ravel() / jnp.where(largest > 0, largest, 1)
    return jnp.log10(largest) + jnp.log10(jnp.linalg.norm(ratios))


def _by_variable(
    variables: Sequence[Any], offsets: Sequence[Array]
) -> dict[core.Var, Array]:
    """The offset of each variable: the sum over all names that it has."""
    sums: dict[core.Var, Array] = {}
    for variable, offset in zip(variables, offsets, strict=True):
        if isinstance(variable, core.Var):  # not a constant
            sums[variable] = sums[variable] + offset if variable in sums else offset
    return sums


def _evaluate(
    closed: core.ClosedJaxpr,
    arguments: Sequence[Any],
    offsets: dict[core.Var, Array],
) -> list[Any]:
    """The traced function, with the offset of a variable added where it is computed."""
    jaxpr, values = closed.jaxpr, {}

    def read(atom: Any) -> Any:
        return atom.val if isinstance(atom, core.Literal) else values[atom]

    def write(variables: Sequence[core.Var], results: Sequence[Any]) -> None:
        for variable, value in zip(variables, results, strict=True):
            added = variable in offsets
            values[variable] = value + offsets[variable] if added else value

    write(jaxpr.constvars, closed.consts)
    write(jaxpr.invars, arguments)
    for equation in jaxpr.eqns:
        operands = [read(atom) for atom in equation.invars]
        here = [v for v in equation.outvars if v in offsets]
        if here and equation.primitive.name == "jit":
            body = equation.params["jaxpr"]
            pairs = zip(body.jaxpr.outvars, equation.outvars, strict=True)
            inner = [(v, offsets[o]) for v, o in pairs if o in offsets]
            results = _evaluate(body, operands, _by_variable(*zip(*inner, strict=True)))
            values.update(zip(equation.outvars, results, strict=True))
        else:
            write(equation.outvars, _apply(jaxpr, equation, operands))
    return [read(atom) for atom in jaxpr.outvars]


def _apply(
    jaxpr: core.Jaxpr, equation: core.JaxprEqn, operands: list[Any]
) -> list[Any]:
    """One equation of a traced function."""
    atoms = equation.invars
    known = [not isinstance(atom, core.Literal) for atom in atoms]
    alone = jaxpr.replace(
        constvars=[],
        invars=[atom for atom, own in zip(atoms, known, strict=True) if own],
        outvars=equation.outvars,
        eqns=[equation],
    )
    given = [value for value, own in zip(operands, known, strict=True) if own]
    return core.jaxpr_as_fun(core.ClosedJaxpr(alone, ()))(*given)
