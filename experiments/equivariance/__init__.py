"""Does a convolution commute with translations, and does pooling make a net invariant?

For a layer or net f and a translation T, two errors are measured:

    equivariance error  ‖f(Tx) - Tf(x)‖ / ‖f(x)‖
    invariance error    ‖f(Tx) - f(x)‖ / ‖f(x)‖

over all shifts up to --max_shift, random kernels of 1 to 15 layers and the kernels of
the trained nets, under every padding. What a shift costs a trained classifier is the
accuracy lost by moving: clean accuracy less the share of images that are right both
unmoved and moved, over the same grid of shifts.

Expected: circular, valid and full convolutions commute to rounding, and so does zero
padding without bias as long as the margin stays empty; zero or reflect padding
of images that fill the frame, odd shifts under stride 2, biases and half-pixel shifts
through ReLU break it. Pooling saves less than augmentation does.

Takes three to four minutes for 5 seeds and six arms on 2 CPU cores, about a minute with
--quick. Data: digits (default) or mnist; photograph patches for the laws.
"""

import dataclasses
from functools import partial

import jax

from experiments.equivariance.claims import CLAIMS
from experiments.equivariance.figures import plot
from experiments.equivariance.geometry import GEOMETRIES, SIZE
from experiments.equivariance.laws import (
    displacements,
    feature_maps,
    invariance_errors,
)
from experiments.equivariance.maxima import max_dependence, unchanged_shares
from experiments.equivariance.nets import (
    Trained,
    conv_layers,
    moving_metrics,
    train_arms,
)
from experiments.equivariance.paddings import (
    geometry_errors,
    joined,
    subjects,
)
from experiments.equivariance.sharing import (
    equal_kernels_after_training,
    sharing_errors,
)
from experiments.harness.claims import Metrics
from experiments.harness.lab import Lab
from experiments.harness.listed import listed

__all__ = ["CLAIMS", "DATA", "QUICK", "STREAMS", "Config", "plot", "run"]

NUM_PATCHES = 2  # one of each photograph
DATA = ("digits", "mnist")
STREAMS = True
ARMS = ("max", "max+aug", "strided", "strided+aug", "blur", "polyphase")
ALL_ARMS = (
    "max",
    "max+aug",
    "strided",
    "strided+aug",
    "blur",
    "polyphase",
    "average",
    "average+aug",
    "none",
    "none+aug",
    "global",
    "global+aug",
)
# 1,024 images are fewer than any training set; at 5 pixels the grid stays inside the
# margin, and the deepest valid stack still has outputs to compare.
LARGEST = {
    "steps": 1_000_000,
    "batch": 1024,
    "max_shift": 5,
    "depth": 15,
    "num_test": 10_000,
}
QUICK = {"arms": "max,strided,strided+aug", "steps": 150, "depth": 4, "num_seeds": 1}


@dataclasses.dataclass(frozen=True)
class Config:
    """Settings of the nets and of the grid of shifts."""

    # "default" (max and strided with and without augmentation, blur, polyphase),
    # "all", or a comma list
    arms: str = "default"
    steps: int = 300  # Adam steps per net
    batch: int = 64  # images per step
    max_shift: int = 3  # largest shift of the grid, in pixels, 1 to 5
    depth: int = 15  # deepest of the random stacks, 1 to 15
    num_test: int = 1000  # test images at most

    def __post_init__(self):
        if self.arms != "default":
            listed("arms", self.arms, ALL_ARMS)
        for name, largest in LARGEST.items():
            value = getattr(self, name)
            if not 1 <= value <= largest:
                raise ValueError(f"expected {name} in 1 to {largest}, got {value}")

    @property
    def arm_names(self):
        """The arms as a tuple."""
        return ARMS if self.arms == "default" else listed("arms", self.arms, ALL_ARMS)


def run(keys: jax.Array, config: Config, lab: Lab) -> Metrics:
    """Trains the arms, and measures nets and laws; every metric per seed."""
    data = lab.data(view="canvas")
    data = dataclasses.replace(data, test=data.test.first(config.num_test))
    photographs = lab.photographs(SIZE, NUM_PATCHES)
    arms = config.arm_names
    trained: list[Trained] = []

    def nets() -> Metrics:
        sizes = {"steps": config.steps, "batch": config.batch}
        largest = config.max_shift
        trained.extend(train_arms(keys, lab, data, arms, max_shift=largest, **sizes))
        return moving_metrics(keys, trained, data.test.labels, largest)

    metrics = lab.measure(
        {
            "nets": nets,
            "sharing": lambda: sharing_errors(keys, photographs, config.max_shift),
            "kernels drifting apart": lambda: equal_kernels_after_training(keys, lab),
            "feature maps": lambda: feature_maps(keys[0], photographs),
            "maxima": lambda: {**max_dependence(keys), **unchanged_shares(keys)},
        }
    )
    layers = conv_layers(trained)
    asked = subjects(keys, photographs, layers, arms, config.max_shift, config.depth)
    of_nets = lab.measure(
        {
            "displacement": lambda: displacements(keys, photographs, layers, arms),
            "invariance": lambda: invariance_errors(
                keys, photographs, layers, arms, config.max_shift
            ),
            **{name: partial(geometry_errors, name, asked) for name in GEOMETRIES},
        }
    )
    return {**metrics, **joined(of_nets)}
