"""How often a verdict is wrong: `python -m tests.harness.error_rates` prints the table.

Every simulated run has its true value exactly on the threshold of "> 0" (or of the
ratio's "> 1"), where supported and refuted are equally wrong. Accuracies come from
superpopulations of test images in which both arms are equally good: each simulated run
draws its own test set, and each seed its own errors on it.
"""

from collections import Counter
from collections.abc import Callable
from itertools import repeat

import numpy as np
import numpy.typing as npt

from experiments.harness.claims import Part
from experiments.harness.findings import decide
from experiments.harness.intervals import INTERVALS, LEVEL, Array, timing_interval

RUNS = 20_000
BATCH = 500
IMAGES = 360

Mask = npt.NDArray[np.bool_]
Draw = Callable[[np.random.Generator, int, int], Array]


def normal(generator: np.random.Generator, runs: int, seeds: int) -> Array:
    return generator.normal(size=(runs, seeds))


def uniform(generator: np.random.Generator, runs: int, seeds: int) -> Array:
    return generator.uniform(-1, 1, size=(runs, seeds))


def exponential(generator: np.random.Generator, runs: int, seeds: int) -> Array:
    return generator.exponential(size=(runs, seeds)) - 1


def lognormal(generator: np.random.Generator, runs: int, seeds: int) -> Array:
    return generator.lognormal(size=(runs, seeds)) - np.exp(0.5)


def lognormal_ratio(generator: np.random.Generator, runs: int, seeds: int) -> Array:
    return generator.lognormal(size=(runs, seeds))


def one_arm_hard(generator: np.random.Generator, runs: int, seeds: int) -> Array:
    """2 % persistently hard for the first arm, 2 % random errors in the second."""
    first = _hard(generator, runs, 0.02)
    second = generator.random((runs, seeds, IMAGES)) < 0.02
    return _points(first, second)


def one_arm_rarely_hard(generator: np.random.Generator, runs: int, seeds: int) -> Array:
    """The same at 0.5 %: one test set in six holds no hard image at all."""
    first = _hard(generator, runs, 0.005)
    second = generator.random((runs, seeds, IMAGES)) < 0.005
    return _points(first, second)


def one_arm_hard_only(generator: np.random.Generator, runs: int, seeds: int) -> Array:
    """2 % persistently hard for the first arm, nothing else differs; 2 points off."""
    first = _hard(generator, runs, 0.02)
    never = np.zeros((runs, seeds, IMAGES), np.bool_)
    return _points(first | never, never) + 2


def both_arms_hard(generator: np.random.Generator, runs: int, seeds: int) -> Array:
    """2 % persistently hard for each arm, other ones; 0.5 % random errors in both."""
    wrong = [
        _hard(generator, runs, 0.02) | (generator.random((runs, seeds, IMAGES)) < 0.005)
        for _ in range(2)
    ]
    return _points(*wrong)


def uneven_seeds(generator: np.random.Generator, runs: int, seeds: int) -> Array:
    """The same where a seed's random errors are a draw from 0 to 4 %, sd 1.2 points."""
    wrong = [
        _hard(generator, runs, 0.02)
        | (
            generator.random((runs, seeds, IMAGES))
            < generator.uniform(0, 0.04, size=(runs, seeds, 1))
        )
        for _ in range(2)
    ]
    return _points(*wrong)


def graded(generator: np.random.Generator, runs: int, seeds: int) -> Array:
    """Every image as hard for an arm as a draw from Beta(0.05, 1.5), 3 % on average."""
    wrong = [
        generator.random((runs, seeds, IMAGES))
        < generator.beta(0.05, 1.5, size=(runs, 1, IMAGES))
        for _ in range(2)
    ]
    return _points(*wrong)


def no_hard_images(generator: np.random.Generator, runs: int, seeds: int) -> Array:
    """3 % random errors in each arm: b has nothing to add."""
    wrong = generator.random((2, runs, seeds, IMAGES)) < 0.03
    return _points(*wrong)


def _points(first_wrong: Mask, second_wrong: Mask) -> Array:
    return 100 * (second_wrong.astype(np.float64) - first_wrong)


