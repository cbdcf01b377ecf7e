"""Instruments: what a function does to its inputs' symmetries, measured.

Every instrument takes `apply(params, inputs)` and a `params` pytree and knows
nothing of the model behind them, so it works on any network.
"""

from cnn_jax.instruments.consistency import (
    agreement,
    consistency_of_batch_pairs,
    lost_by_moving,
    predict_shifted,
    shift_consistency,
    shift_grid,
)
from cnn_jax.instruments.symmetry import (
    band_limit,
    equivariance_error,
    equivariance_sides,
    fourier_shift,
    invariance_error,
    invariance_sides,
    peak_displacement,
    realigned_sides,
    relative_error,
    roll,
    slide,
)

__all__ = [
    "agreement",
    "band_limit",
    "consistency_of_batch_pairs",
    "equivariance_error",
    "equivariance_sides",
    "fourier_shift",
    "invariance_error",
    "invariance_sides",
    "lost_by_moving",
    "peak_displacement",
    "predict_shifted",
    "realigned_sides",
    "relative_error",
    "roll",
    "shift_consistency",
    "shift_grid",
    "slide",
]
