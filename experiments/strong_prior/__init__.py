"""Is convolution a strong prior: a gain where it is true, a loss where it is false?

A net with convolution and pooling (LeNet) and one of two hidden dense layers with as
many parameters learn the same images, once with natural pixels and once with one fixed
permutation of them, the same for every image, under which no neighbor is near. Points
are percent of the test images right.

    natural   conv - dense, natural pixels
    permuted  conv - dense, permuted pixels
    drop      natural - permuted: what permuting costs conv more than dense

    field     which of 10 digits, at a random place of a canvas of 24x24
    location  in which of 3x3 cells its middle lies, on the same canvases
    textures  brick, grass or gravel: patches of 32x32; left halves of three
              photographs train, right halves test
    mnist     which of 10 digits, from 1,000 images; a curve from 100 to 4,000

Sharing is judged on the field by three nets of equal widths and maps (LeNet with stride
2 and no pool): one kernel for all places, an own kernel for each place (locally
connected), or a weight for each pair of places (dense). Each trains until the loss over
all training images is 0.05 at one of the looks taken every 20 steps; conv - unshared
and unshared - dense are points of test error at that loss. Their numbers of parameters
cannot match, and are printed. The law compares two trainings in float64 over 100 steps
of Adam: one on natural pixels, one on permuted pixels with the rows of the first dense
layer permuted alike; ‖difference‖ / ‖net‖ of all parameters and of the logits.

Seeds draw kernels, the order of the images and, of MNIST, which of 4,000 are learned.
Rates are chosen on parts of the training images (`tuning`).

Expected: the prior gains much on the field and on textures and the permutation takes
that away; what is left on permuted textures need not be a loss, as a pooled net still
counts gray levels; where the digit lies, the dense layers behind LeNet's maps can tell.

Takes six minutes of CPU time for 5 seeds, with --data=mnist twelve, and half a minute
with --quick. Data: digits, photographs; --data=mnist adds MNIST.
"""

import dataclasses
from functools import partial

import jax

from experiments.harness.claims import Metrics
from experiments.harness.lab import Lab
from experiments.harness.listed import listed
from experiments.strong_prior.claims import CLAIMS
from experiments.strong_prior.figures import plot
from experiments.strong_prior.nets import ARMS, SHARING
from experiments.strong_prior.results import sharing_metrics, task_metrics
from experiments.strong_prior.tasks import Task, fields, mnist, textures
from experiments.strong_prior.trainings import SIZES, train_prior, train_sharing
from experiments.strong_prior.trajectories import trajectory_metrics

__all__ = ["CLAIMS", "DATA", "QUICK", "Config", "plot", "run"]

DATA = ("digits", "mnist")
ALL_TASKS = ("field", "location", "textures", "mnist", "sharing")
GROUPS = (("field", "location"), ("textures",), ("mnist",))
LARGEST = {"steps": 1_000_000, "limit": 1_000_000, "num_test": 10_000}
QUICK = {
    "steps": 40,
    "limit": 100,
    "target": 2.0,
    "num_test": 500,
    "num_seeds": 1,
}

Tasks = dict[str, Task]


@dataclasses.dataclass(frozen=True)
class Config:
    """Settings of the trained nets."""

    steps: int = 500  # Adam steps of each net of the prior, 32 images each
    limit: int = 2000  # steps at most of the nets of sharing
    target: float = 0.05  # train loss at which these stop, in nats
    num_test: int = 2000  # test images of MNIST at most
    tasks: str = "all"  # or a comma list of field, location, textures, mnist, sharing

    def __post_init__(self):
        for name, largest in LARGEST.items():
            value = getattr(self, name)
            if not 1 <= value <= largest:
                raise ValueError(f"expected {name} in 1 to {largest}, got {value}")
        if not 0 < self.target <= 2:  # ln 10 = 2.3 is no learning
            raise ValueError(f"expected a target in (0, 2], got {self.target}")
        self.chosen()

    def chosen(self):
        """The tasks that are asked for."""
        return listed("tasks", self.tasks, ALL_TASKS)


def run(keys: jax.Array, config: Config, lab: Lab) -> Metrics:
    """Trains every net; every metric per seed."""
    known = all_tasks(lab, config)
    asked = [each for each in config.chosen() if each in known or each == "sharing"]
    # Tasks of one kind of image share a program, so they run one after the other.
    groups = [[name for name in group if name in asked] for group in GROUPS]
    measurements = {
        f"{group[0]}, {arm}": partial(_prior, keys, lab, known, group, arm, config)
        for group in filter(None, groups)
        for arm in ARMS
    }
    if "sharing" in asked:
        measurements |= {
            f"sharing, {arm}": partial(_sharing, keys, lab, known["field"], arm, config)
            for arm in SHARING
        }
    trained = lab.measure(
        measurements | {"law": partial(trajectory_metrics, keys, known["field"])}
    )
    metrics = {name: each for name, each in trained.items() if ", " not in name}
    for name in asked:
        arms = SHARING if name == "sharing" else ARMS
        nets = {arm: trained[f"{name}, {arm}"] for arm in arms}
        if name == "sharing":
            metrics |= sharing_metrics(nets, config.target)
        else:
            metrics |= task_metrics(name, known[name], nets)
    return metrics


def all_tasks(lab: Lab, config: Config) -> Tasks:
    """The tasks by name; MNIST where it is the run's data."""
    known = fields(lab.data("digits"))
    known["textures"] = textures(lab.whole_photographs())
    if lab.data_name == "mnist":
        known["mnist"] = mnist(lab.data(), max(SIZES), config.num_test)
    return known


def _prior(keys, lab: Lab, known: Tasks, names: list[str], arm: str, config: Config):
    return {
        f"{name}, {arm}": train_prior(keys, lab, known[name], name, arm, config.steps)
        for name in names
    }


def _sharing(keys, lab: Lab, task: Task, arm: str, config: Config):
    trained = train_sharing(keys, lab, task, arm, config.limit, config.target)
    return {f"sharing, {arm}": trained}
