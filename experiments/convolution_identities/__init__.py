"""Which identities of convolution hold, and in which cases?

Every statement has two sides. Of two arrays,

    error = ‖left - right‖ / ‖right‖

is measured over shapes and random inputs and kernels; an identity holds where it is
rounding. Of two numbers (sizes, uses, parameters, multiplications) the cases are
counted in which they differ. Two statements need data: two nets that differ in the flip
of their kernel learn digits side by side, and noise is averaged away on photographs, as
the ratio of root mean square errors, filtered over raw.

Expected: the algebra holds to rounding. Refuted are the readings that leave out a
condition: correlation does not commute, nor do layers that mix channels; SAME is no
subsampling; zero padding or none uses weights unequally; sizes without floor or
remainder are wrong; a deconvolution may shrink; averaging pools do not swap with an
activation.

Takes about a minute for 5 seeds on 2 CPU cores, half a minute with --quick. Data:
the digits, and 13 photographs, both bundled.
"""

import dataclasses
import functools
from collections.abc import Callable

import jax

from experiments.convolution_identities import counts, laws, sizes, variants
from experiments.convolution_identities.claims import CLAIMS
from experiments.convolution_identities.denoising import total_errors, variances
from experiments.convolution_identities.figures import plot
from experiments.convolution_identities.learning import flip_is_learned
from experiments.convolution_identities.transposed import spread
from experiments.harness.claims import Metrics
from experiments.harness.lab import Lab

__all__ = ["CLAIMS", "DATA", "QUICK", "Config", "plot", "run"]

DATA = ("digits",)
# More would be the whole grid; more digits do not fit into one step.
LARGEST = {"num_transposed": 2680, "steps": 10_000, "num_digits": 1437}
QUICK = {"num_transposed": 6, "num_digits": 32, "num_seeds": 1}


@dataclasses.dataclass(frozen=True)
class Config:
    """How much is measured."""

    num_transposed: int = 64  # transposed convolutions whose values are compared
    steps: int = 100  # of the two nets that differ in the flip
    num_digits: int = 64  # training images of these nets

    def __post_init__(self):
        for name, largest in LARGEST.items():
            value = getattr(self, name)
            if not 1 <= value <= largest:
                raise ValueError(f"expected {name} in 1 to {largest}, got {value}")


def run(keys: jax.Array, config: Config, lab: Lab) -> Metrics:
    """Measures every identity; what depends on numbers, per seed."""
    digits = lab.data().train
    images, labels = (each[: config.num_digits] for each in digits)
    photographs = lab.whole_photographs()
    numbers = laws.draw(keys)
    of_numbers = (
        laws.commuting,
        laws.matrices,
        laws.dense_to_conv,
        laws.strides,
        variants.tiles,
        variants.equal_kernels,
        laws.fourier_and_im2col,
        laws.activation_order,
        variances,
    )
    of_nothing = (
        counts.uses,
        counts.multichannel,
        counts.costs,
        counts.parameters,
        sizes.sizes,
        sizes.transposed_sizes,
    )
    cases = spread(config.num_transposed)
    measurements: dict[str, Callable[[], Metrics]] = {
        "transposes": lambda: variants.transposes(numbers, cases),
        "flip": lambda: flip_is_learned(keys, images, labels, config.steps),
        "photographs": lambda: total_errors(keys, photographs),
    }
    for law in of_numbers:
        measurements[law.__name__] = functools.partial(law, numbers)
    for count in of_nothing:
        measurements[count.__name__] = count
    return lab.measure(measurements)
