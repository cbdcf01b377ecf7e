"""How fast whole nets train beside stock flax.linen and torch, and 32 seeds of one.

    python -m benchmarks.training

trains LeNet-5 on images of MNIST's shape and ResNet-20 on images of CIFAR-10's: ours as
chunks of steps in one program, flax.linen's layers with a jitted step in a Python loop,
and, where torch is installed, torch in a loop, after all of jax because its threads go
on spinning and slow down what follows. All take the same steps on the same batches
from the same parameters; before a net is timed its first steps are compared. The seeds
are 32 trainings of LeNet on digits, in one program and one by one, their bits compared.
About ten minutes on two idle cores. What was measured is in OUT.json after every
measurement, so that --resume can go on from there; the table is in OUT.md at the end.
"""

import argparse
import math
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks import runs
from benchmarks import training_peers as peers
from benchmarks import training_table as table
from benchmarks.measurements import Measurement
from benchmarks.timing import interleaved
from benchmarks.training_torch import from_torch, torch_training
from cnn_jax import data
from cnn_jax.models import LeNet
from cnn_jax.training import Config, Data, chunk, init
from experiments.harness.seeds import keys, over_seeds

BUDGET = 20.0  # seconds after which a measurement begins no further round
QUICK_EXAMPLES, QUICK_STEPS, QUICK_SEEDS = 512, 4, 4
REPEATS = 15
COMPARED_STEPS = 3
LARGEST_DIFFERENCE = 0.01  # relative; see `peers.gradients_apart`
SEEDS, SEED_STEPS = 32, 50
WAYS = ("in one program", "one by one")


def main(arguments: list[str] | None = None) -> None:
    options = _options(arguments)
    nets = [net for net in peers.NETS if net.name in options.nets]
    budget, num_seeds, steps = BUDGET, SEEDS, SEED_STEPS
    if options.quick:
        budget, num_seeds, steps = runs.QUICK_BUDGET, QUICK_SEEDS, QUICK_STEPS
        nets = [
            peers.brief(net, QUICK_EXAMPLES, QUICK_STEPS)
            for net in nets
            if net.batch <= 64
        ]
    told = runs.Told(table.line, table.markdown, table.targets)
    with_jax = (*of_nets(nets, budget), of_seeds(num_seeds, steps, budget))
    runs.run(options, with_jax, of_torch(nets, budget), told)


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = runs.parser("training", __doc__, "few examples, steps and seeds")
    parser.add_argument(
        "--nets",
        type=parse_nets,
        default=peers.NAMES,
        help="comma list of LeNet-5, ResNet-20; default both",
    )
    return parser.parse_args(arguments)


def parse_nets(text: str) -> tuple[str, ...]:
    """A comma list of nets."""
    names = tuple(part.strip() for part in text.split(","))
    if not set(names) <= set(peers.NAMES):
        known = ", ".join(peers.NAMES)
        raise argparse.ArgumentTypeError(f"expected some of {known}, got {text!r}")
    return names


def of_nets(nets: Sequence[peers.Net], budget: float) -> Iterator[Measurement]:
    """Ours and linen: seconds, memory and seconds to compile."""
    for net in nets:
        measured = partial(_time_libraries, net, budget)
        yield Measurement(_labels(net), peers.LIBRARIES, measured)


def of_torch(nets: Sequence[peers.Net], budget: float) -> Iterator[Measurement]:
    """torch beside what `of_nets` has measured."""
    for net in nets:
        measured = partial(_time_torch, net, budget)
        yield Measurement(_labels(net), ("torch",), measured)


def of_seeds(num_seeds: int, steps: int, budget: float) -> Measurement:
    """Trainings of LeNet on digits, in one program and one by one."""
    labels = {"kind": "seeds", "net": "LeNet", "seeds": num_seeds, "steps": steps}
    return Measurement(labels, WAYS, partial(_time_seeds, num_seeds, steps, budget))


def _labels(net: peers.Net) -> dict[str, Any]:
    examples = net.images_shape[0]
    labels = {"kind": "training", "net": net.name, "batch": net.batch}
    return {**labels, "steps": net.steps, "examples": examples}


def _time_libraries(net: peers.Net, budget: float) -> dict[str, Any]:
    start = peers.draw(net)
    programs = {name: made(net, start) for name, made in peers.PROGRAMS.items()}
    compiled, costs = compile_each(
        {name: (each.jitted, each.arguments) for name, each in programs.items()}
    )
    trains = {name: each.train(compiled[name]) for name, each in programs.items()}
    return {
        "error": checked(trains["ours"], trains["linen"]),
        **costs,
        "seconds": interleaved(_calls(trains), repeats=REPEATS, budget=budget),
    }


