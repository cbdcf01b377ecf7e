"""Trainings on 1 and on 8 devices of one process: `python -m tests.harness.devices`.

Prints, by name, how far params are from those on one device, and what the log says.
To be run with `--xla_force_host_platform_device_count=8` in XLA_FLAGS.
"""

import json
from functools import partial
from typing import Any

import jax
import numpy as np

from experiments.harness import placement, seeds
from experiments.harness.lab import Lab
from tests.harness.nets import SOURCE

NUM_SEEDS = 5


def main() -> None:
    study: dict[str, Any] = {"__name__": "nets"}
    exec(SOURCE, study)
    chunk = partial(study["chunk"], config=study["training_config"]())
    program = seeds.over_seeds(chunk, batch_size=study["BATCH"])
    start = seeds.over_seeds(partial(study["init"], config=study["training_config"]()))
    states = start(seeds.keys(0, NUM_SEEDS))
    data = study["examples"](10)
    placed: list[dict[str, Any]] = []

    def log(event: str, **fields: Any) -> None:
        if event == "placed":
            placed.append(fields)

    def on(num_devices: int, **options: Any) -> Lab:
        devices = jax.devices()[:num_devices]
        placement.usable_devices = lambda: (devices, "")
        return Lab("digits", None, log, lambda *_: None, **options)

    def fit(number: int, lab: Lab, chunk: Any = program, examples: Any = data):
        first = jax.tree.map(lambda leaf: leaf[:number], states)
        after = lab.fit(chunk, first, examples, num_chunks=1, label="net")
        spread = [len(leaf.sharding.device_set) for leaf in jax.tree.leaves(after)]
        assert max(spread) == 1
        return study["flat"](after.params)

    def streamed(num_devices: int):
        """Trained on digits that are read as they are needed, for each seed its own."""
        lab = on(num_devices, stream=0)
        over = seeds.over_seeds(partial(study["in_order"], data))
        sizes = {"batch_size": study["BATCH"], "steps": 10}
        with lab.stream(states.key, **sizes) as stream:
            return fit(
                NUM_SEEDS, lab, lambda states, item: over((item, states)), stream
            )

    alone = fit(NUM_SEEDS, on(1))
    one = jax.tree.map(lambda leaf: leaf[2], states)
    single = jax.tree.map(lambda leaf: leaf[None], jax.jit(chunk)(one, data)[0])
    found = {
        "a single run": study["flat"](single.params) - alone[2:3],
        "5 seeds on 8": fit(5, on(8)) - alone,
        "called by a chunk": fit(5, on(8), lambda *given: program(*given)) - alone,
        "3 seeds on 8": fit(3, on(8)) - alone[:3],
        "vmap on 8": fit(5, on(8, seeds_by="vmap")) - alone,
        "5 streams on 8": streamed(8) - streamed(1),
    }
    gaps = {name: float(np.abs(gap).max()) for name, gap in found.items()}
    shares = [each["batch_shared_by"] for each in placed]
    print(json.dumps({"gaps": gaps, "shares": shares, "placed": placed}))


if __name__ == "__main__":
    main()
