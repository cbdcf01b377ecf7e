"""Networks as flax.linen modules: images -> (logits, activations)."""

from cnn_jax.models.lenet import LeNet

__all__ = ["LeNet"]
