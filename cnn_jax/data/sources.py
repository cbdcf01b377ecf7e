"""What is known of each data set before it is read."""

from dataclasses import dataclass

from cnn_jax.data.errors import DataError

PARTS = ("train", "test")


@dataclass(frozen=True)
class Source:
    """A data set of square images of ten digits, as its builder prepares it.

    Attributes:
      version: of the builder; data made by another version is not read.
      edge: images are edge × edge × 1 pixels.
      white: the integer that stands for full intensity.
      canvas: (edge of the image, edge of the canvas) of the view "canvas".
    """

    name: str
    version: str
    description: str
    edge: int
    white: int
    num_train: int
    num_test: int
    canvas: tuple[int, int]
    num_classes: int = 10

    def size(self, part: str) -> int:
        """The number of examples of "train" or "test"."""
        return {"train": self.num_train, "test": self.num_test}[part]


SOURCES = {
    "digits": Source(
        name="digits",
        version="1.0.0",
        description="1,797 real digits",
        edge=8,
        white=16,
        num_train=1437,
        num_test=360,
        canvas=(20, 32),
    ),
    "mnist": Source(
        name="mnist",
        version="3.0.1",
        description="70,000 real digits (MNIST)",
        edge=28,
        white=255,
        num_train=60_000,
        num_test=10_000,
        canvas=(28, 40),
    ),
}


def names() -> tuple[str, ...]:
    """The data sets that `load` knows."""
    return tuple(SOURCES)


def describe(name: str) -> str:
    """A short phrase for a data set, such as "1,797 real digits"."""
    return find(name).description


def find(name: str) -> Source:
    """The source of that name.

    Raises:
      DataError: there is none; the nearest name is offered.
    """
    if name in SOURCES:
        return SOURCES[name]
    import difflib

    near = difflib.get_close_matches(name, SOURCES, n=1, cutoff=0.5)
    offer = f'did you mean "{near[0]}"? ' if near else ""
    raise DataError(f'no data set "{name}": {offer}there are {", ".join(SOURCES)}')
