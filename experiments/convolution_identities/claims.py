"""What the notes state about convolution, with rules and controls."""

from experiments.convolution_identities.claims_of_layers import LAYERS
from experiments.convolution_identities.rules import both, equal, tolerance
from experiments.harness.claims import Claim, Control, Expected, Part

_ORDERS: tuple[tuple[str, str, Expected], ...] = (
    ("max", "max pooling; sigmoid, tanh, ReLU", "yes"),
    ("max-nonmonotone", "max pooling; SiLU and GELU, which are not monotone", "no"),
    ("avg", "average pooling; sigmoid, tanh, ReLU", "no"),
)


_COMMUTING = (
    tolerance(
        "commutes-by-flip/convolution",
        "True convolution commutes because of the flip: a * b = b * a.",
        "S1 1.1",
        "yes",
        1e-5,
    ),
    tolerance(
        "commutes-by-flip/correlation",
        "Cross-correlation, without the flip, commutes as well.",
        "S1 1.1",
        "no",
        1e-5,
    ),
    equal(
        "multichannel-commutes/only-if",
        "Multichannel convolutions commute only if each has as many outputs as inputs "
        "(pairs of layers that could commute although they have not).",
        "S1 3.2",
        "law",
        "yes",
        controls=(
            Control(
                id="multichannel-commutes/only-if:square",
                statement="Layers with as many outputs as inputs, 1 to 4, can be put "
                "in both orders.",
                metric="multichannel-commutes/square",
                relation="=",
                threshold=4,
            ),
        ),
    ),
    tolerance(
        "multichannel-commutes/if",
        "Multichannel convolutions commute if each has as many outputs as inputs (the "
        "converse, often read into it).",
        "S1 3.2",
        "no",
        1e-5,
        (
            Control(
                id="multichannel-commutes/if:depthwise",
                statement="Depthwise convolutions, which mix no channels, commute.",
                metric="multichannel-commutes/depthwise",
                relation="<",
                threshold=1e-5,
            ),
        ),
    ),
    Claim(
        id="flip-is-learned-away",
        statement="Learning absorbs the flip: cross-correlation serves as well.",
        source="S1 1.1",
        kind="law",
        expected="yes",
        metric="flip-is-learned-away/flipped",
        relation="<",
        threshold=1e-4,
        controls=(
            Control(
                id="flip-is-learned-away:unflipped",
                statement="Started with the same kernel, not the flipped one, the nets "
                "stay apart.",
                metric="flip-is-learned-away/unflipped",
                relation=">",
                threshold=1e-2,
            ),
            Control(
                id="flip-is-learned-away:learned",
                statement="The nets learn: the loss falls to less than half.",
                metric="flip-is-learned-away/loss",
                relation="<=",
                threshold=0.5,
            ),
        ),
    ),
)

_DENOISES = (
    both(
        "averaging-denoises/variance",
        "A weighted average of neighbors gives an estimate of lower noise: its "
        "variance is σ²Σw², and Σw² < 1.",
        "S1 1.1",
        "law",
        "yes",
        Part(metric="averaging-denoises/variance", relation="<", threshold=1e-6),
        Part(metric="averaging-denoises/below", relation=">", threshold=0),
    ),
    Claim(
        id="averaging-denoises/total-error",
        statement="A weighted average of neighbors gives an estimate of lower noise "
        "(total error of photographs, blur included; noise of 0.1 of full scale, "
        "binomial 3 x 3; filtered over raw).",
        source="S1 1.1",
        kind="conditional",
        expected="open",
        metric="averaging-denoises/total-error",
        relation="<",
        threshold=1,
        estimate="ratio",
        replicate="photograph",
    ),
)

_ALGORITHMS = (
    tolerance(
        "fourier/identity",
        "Convolution is a pointwise product in the Fourier domain.",
        "S1 4.1",
        "yes",
        1e-4,
    ),
    tolerance(
        "im2col/equal",
        "im2col makes a convolution one matrix product.",
        "S0 4.4",
        "yes",
        1e-5,
    ),
    equal(
        "im2col/orientation",
        "The rows of im2col's matrix follow the windows, its columns the kernel (rows "
        "of the note's own matrix, 6 x 6 image, 3 x 3 kernel, 16 windows).",
        "S0 4.4",
        "count",
        "no",
        16,
    ),
    *(
        tolerance(
            f"activation-pool-order/{name}",
            f"Activation after pooling, as in LeNet, equals activation before ({arm}).",
            "S1 5.1",
            expected,
            1e-6,
        )
        for name, arm, expected in _ORDERS
    ),
)

CLAIMS = (*_COMMUTING, *LAYERS, *_DENOISES, *_ALGORITHMS)
