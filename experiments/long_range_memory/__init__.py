"""Which nets remember what they read a hundred steps ago, convolutional or recurrent?

Three kinds of task, every one with the loss of the best guess that uses no input:

    copy memory  10 symbols out of 8, recalled after T steps   10 ln 8 / (T + 20)
    adding       the sum of two marked numbers among T         1/6
    digits       the class of an image read pixel by pixel,    ln 10, 10 % right
                 row by row or in a fixed random order

The losses are the cross-entropy, of copy memory the mean over all T + 20 outputs, and
the squared error. On copy memory the blind guess loses the same on every sequence; on
adding it is a sum of 1, whose mean (sum − 1)² over 250 sequences is up to an eighth off
1/6. The measured quantity is test loss / that of the blind guess on the same sequences,
after a fixed number of Adam steps of 32 sequences, for a plain RNN (tanh), the same
with an orthogonal recurrent kernel, LSTM (forget bias 1), GRU, a shallow CNN (one
residual block that sees less than a twentieth of the sequence) and a dilated causal CNN
(blocks of dilation 1, 2, 4, ..., 8 taps, until they see half as much again as is
needed), at equal parameters within 5 %.
A ratio above 0.9 means no long-range dependence in what was learned so far, below 0.1
all of the sequence. Verdicts judge its geometric mean over seeds; tables show
arithmetic means of the losses, which a single seed that has not learned decides.

Where the validation loss, its geometric mean over seeds, still fell by more than 5 %
over the last tenth of the budget, more training would have lowered the ratio: a
recurrent net above 0.1 is then censored, not refuted, and a CNN above 0.9 is censored,
not supported as having no memory.

A recurrent net that were deaf to its input would end at the blind guess, so each has to
get more than 20 % of the 8x8 digits row by row right on every seed: what it shows of
copy memory and adding without --tasks=...,sequential is invalid. With --data=mnist the
recurrent nets are trained on the 8x8 digits for that as well, since MNIST's 784 steps
are long-range memory themselves. No claim depends on the data set, which tables and
figures show alone.

Training sequences are new at every step, validation and test sequences always the same;
of eight learning rates from 0.0001 to 0.3 each net has the one whose validation ratio,
its geometric mean over three other seeds, is lowest, at T = 100 and on the digits row
by row (module tuning; nets that learn nothing at any rate have the largest that does no
harm). Other lengths take the same, so that a net may do worse there for its rate alone;
but the GRU, which diverges, adds 500 numbers and more at a rate that was tuned there.
MNIST's images have the best of three rates on them.
Gradients longer than 1 are shortened to 1. Published numbers stand beside ours (Bai et
al. 2018), from longer training, 70 thousand parameters (16 on copy memory), 600 or
1,000 steps, weight normalization and dropout, and MNIST in place of 8x8 digits.

Expected: what lies outside the window is lost on the shallow CNN whatever its training,
the dilated one does every task (in the published run one seed of five is slow to add),
and of the recurrent nets those with gates add but do not copy within this budget. On
CPUs, an RNN step may well take no longer than a CNN's: at equal parameters both
multiply equally often, but the CNN in matrices a seventh as wide, after a copy of every
input for each tap.

Takes 9 minutes of CPU time for 5 seeds, and half a minute with --quick. Longer
sequences: --length=200 takes 23 minutes of CPU time, --length=1000 --nets=dilated
--tasks=copy as many; there four of five seeds copy. An hour of it takes --length=500
--nets=lstm,gru,dilated --tasks=copy,adding,sequential. A seed whose loss leaves the
finite numbers is counted in tables and figures, and makes its claims invalid. Data:
digits (64 pixels) or MNIST (784; 1,000 images each for validation and test), which
takes an hour on two cores.
"""

import dataclasses
from functools import partial

import jax

from experiments.harness.claims import Metrics
from experiments.harness.lab import Lab
from experiments.harness.listed import listed
from experiments.long_range_memory.claims import CLAIMS, MADE
from experiments.long_range_memory.figures import plot
from experiments.long_range_memory.nets import CONVOLUTIONAL, RECURRENT, build
from experiments.long_range_memory.results import (
    HEARD,
    Result,
    Results,
    net_metrics,
    shown,
)
from experiments.long_range_memory.tasks import Sets, Task, problem
from experiments.long_range_memory.timing import UNSHARED, prepare, timing_metrics
from experiments.long_range_memory.training import learning_rate, train
from experiments.long_range_memory.windows import window_metrics

