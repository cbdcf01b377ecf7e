"""Where what is traced now will run, for choices that change times and no results."""

import jax


def on_cpu() -> bool:
    """Whether the default device is a CPU, `jax.default_device` taken into account."""
    device = jax.config.jax_default_device  # pyrefly: ignore
    if device is None:
        return jax.default_backend() == "cpu"
    return getattr(device, "platform", device) == "cpu"
