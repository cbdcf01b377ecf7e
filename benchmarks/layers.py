"""Convolution layers of known nets: what the benchmark runs over."""

from dataclasses import dataclass, replace
from typing import Any


@dataclass(frozen=True)
class Layer:
    """One convolution, SAME padded unless said otherwise.

    Attributes:
      name: the net and the layer.
      spatial: sizes of the inputs.
      channels: C.
      window: sizes of the kernel.
      features: O.
      stride, dilation, groups: of all axes alike.
      padding: "SAME" or "VALID".
      largest_batch: more images than this take too long, or too much memory.
    """

    name: str
    spatial: tuple[int, ...]
    channels: int
    window: tuple[int, ...]
    features: int
    stride: int = 1
    dilation: int = 1
    groups: int = 1
    padding: str = "SAME"
    largest_batch: int = 64

    @property
    def kernel_shape(self) -> tuple[int, ...]:
        return (*self.window, self.channels // self.groups, self.features)

    @property
    def shape_text(self) -> str:
        """For example 56x56x64 -> 64, 3x3 / 2."""
        text = "x".join(map(str, (*self.spatial, self.channels)))
        text += f" -> {self.features}, " + "x".join(map(str, self.window))
        if self.stride > 1:
            text += f" / {self.stride}"
        if self.dilation > 1:
            text += f", dilation {self.dilation}"
        return text + (f", {self.groups} groups" if self.groups > 1 else "")


LAYERS = (
    Layer("LeNet conv1", (32, 32), 1, (5, 5), 6, padding="VALID"),
    Layer("LeNet conv2", (14, 14), 6, (5, 5), 16, padding="VALID"),
    Layer("AlexNet conv1", (227, 227), 3, (11, 11), 96, 4, padding="VALID"),
    Layer("AlexNet conv2", (27, 27), 96, (5, 5), 256, groups=2),
    Layer("AlexNet conv3", (13, 13), 256, (3, 3), 384),
    Layer("VGG-16 conv1_1", (224, 224), 3, (3, 3), 64, largest_batch=8),
    Layer("VGG-16 conv2_2", (112, 112), 128, (3, 3), 128, largest_batch=8),
    Layer("VGG-16 conv4_2", (28, 28), 512, (3, 3), 512, largest_batch=8),
    Layer("ResNet-50 stem", (224, 224), 3, (7, 7), 64, 2, largest_batch=8),
    Layer("ResNet-50 3x3 56", (56, 56), 64, (3, 3), 64),
    Layer("ResNet-50 1x1 56", (56, 56), 64, (1, 1), 256),
    Layer("ResNet-50 1x1/2 56", (56, 56), 256, (1, 1), 512, 2),
    Layer("ResNet-50 3x3/2 56", (56, 56), 128, (3, 3), 128, 2),
    Layer("ResNet-50 3x3 14", (14, 14), 256, (3, 3), 256),
    Layer("ResNet-50 3x3 7", (7, 7), 512, (3, 3), 512),
    Layer("CIFAR ResNet 3x3 32", (32, 32), 16, (3, 3), 16),
    Layer("MobileNet depthwise 56", (56, 56), 64, (3, 3), 64, groups=64),
    Layer("MobileNet depthwise/2 56", (56, 56), 128, (3, 3), 128, 2, groups=128),
    Layer("MobileNet depthwise 14", (14, 14), 512, (3, 3), 512, groups=512),
    Layer("MobileNet pointwise 14", (14, 14), 512, (1, 1), 512),
    Layer("3x3 of 4 groups", (28, 28), 128, (3, 3), 128, groups=4),
    Layer("ResNeXt 3x3 of 32 groups", (28, 28), 256, (3, 3), 256, groups=32),
    Layer("ViT patches", (224, 224), 3, (16, 16), 384, 16, largest_batch=8),
    Layer("decoder outputs", (64, 64), 64, (3, 3), 3),
    Layer("ID-CNN dilation 2", (100,), 120, (3,), 120, dilation=2),
    Layer("ID-CNN dilation 4", (100,), 120, (3,), 120, dilation=4),
    Layer("TextCNN 3", (56,), 300, (3,), 100, padding="VALID"),
    Layer("TextCNN 4", (56,), 300, (4,), 100, padding="VALID"),
    Layer("TextCNN 5", (56,), 300, (5,), 100, padding="VALID"),
    Layer("C3D conv1", (16, 112, 112), 3, (3, 3, 3), 64, largest_batch=1),
    Layer("C3D conv2", (16, 56, 56), 64, (3, 3, 3), 128, largest_batch=1),
    Layer("video 3x3x3", (8, 14, 14), 64, (3, 3, 3), 64),
)


def _named_by_shape(*shape: Any, **settings: Any) -> Layer:
    layer = Layer("", *shape, **settings)
    return replace(layer, name=layer.shape_text)


# Where the rule of `algorithms.selection` turns from one algorithm to another:
# `benchmarks.candidates` has them beside the layers of nets.
BOUNDARIES = (
    _named_by_shape((40, 40), 8, (3, 3), 8),
    _named_by_shape((80, 80), 4, (3, 3), 4),
    _named_by_shape((40, 40), 16, (3, 3), 16),
    _named_by_shape((84, 84), 4, (8, 8), 32, 4, padding="VALID"),
    _named_by_shape((64, 64), 32, (4, 4), 64, 2),
    _named_by_shape((32, 32), 64, (4, 4), 128, 2),
    _named_by_shape((56, 56), 96, (2, 2), 192, 2),
    _named_by_shape((224, 224), 3, (5, 5), 32, 2),
    _named_by_shape((32, 32), 64, (3, 3), 3),
    _named_by_shape((32, 32), 16, (3, 3), 4),
    _named_by_shape((56, 56), 64, (3, 3), 8),
    _named_by_shape((32, 32), 64, (7, 7), 3),
    _named_by_shape((8, 16, 16), 64, (3, 3, 3), 3),
    _named_by_shape((8, 16, 16), 16, (3, 3, 3), 16),
    _named_by_shape((8, 14, 14), 64, (3, 3, 3), 64, dilation=2),
    _named_by_shape((16, 28, 28), 64, (3, 3, 3), 128, 2),
)
