"""Instruments: what a function does to its inputs' symmetries, what it sees, and how
gradients reach its parts.

Every instrument takes `apply(params, inputs)`, or the step of a recurrent network, and
a `params` pytree and knows nothing of the model behind them, so it works on any.
"""

from cnn_jax.instruments.consistency import (
    agreement,
    logit_change,
    logits_moved,
    lost_by_moving,
    predict_shifted,
    shift_consistency,
    shift_grid,
)
from cnn_jax.instruments.gates import (
    Saturation,
    gate_values,
    saturation,
)
from cnn_jax.instruments.generators import (
    central_difference,
    fourier_derivative,
    rotation_generator,
    scaling_generator,
    translation_generator,
)
from cnn_jax.instruments.gradients import (
    carry_jacobians,
    half_life,
    log_carry_gradients,
    log_jacobian_norms,
    log_singular_values,
    lyapunov_slopes,
)
from cnn_jax.instruments.intervals import (
    accuracy_interval,
    image_half_width,
)
from cnn_jax.instruments.layer_gradients import (
    activation_gradients,
    log_activation_gradients,
)
from cnn_jax.instruments.local_symmetry import (
    LocalError,
    layer_contributions,
    local_equivariance_error,
    local_equivariance_sides,
)
from cnn_jax.instruments.protocols import (
    consistency_of_batch_pairs,
    consistency_of_crops,
    consistency_of_rolls,
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
    crop,
    fourier_shift,
    roll,
    slide,
)
from cnn_jax.instruments.warps import (
    rescale,
    rotate,
    sample,
)

__all__ = [
    "LocalError",
    "Saturation",
    "accuracy_interval",
    "activation_gradients",
    "agreement",
    "band_limit",
    "bounding_box",
    "carry_jacobians",
    "central_difference",
    "consistency_of_batch_pairs",
    "consistency_of_crops",
    "consistency_of_rolls",
    "coverage",
    "crop",
    "effective_receptive_field",
    "equivariance_error",
    "equivariance_sides",
    "field_spread",
    "fourier_derivative",
    "fourier_shift",
    "gate_values",
    "gradient_map",
    "gradient_support",
    "half_life",
    "image_half_width",
    "invariance_error",
    "invariance_sides",
    "layer_contributions",
    "local_equivariance_error",
    "local_equivariance_sides",
    "log_activation_gradients",
    "log_carry_gradients",
    "log_jacobian_norms",
    "log_singular_values",
    "logit_change",
    "logits_moved",
    "lost_by_moving",
    "lyapunov_slopes",
    "peak_displacement",
    "predict_shifted",
    "realigned_sides",
    "relative_error",
    "rescale",
    "roll",
    "rotate",
    "rotation_generator",
    "sample",
    "saturation",
    "scaling_generator",
    "shift_consistency",
    "shift_grid",
    "slide",
    "translation_generator",
]
