"""Instruments: what a function does to its inputs' symmetries, and what it sees.

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
from cnn_jax.instruments.receptive_field import (
    bounding_box,
    coverage,
    effective_receptive_field,
    field_spread,
    gradient_map,
    gradient_support,
)
from cnn_jax.instruments.symmetry import (
    equivariance_error,
    equivariance_sides,
    invariance_error,
    invariance_sides,
    peak_displacement,
    realigned_sides,
    relative_error,
)
from cnn_jax.instruments.translations import (
    band_limit,
    fourier_shift,
    roll,
    slide,
)

__all__ = [
    "agreement",
    "band_limit",
    "bounding_box",
    "consistency_of_batch_pairs",
    "coverage",
    "effective_receptive_field",
    "equivariance_error",
    "equivariance_sides",
    "field_spread",
    "fourier_shift",
    "gradient_map",
    "gradient_support",
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