__all__ = ["CLAIMS", "DATA", "QUICK", "Config", "plot", "run"]

DATA = ("digits", "mnist")
ALL_NETS = ("rnn", "orthogonal", "lstm", "gru", "shallow", "dilated")
ALL_TASKS = ("copy", "adding", "sequential", "permuted")
HEARD_DATA = "digits"
SHORTEST = 61  # a twentieth of it still holds two taps twice
LARGEST = {
    "length": 10_000,
    "steps": 1_000_000,
    "digit_steps": 1_000_000,
    "num_held_out": 10_000,
}
QUICK = {
    "length": 61,
    "steps": 20,
    "tasks": "copy,adding",
    "num_held_out": 50,
    "num_seeds": 1,
}


@dataclasses.dataclass(frozen=True)
class Config:
    """Settings of the tasks and of the training."""

    length: int = 100  # T of copy memory and adding, from 61 on
    steps: int = 1000  # Adam steps on copy memory and on adding, a multiple of 20
    digit_steps: int = 600  # Adam steps on each digit task, a multiple of 20
    num_held_out: int = 250  # validation sequences, and as many for the test
    nets: str = "all"  # or a comma list
    tasks: str = "all"  # or a comma list of copy, adding, sequential, permuted

    def __post_init__(self):
        self.chosen("nets")
        self.chosen("tasks")
        for name, largest in LARGEST.items():
            least = SHORTEST if name == "length" else 1
            value = getattr(self, name)
            if not least <= value <= largest:
                raise ValueError(
                    f"expected {name} in {least} to {largest}, got {value}"
                )
        for name in ("steps", "digit_steps"):
            if getattr(self, name) % 20:
                raise ValueError(
                    f"expected {name} as a multiple of 20, got {getattr(self, name)}"
                )

    def chosen(self, name):
        """The nets or the tasks, in their fixed order."""
        known = ALL_NETS if name == "nets" else ALL_TASKS
        return listed(name, getattr(self, name), known)


def run(keys: jax.Array, config: Config, lab: Lab) -> Metrics:
    """Trains every net on every task; every metric per seed."""
    names, tasks = config.chosen("nets"), config.chosen("tasks")
    size = config.num_held_out
    problems = {name: problem(name, config.length, size, lab.data) for name in tasks}
    heard = ()  # what shows that a net is not deaf, if no task does
    if "sequential" in tasks and lab.data_name != HEARD_DATA:
        heard, load = (HEARD,), partial(lab.data, HEARD_DATA)
        problems[HEARD] = problem("sequential", config.length, size, load)

    def fit(name: str, task_names: tuple[str, ...]) -> Results:
        results = {}
        for task_name in task_names:
            task, sets = problems[task_name]
            steps = config.steps if task_name in MADE else config.digit_steps
            net = build(name, task)
            of = HEARD_DATA if task_name == HEARD else lab.data_name
            rate = learning_rate(name, task, of)
            label = f"{name}, {task_name}"
            trained = train(keys, lab, net, task, sets, steps, rate, label)
            results[f"{name}-{task_name}"] = Result(net, task_name, task, trained)
        return results

    # Both digit tasks share a program, so they run one after the other.
    groups = (("copy",), ("adding",), ("sequential", "permuted"))
    asked = [tuple(each for each in group if each in tasks) for group in groups]
    pairs = [(name, group) for group in filter(None, asked) for name in names]
    pairs += [(name, heard) for name in names if heard and name in RECURRENT]
    results = lab.measure(
        {f"{name}, {group[0]}": partial(fit, name, group) for name, group in pairs}
    )
    metrics = {**net_metrics(results), **shown(results, names, tasks)}
    if {"rnn", *CONVOLUTIONAL} <= set(names) and set(MADE) <= set(tasks):
        nets = {arm: (each.net, each.trained.params) for arm, each in results.items()}
        metrics |= window_metrics(nets)
    if {"rnn", "dilated"} <= set(names) and "copy" in tasks:
        metrics |= _timed(keys, lab, names, problems["copy"])
    return metrics


def _timed(
    keys: jax.Array, lab: Lab, names: tuple[str, ...], copy: tuple[Task, Sets]
) -> Metrics:
    """Seconds of a step: compiled two at a time, timed alone."""
    timed = (*names, UNSHARED)
    calls = {}

    def prepared(name: str) -> Metrics:
        calls[name] = prepare(keys, name, *copy)
        return {}

    lab.measure({f"{name}, one step": partial(prepared, name) for name in timed})
    return timing_metrics(lab, {name: calls[name] for name in timed})