def _time_torch(net: peers.Net, budget: float) -> dict[str, Any]:
    start = peers.draw(net)
    train = torch_training(net, start)
    program = peers.ours(net, start)
    ours = program.train(program.jitted.lower(*program.arguments).compile())
    like = start.state.params
    error = checked(ours, lambda steps: from_torch(train(steps), like))
    seconds = interleaved(_calls({"torch": train}), repeats=REPEATS, budget=budget / 2)
    return {"torch error": error, "seconds": seconds}


def _calls(trains: dict[str, peers.Train]) -> dict[str, Callable[[], object]]:
    return {name: partial(train, None) for name, train in trains.items()}


def checked(one: peers.Train, other: peers.Train) -> float:
    """How far apart the first gradients of two trainings are, and their first losses.

    Raises:
      RuntimeError: by more than rounding, so that what is timed is not the same.
    """
    gradients = peers.gradients_apart(one(1), other(1))
    losses = peers.losses_apart(one(COMPARED_STEPS), other(COMPARED_STEPS))
    error = max(gradients, losses)
    if not error < LARGEST_DIFFERENCE:
        raise RuntimeError(f"two trainings differ by {error:.2g}, more than rounding")
    return error


def compile_each(
    programs: dict[str, tuple[Any, tuple[Any, ...]]],
) -> tuple[dict[str, Any], dict[str, dict[str, float]]]:
    """Compiles each program twice: what comes first pays for what all share.

    Args:
      programs: name -> (jitted, arguments).

    Returns:
      The compiled programs, and by what they cost: "compile" seconds, "memory" bytes.
    """
    made, memory = {}, {}
    seconds = dict.fromkeys(programs, math.inf)
    for name in (*programs, *reversed(programs)):
        jitted, arguments = programs[name]
        jax.clear_caches()
        begin = time.perf_counter()
        made[name] = jitted.lower(*arguments).compile()
        seconds[name] = min(round(time.perf_counter() - begin, 3), seconds[name])
        sizes: Any = made[name].memory_analysis()
        memory[name] = sizes.temp_size_in_bytes + sizes.output_size_in_bytes
    return made, {"compile": seconds, "memory": memory}


def _time_seeds(num_seeds: int, steps: int, budget: float) -> dict[str, Any]:
    programs = seed_programs(num_seeds, steps)
    compiled, costs = compile_each(
        {way: (each.jitted, each.arguments) for way, each in programs.items()}
    )
    calls = {way: each.train(compiled[way]) for way, each in programs.items()}
    return {
        "same bits": same_bits(*(calls[way]() for way in WAYS)),
        **costs,
        "seconds": interleaved(calls, repeats=REPEATS, budget=budget),
    }


def seed_programs(num_seeds: int, steps: int) -> dict[str, peers.Program]:
    """The trainings of LeNet in one program, and the program of one of them."""
    digits = data.load("digits").train
    config = Config(LeNet(), digits.images.shape[1:], chunk_steps=steps)
    examples = Data(*map(jnp.asarray, (digits.images, digits.labels, 0, steps)))
    states = jax.vmap(partial(init, config=config))(keys(0, num_seeds))
    singles = [jax.tree.map(lambda a, i=i: a[i], states) for i in range(num_seeds)]
    step = partial(chunk, config=config)
    # As `Lab.fit` runs seeds: one after the other on a CPU, side by side elsewhere.
    on_cpu = jax.default_backend() == "cpu"
    together = over_seeds(step) if on_cpu else jax.vmap(step, (0, None))

    def one_by_one(compiled: Callable[..., Any]) -> Callable[[], Any]:
        return lambda: [compiled(one, examples) for one in singles]

    given = (states, examples)
    in_one = peers.Program(jax.jit(together), given, lambda made: partial(made, *given))
    single = peers.Program(jax.jit(step), (singles[0], examples), one_by_one)
    return dict(zip(WAYS, (in_one, single), strict=True))


def same_bits(together: Any, apart: Sequence[Any]) -> bool:
    """Whether params, moments and logs are those of single runs, to the bit.

    Args:
      together: leaves [seeds, ...].
      apart: the same of each seed; keys are not looked at.
    """
    pairs = [
        (leaf[seed], other)
        for seed, each in enumerate(apart)
        for leaf, other in zip(
            jax.tree.leaves(together), jax.tree.leaves(each), strict=True
        )
    ]
    return all(
        np.array_equal(a, b)
        for a, b in pairs
        if not jnp.issubdtype(a.dtype, jax.dtypes.prng_key)
    )


if __name__ == "__main__":
    main()
