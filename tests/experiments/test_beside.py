"""A training gives the same bits alone and beside another one.

With two threads it does not: see the module docstring of `environment`.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

BESIDE = """
import threading

from experiments.harness import environment

environment.restart()

import jax
import numpy as np

from experiments.harness.lab import Lab
from experiments.harness.seeds import keys
from experiments.pooling_robustness import moving_images, moving_nets

lab = Lab("digits", None, lambda *_, **__: None, lambda *_: None)
task = moving_images.task_of(lab, 4000, 50)


def train(arm, steps):
    trained = moving_nets.train(keys(0, 2), lab, task, arm, steps)
    return np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(trained.params)])


def others():
    while not done.is_set():
        train("polyphase", 100)


alone = train("circular", 150)
done = threading.Event()
thread = threading.Thread(target=others)
thread.start()
beside = train("circular", 150)
done.set()
thread.join()
print(np.array_equal(alone, beside))
"""


@pytest.mark.exhaustive
def test_a_training_beside_another_gives_the_bits_it_gives_alone(tmp_path: Path):
    path = tmp_path / "beside.py"
    path.write_text(BESIDE)
    variables = {k: v for k, v in os.environ.items() if k != "XLA_FLAGS"}
    ended = subprocess.run(
        [sys.executable, str(path)],
        env=variables | {"PYTHONPATH": os.getcwd()},
        capture_output=True,
        text=True,
    )
    assert ended.stdout == "True\n", ended.stderr
