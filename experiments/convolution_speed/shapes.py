"""The convolutions that are timed, as numbers alone."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Shape:
    """A square convolution of one or more square images, SAME padded.

    Attributes:
      size: height and width of the images.
      channels, features: C and O.
      window: height and width of the kernel.
      stride, groups: as in `cnn_jax.conv`.
    """

    size: int
    channels: int
    features: int
    window: int
    stride: int = 1
    groups: int = 1


# From a first layer to a last one, and the kind that a matrix product suits least.
IM2COL_SHAPES = {
    "first-5x5": Shape(28, 1, 6, 5),
    "color-3x3": Shape(32, 3, 16, 3),
    "stem-7x7-stride-2": Shape(56, 3, 16, 7, stride=2),
    "middle-3x3": Shape(14, 64, 64, 3),
    "pointwise": Shape(14, 64, 64, 1),
    "deep-3x3": Shape(7, 256, 128, 3),
    "depthwise-3x3": Shape(14, 64, 64, 3, groups=64),
}
