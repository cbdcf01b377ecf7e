"""Networks as flax.linen modules: images or sequences -> (logits, activations)."""

from cnn_jax.models.lenet import LeNet
from cnn_jax.models.resnet import ResNet, TrainingBatchNorm
from cnn_jax.models.sequence import RecurrentNet, TemporalConvNet

__all__ = [
    "LeNet",
    "RecurrentNet",
    "ResNet",
    "TemporalConvNet",
    "TrainingBatchNorm",
]
