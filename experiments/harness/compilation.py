"""Compilation of what is compiled for longer than it runs."""

import os
from collections.abc import Callable
from typing import Any

import jax
import jaxlib.version

# XLA's newer code generator for fused loops makes CPU programs that take twice as long
# to compile. The older one, whose loops are up to a third slower, left after 0.10.
HAS_OLDER_GENERATOR = jaxlib.version.__version_info__ < (0, 11)
_QUICK = {"xla_cpu_use_fusion_emitters": False}


def brief(function: Callable[..., Any], **options: Any) -> Callable[..., Any]:
    """`jax.jit` for a program that runs once or twice, for a short time.

    Not to be called inside another jitted function: XLA takes such options for whole
    programs alone.

    Args:
        function: as for `jax.jit`.
        **options: of `jax.jit`, such as `static_argnames`.
    """
    on_cpu = os.environ.get("JAX_PLATFORMS") == "cpu"  # what `environment` has set
    quick = _QUICK if on_cpu and HAS_OLDER_GENERATOR else None
    return jax.jit(function, compiler_options=quick, **options)
