"""What the notes state about the speed of convolution, with rules and controls."""

from experiments.convolution_speed.shapes import IM2COL_SHAPES
from experiments.harness.claims import Claim, Control, Part

_TOLERANCE = 1e-4


def _agree(row: str) -> Control:
    return Control(
        id=f"{row}:same-answer",
        statement="What is timed computes the same convolution.",
        kind="law",
        metric=f"{row}-error",
        relation="<",
        threshold=_TOLERANCE,
    )


CLAIMS = (
    Claim(
        id="fourier/faster",
        statement="For some sizes convolution by Fourier transform is faster than the "
        "naive way.",
        source="S1 4.1",
        kind="conditional",
        expected="yes",
        metric="naive-over-fourier",
        relation=">",
        threshold=1.2,
        estimate="timing",
        controls=(_agree("fourier"),),
    ),
    Claim(
        id="im2col/faster",
        statement="im2col accelerates convolution.",
        source="S0 4.4",
        kind="conditional",
        expected="yes",
        parts=tuple(
            Part(
                metric=f"loops-over-im2col/{name}",
                relation=">",
                threshold=1.2,
                estimate="timing",
            )
            for name in IM2COL_SHAPES
        ),
        controls=(_agree("im2col"),),
    ),
)
