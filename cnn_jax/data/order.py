"""The order in which a training visits its examples, without jax.

It is the order that `cnn_jax.training.chunk` draws in its scan: epoch e of key k visits

    jax.random.permutation(fold_in(fold_in(k, 0), e), num_examples)

in batches of one size, and drops what is left over. Whoever reads examples does so in
other processes and beside a training that has the device, so this is the same function
in numpy, of the bits that jax draws by default (threefry2x32, partitionable).

A key is its two words, uint32 [2], as `jax.random.key_data` gives them.

Reference: Salmon, Moraes, Dror and Shaw 2011, Parallel random numbers: as easy as 1, 2,
3.
"""

import functools
import math

import numpy as np

_ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))
_PARITY = np.uint32(0x1BD11BDA)
_LARGEST = 2**32 - 1


def permutation(key: np.ndarray, number: int) -> np.ndarray:
    """`jax.random.permutation(key, number)`: uint32 [number].

    The numbers below `number`, sorted by random words, as often as makes an order that
    depends on equal words unlikely.

    Args:
      key: two words, uint32 [2].
      number: 0 to 2³² − 1.
    """
    order = np.arange(number, dtype=np.uint32)
    rounds = math.ceil(3 * math.log(max(1, number)) / math.log(_LARGEST))
    for _ in range(rounds):
        key, drawn = _split(key)
        order = order[np.argsort(_words(drawn, number), kind="stable")]
    return order


def fold_in(key: np.ndarray, number: int) -> np.ndarray:
    """`jax.random.fold_in(key, number)` for a number in 0 to 2³² − 1."""
    counter = np.array([number], np.uint32)
    return np.concatenate(_threefry(key, np.zeros_like(counter), counter))


@functools.lru_cache(maxsize=2)
def _epochs(
    keys: tuple[tuple[int, int], ...], epoch: int, num_examples: int
) -> np.ndarray:
    """What every key visits in an epoch: [keys, num_examples]."""
    roots = [fold_in(np.array(key, np.uint32), 0) for key in keys]
    return np.stack([permutation(fold_in(r, epoch), num_examples) for r in roots])


def batches(
    keys: np.ndarray, num_examples: int, batch_size: int, first: int, number: int
) -> np.ndarray:
    """Which examples the steps first, first + 1, ... of a training visit.

    Args:
      keys: of the trainings, uint32 [K, 2].
      num_examples: at least `batch_size`.
      batch_size: examples of one step.
      first: step, 0 or more.
      number: of steps.

    Returns:
      [K, number, batch_size] indices of examples.
    """
    names = tuple((int(high), int(low)) for high, low in keys)
    steps_per_epoch = num_examples // batch_size
    found = []
    for step in range(first, first + number):
        epoch, place = divmod(step, steps_per_epoch)
        start = place * batch_size
        order = _epochs(names, epoch, num_examples)
        found.append(order[:, start : start + batch_size])
    return np.stack(found, 1)


def _split(key: np.ndarray) -> np.ndarray:
    """`jax.random.split(key)`: [2, 2]."""
    counter = np.arange(2, dtype=np.uint32)
    return np.stack(_threefry(key, np.zeros_like(counter), counter), 1)


def _words(key: np.ndarray, number: int) -> np.ndarray:
    """`jax.random.bits(key, (number,))`."""
    counter = np.arange(number, dtype=np.uint32)
    high, low = _threefry(key, np.zeros_like(counter), counter)
    return high ^ low


def _threefry(
    key: np.ndarray, high: np.ndarray, low: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Twenty rounds over the counters high and low, uint32 [N], under a key."""
    words = [key[:1], key[1:], key[:1] ^ key[1:] ^ _PARITY]
    high, low = high + words[0], low + words[1]
    for group in range(5):
        for rotation in _ROTATIONS[group % 2]:
            high = high + low
            low = (low << np.uint32(rotation)) | (low >> np.uint32(32 - rotation))
            low = low ^ high
        high = high + words[(group + 1) % 3]
        low = low + words[(group + 2) % 3] + np.uint32(group + 1)
    return high, low