def _hard(generator: np.random.Generator, runs: int, share: float) -> Mask:
    return generator.random((runs, 1, IMAGES)) < share


def fair_draws(generator: np.random.Generator, runs: int, seeds: int) -> Array:
    """100 draws per seed, each a hit with probability 1/2."""
    hits = generator.binomial(100, 0.5, size=(runs, seeds)).astype(np.float64)
    return np.stack([hits, np.full_like(hits, 100)], axis=-1)


def uneven_draws(generator: np.random.Generator, runs: int, seeds: int) -> Array:
    """The same where a seed's own share is a draw from Beta(10, 10), sd 0.11."""
    shares = generator.beta(10, 10, size=(runs, seeds))
    hits = generator.binomial(100, shares).astype(np.float64)
    return np.stack([hits, np.full_like(hits, 100)], axis=-1)


MEAN = Part(metric="difference", relation=">", threshold=0.0)
RATIO = Part(metric="ratio", relation=">", threshold=1.0, estimate="ratio")
SHARE = Part(metric="share", relation=">", threshold=0.5, estimate="share")
ACCURACY = Part(metric="lost", relation=">", threshold=0.0, estimate="accuracy")
TIMING = Part(metric="seconds", relation=">", threshold=1.0, estimate="timing")

NORMAL = {"normal": (MEAN, normal)}
ACCURACIES: dict[str, tuple[Part, Draw]] = {
    "accuracy, one arm hard 2 %, other random 2 %": (ACCURACY, one_arm_hard),
    "accuracy, one arm hard 2 %, other constant": (ACCURACY, one_arm_hard_only),
    "accuracy, each arm hard 2 %, other images": (ACCURACY, both_arms_hard),
    "accuracy, the same and seeds differ (sd 1.2 points)": (ACCURACY, uneven_seeds),
    "accuracy, graded difficulty": (ACCURACY, graded),
    "accuracy, no persistent difficulty": (ACCURACY, no_hard_images),
}
OTHERS: dict[str, tuple[Part, Draw]] = {
    "accuracy, one arm hard 0.5 %, other random": (ACCURACY, one_arm_rarely_hard),
    "uniform": (MEAN, uniform),
    "exponential": (MEAN, exponential),
    "lognormal (sd of log 1)": (MEAN, lognormal),
    "lognormal, as a ratio": (RATIO, lognormal_ratio),
    "share, draws independent": (SHARE, fair_draws),
    "share, differs between seeds (sd 0.11)": (SHARE, uneven_draws),
}


def error_rates(part: Part, draw: Draw, seeds: int, runs: int) -> tuple[float, float]:
    """Shares of runs that say supported and refuted where neither is right."""
    interval = INTERVALS[part.estimate]
    generator = np.random.default_rng(seeds)
    verdicts = Counter()
    for _ in range(runs // BATCH):
        low, high = interval(draw(generator, BATCH, seeds), LEVEL)
        verdicts.update(map(decide, repeat(part), low.tolist(), high.tolist()))
    return verdicts["supported"] / runs, verdicts["refuted"] / runs


def timing_error_rates(repeats: int, runs: int) -> tuple[float, float]:
    """The same for two arms of equal lognormal times, sd of log 0.2."""
    generator = np.random.default_rng(repeats)
    verdicts = Counter()
    for _ in range(runs):
        seconds = generator.lognormal(0, 0.2, size=(repeats, 2))
        verdicts[decide(TIMING, *map(float, timing_interval(seconds)))] += 1
    return verdicts["supported"] / runs, verdicts["refuted"] / runs


def main() -> None:
    print("| metric | 5 seeds | 10 seeds |\n|---|---|---|")
    for name, (part, draw) in (NORMAL | ACCURACIES | OTHERS).items():
        rates = [error_rates(part, draw, seeds, RUNS) for seeds in (5, 10)]
        print(_row(name, rates), flush=True)
    rates = [timing_error_rates(repeats, RUNS // 10) for repeats in (20, 40)]
    print(_row("timing, 20 and 40 repeats", rates))


def _row(name: str, rates: list[tuple[float, float]]) -> str:
    cells = [" / ".join(f"{100 * rate:.1f}" for rate in pair) for pair in rates]
    return f"| {name} | {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
