"""Does pooling make what a net sees, and what it says, robust?

Of a pool y = pool(x), and of the image moved by one pixel:

    unchanged   share of the outputs with |Δ| <= 1e-6 · max |y|, among windows whose old
                and new pixels are not all equal
    relative    ‖Δ‖ / ‖y‖
    centered    ‖Δ‖ / ‖y - ȳ‖, ȳ the mean of a channel over images and places

five pools of 2x2 to 8x8, of U(0, 1), of images, and of the maps behind the first ReLU
of LeNets trained with maximum pools; "subsampling" takes the first pixel of each
window. Where average and maximum are compared, pools are 2x2 and signals are these
maps. Neighbors within images are alike: digits are enlarged from 8 to 20 pixels.

LeNets that differ in their pools (`moving_nets`) learn upright digits on a canvas that
leaves room for moving. Points are percent of the test images right:

    lost        accuracy on still images less the share right both still and moved, by
                2 px (zero fill, all shifts of max-norm 2), x1.5 or 30 degrees
    logits      change by one pixel, over the logits' spread over images
    agreement   of the class under a circular shift by half a pixel, band-limited images

Other nets learn tasks (`tasks`): which digit lies in a field about three times as wide,
and in which of 3x3 cells; coarse outlines, which are pictures shrunk to half and
enlarged back; and digits seen through 5, 9 or 17 pixels, with a mean over places on
top, where the text of S3 itself goes on to say that recognition needs more than that.

    n*          training images at which the pooled net reaches the accuracy that its
                strided twin has at n0 (1,200; mnist 4,000), interpolated in log n

With and without pools are counted parameters, receptive fields and products. A pool
is a convolution if it has a kernel, f(x) = k * x, and then f(x + y) = f(x) + f(y).
Seeds draw kernels, the order of the images, U(0, 1), which images of a field are
learned, and 100 of the test images whose windows are looked at. Rates are chosen on
parts of the training images (`moving_tuning`, `tasks_tuning`).

Expected: of all pools the maximum alone leaves outputs unchanged, and that of U(0, 1)
(k - 1) / (k + 1) of them; which of average and maximum changes less depends on whether
one counts changes or measures them. Pooling saves some of what a shift costs, blurring
saves more. Only a dense layer behind a pool has fewer parameters.

Takes 18 minutes of CPU time for 5 seeds, a good half as long on 2 idle cores, and half
a minute with --quick, which trains three nets to be moved and those of outlines. Data:
digits (default) or mnist, where the controls of most tasks hold only with twice the
steps (--steps=600 --field_steps=1000 --canvas_steps=800 --local_steps=2400).
"""

import dataclasses

import jax

from experiments.harness.claims import Metrics
from experiments.harness.lab import Lab
from experiments.harness.listed import listed
from experiments.pooling_robustness import moving, signals_results, tasks
from experiments.pooling_robustness.claims import CLAIMS
from experiments.pooling_robustness.figures import plot
from experiments.pooling_robustness.moving_images import task_of
from experiments.pooling_robustness.moving_results import moving_metrics

__all__ = ["CLAIMS", "DATA", "QUICK", "Config", "plot", "run"]

DATA = ("digits", "mnist")
ALL_ARMS = (
    "max",
    "average",
    "strided",
    "blur",
    "polyphase",
    "none",
    "dense-max",
    "circular",
    "max-normalized",
    "average-normalized",
)
ALL_TASKS = ("field", "outlines", "patterns-5", "patterns-9", "patterns-17")
LARGEST = {
    "steps": 1_000_000,
    "field_steps": 1_000_000,
    "canvas_steps": 1_000_000,
    "local_steps": 1_000_000,
    "num_train": 60_000,
    "num_test": 10_000,
}
QUICK = {
    "steps": 60,
    "field_steps": 40,
    "canvas_steps": 40,
    "local_steps": 40,
    "num_train": 400,
    "num_test": 200,
    "arms": "max,average,strided",
    "tasks": "outlines",
    "num_seeds": 1,
}


@dataclasses.dataclass(frozen=True)
class Config:
    """Settings of the trained nets."""

    steps: int = 300  # Adam steps of each net that is moved, 32 images each
    field_steps: int = 500  # of each net of a field
    canvas_steps: int = 400  # of each net of outlines
    local_steps: int = 1200  # of each net of local patterns, which learn slowly
    num_train: int = 4000  # training images at most
    num_test: int = 1000  # test images at most
    arms: str = "all"  # or a comma list of nets that are moved, such as max,average
    tasks: str = "all"  # or some of field,outlines,patterns-5,patterns-9,patterns-17

    def __post_init__(self):
        for name, largest in LARGEST.items():
            value = getattr(self, name)
            if not 1 <= value <= largest:
                raise ValueError(f"expected {name} in 1 to {largest}, got {value}")
        listed("arms", self.arms, ALL_ARMS)
        listed("tasks", self.tasks, ALL_TASKS)


def run(keys: jax.Array, config: Config, lab: Lab) -> Metrics:
    """Trains the nets beside what needs none; every metric per seed."""
    found = lab.measure(
        {
            **moving.measurements(keys, lab, config),
            **tasks.measurements(keys, lab, config),
            **signals_results.measurements(keys, lab, config),
        }
    )
    metrics = {**moving_metrics(found), **tasks.task_metrics(found)}
    if "moving/max" in found:
        params = found["moving/max"].trained.params
        test = task_of(lab, config.num_train, config.num_test).test
        metrics |= signals_results.signal_metrics(keys, params, test)
    # What else was found is nets, of which the metrics above tell.
    nets = ("moving/", "net, ")
    rest = {name: each for name, each in found.items() if not name.startswith(nets)}
    return rest | metrics
