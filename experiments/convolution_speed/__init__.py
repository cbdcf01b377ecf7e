"""Which way to compute a convolution wins where, in time and in memory?

One convolution, y[n, p, o] = Σ_w Σ_c x[n, s·p + w, c] · k[w, c, o], is computed by
XLA's own operation ("direct"), as one matrix product of copied windows (im2col), as a
sum over the kernel's taps (shifted), by Winograd's minimal products and by Fourier.
Measured are

    seconds     median of interleaved calls of the compiled program
    kilobytes   that the compiled program needs beside inputs, kernel and outputs

over kernel size and each of channels, resolution and groups. Two claims are about the
naive way, the definition compiled as it stands: a loop over the outputs, one dot
product each.

Expected: Fourier beats the naive way by far, and XLA's convolution only with large
kernels; im2col beats the loops everywhere, and pays with k² copies of the image.

Takes two to three minutes on 2 CPU cores, 30 seconds with --quick. Times need a machine
that does nothing else.
"""

import dataclasses

import jax

from experiments.convolution_speed.claims import CLAIMS
from experiments.convolution_speed.figures import plot
from experiments.convolution_speed.measures import against_loops, chart, crossover
from experiments.convolution_speed.shapes import Shape
from experiments.harness.claims import Metrics
from experiments.harness.lab import Lab

__all__ = ["CLAIMS", "QUICK", "Config", "plot", "run"]

SIZE, CHANNELS = 32, 16  # of the map, where they are not its axis
GROUPED_CHANNELS = 64
CROSSOVER_SIZE = 48
QUICK = {
    "windows": "3,9",
    "channels": "1,16",
    "sizes": "8,32",
    "groups": "1,64",
    "crossover": "3,9,21",
    "map_repeats": 3,
}


@dataclasses.dataclass(frozen=True)
class Config:
    """What the map ranges over, as comma lists of rising numbers."""

    windows: str = "1,3,5,9,17"  # kernel sizes of the map
    channels: str = "1,4,16,64"
    sizes: str = "8,32,128"  # height and width of the images
    groups: str = "1,8,64"  # of 64 channels
    crossover: str = "3,5,9,15,21,31"  # kernel sizes, naive against Fourier
    batch: int = 1  # images of the map
    repeats: int = 20  # timed calls that a verdict rests on, 20 to 1000
    map_repeats: int = 5  # timed calls per cell of the map, 1 to 1000

    def __post_init__(self):
        for name in ("windows", "channels", "sizes", "groups", "crossover"):
            text = getattr(self, name)
            parts = text.split(",")
            if not all(part.strip().isdecimal() for part in parts):
                raise ValueError(f"expected {name} as a comma list, got {text!r}")
            numbers = [int(part) for part in parts]
            if numbers != sorted(set(numbers)) or numbers[0] < 1:
                raise ValueError(f"expected {name} to rise from 1 on, got {text!r}")
            if numbers[-1] > 512:
                raise ValueError(f"expected {name} up to 512, got {text!r}")
        for number in self.numbers("groups"):
            if 64 % number:
                raise ValueError(f"expected groups that divide 64, got {number}")
        for name, least in {"batch": 1, "repeats": 20, "map_repeats": 1}.items():
            if not least <= getattr(self, name) <= 1000:
                raise ValueError(
                    f"expected {name} in {least} to 1000, got {getattr(self, name)}"
                )

    def numbers(self, name):
        """A comma list as integers."""
        return tuple(int(part) for part in getattr(self, name).split(","))


def run(keys: jax.Array, config: Config, lab: Lab) -> Metrics:
    """The two claims, then the map; the first seed draws what is convolved."""
    key = keys[0]
    columns = {
        "channels": {c: Shape(SIZE, c, c, 1) for c in config.numbers("channels")},
        "resolution": {
            size: Shape(size, CHANNELS, CHANNELS, 1) for size in config.numbers("sizes")
        },
        "groups": {
            groups: Shape(SIZE, GROUPED_CHANNELS, GROUPED_CHANNELS, 1, groups=groups)
            for groups in config.numbers("groups")
        },
    }
    windows = config.numbers("crossover")
    return {
        **crossover(key, lab, windows, CROSSOVER_SIZE, config.repeats),
        **against_loops(key, lab, config.repeats),
        **chart(
            key,
            lab,
            config.numbers("windows"),
            columns,
            config.batch,
            config.map_repeats,
        ),
    }
