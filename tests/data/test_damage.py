"""Damage to any file of a prepared data set: the right numbers, or one clear line."""

import random
import re
import warnings
from pathlib import Path

import numpy as np
import pytest

from cnn_jax import data
from cnn_jax.data import prepared, sources
from tests.data.small_mnist import holds_the_small_set

FILES = (
    "dataset_info.json",
    "features.json",
    "mnist-train.array_record-00000-of-00001",
    "mnist-test.array_record-00000-of-00001",
)
exhaustive = pytest.mark.exhaustive
BLOCK = 1 << 16  # a file cut to whole ones reads as one of empty records


@pytest.fixture
def intact(data_dir: Path) -> dict[str, np.ndarray]:
    assert holds_the_small_set(data.load("mnist", data_dir=data_dir))
    return read(data_dir)


def read(data_dir: Path) -> dict[str, np.ndarray]:
    source = sources.SOURCES["mnist"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # tfds about a module that is named otherwise
        return prepared.read(prepared.require(data_dir, source), source)


def outcome(data_dir: Path, intact: dict[str, np.ndarray]) -> str:
    """What reading gave: "right", or the line that tells why nothing was read."""
    try:
        found = read(data_dir)
    except data.DataError as error:
        line = str(error)
        if not re.fullmatch(rf"mnist: .*{re.escape(str(data_dir))}.*", line):
            pytest.fail(line)
        return line
    assert found.keys() == intact.keys()
    for name, array in intact.items():
        np.testing.assert_array_equal(found[name], array)
    return "right"


def bits(content: bytes, number: int | None) -> list[int]:
    """So many bits of what a file says, all for None; not of the zeros that fill it."""
    used = [place for place, byte in enumerate(content) if byte]
    found = [8 * place + bit for place in used for bit in range(8)]
    return found if number is None else random.Random(0).sample(found, number)


def flip_each(
    data_dir: Path, intact: dict[str, np.ndarray], file: str, number: int | None
) -> list[str]:
    path = data_dir / "mnist" / "3.0.1" / file
    content = path.read_bytes()
    told = []
    for bit in bits(content, number):
        damaged = bytearray(content)
        damaged[bit // 8] ^= 1 << bit % 8
        path.write_bytes(damaged)
        told.append(outcome(data_dir, intact))
    return told


@pytest.mark.parametrize("number", [60, pytest.param(None, marks=exhaustive)])
@pytest.mark.parametrize("file", FILES)
def test_a_flipped_bit_is_told_or_harmless(data_dir, intact, file, number):
    lines = flip_each(data_dir, intact, file, number)
    told = [line for line in lines if line != "right"]
    if file.endswith("json"):  # of a description most bits change nothing
        assert lines
    else:
        assert all(file in line for line in told)
        assert len(told) > len(lines) / 2


@pytest.mark.parametrize("file", FILES)
def test_a_file_that_was_cut_is_told(data_dir, intact, file):
    path = data_dir / "mnist" / "3.0.1" / file
    content = path.read_bytes()
    sizes = {0, 1, len(content) // 2, len(content) - 1}
    for size in sizes | {BLOCK, BLOCK + 1} if len(content) > BLOCK else sizes:
        path.write_bytes(content[:size])
        assert file in outcome(data_dir, intact), size
    path.unlink()
    assert file in outcome(data_dir, intact)
