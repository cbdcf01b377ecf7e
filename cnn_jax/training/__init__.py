"""Training as two pure functions: `init(key, config)` and `chunk(state, data)`."""

from cnn_jax.training.classification import (
    Config,
    Data,
    State,
    chunk,
    chunk_in_order,
    init,
)

__all__ = ["Config", "Data", "State", "chunk", "chunk_in_order", "init"]
