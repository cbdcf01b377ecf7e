"""Networks as flax.linen modules: images -> (logits, activations)."""

from cnn_jax.models.lenet import LeNet
from cnn_jax.models.resnet import ResNet, TrainingBatchNorm

__all__ = ["LeNet", "ResNet", "TrainingBatchNorm"]
