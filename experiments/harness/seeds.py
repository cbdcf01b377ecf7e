"""Keys of the seeds, and a function run once per seed inside one compilation."""

from collections.abc import Callable
from typing import Any

import jax


def keys(seed: int, num_seeds: int) -> jax.Array:
    """One key per seed: keys[i] = fold_in(key(seed), i).

    So the first seeds of a longer run are those of a shorter one.

    Args:
        seed: in [0, 2**32).
        num_seeds: 1 or more.

    Returns:
        [num_seeds] typed keys.
    """
    fold = jax.vmap(jax.random.fold_in, in_axes=(None, 0))
    return fold(jax.random.key(seed), jax.numpy.arange(num_seeds))


def over_seeds(
    function: Callable[..., Any],
    jit: Callable[[Callable[..., Any]], Callable[..., Any]] = jax.jit,
) -> Callable[..., Any]:
    """`function(per_seed, *shared)` for every seed, jitted.

    The first argument has a leading seed axis in every leaf, the others are the
    same for all seeds. `lax.map` runs the seeds one after the other: bit for bit
    what each would give alone, which vmap does not promise.

    Args:
        function: of one seed.
        jit: `compilation.brief` for what compiles for longer than it runs.
    """

    def mapped(per_seed: Any, *shared: Any) -> Any:
        return jax.lax.map(lambda one: function(one, *shared), per_seed)

    return jit(mapped)
