"""What the notes state about convolution, with rules and controls."""

from experiments.harness.claims import Claim, Control, Expected, Kind, Part

_PADDINGS: tuple[tuple[str, Expected], ...] = (
    ("full", "yes"),
    ("circular", "yes"),
    ("same", "no"),
    ("valid", "no"),
)
_FORMULAS = (
    ("valid", "m-f+1 without padding", "S1 3.3"),
    ("same", "m with p = (f-1)/2 (f odd, stride 1)", "S1 3.3"),
    ("full", "m+f-1 with full padding", "S1 3.3"),
    ("strided", "⌊(m+2p-f)/s⌋ + 1", "S1 3.4"),
    ("dilated", "that of a kernel of f+(f-1)(r-1) at rate r", "S1 4.3"),
)
_ORDERS: tuple[tuple[str, str, Expected], ...] = (
    ("max", "max pooling; sigmoid, tanh, ReLU", "yes"),
    ("max-nonmonotone", "max pooling; SiLU and GELU, which are not monotone", "no"),
    ("avg", "average pooling; sigmoid, tanh, ReLU", "no"),
)


def _tolerance(
    identifier: str,
    statement: str,
    source: str,
    expected: Expected,
    threshold: float,
    controls: tuple[Control, ...] = (),
) -> Claim:
    """A law whose relative error, the metric of the claim's own name, is rounding."""
    return Claim(
        id=identifier,
        statement=statement,
        source=source,
        kind="law",
        expected=expected,
        metric=identifier,
        relation="<",
        threshold=threshold,
        controls=controls,
    )


def _equal(
    identifier: str,
    statement: str,
    source: str,
    kind: Kind,
    expected: Expected,
    threshold: float = 0,
    controls: tuple[Control, ...] = (),
) -> Claim:
    """A number, the metric of the claim's own name, that is what is stated."""
    return Claim(
        id=identifier,
        statement=statement,
        source=source,
        kind=kind,
        expected=expected,
        metric=identifier,
        relation="=",
        threshold=threshold,
        controls=controls,
    )


def _both(
    identifier: str,
    statement: str,
    source: str,
    kind: Kind,
    expected: Expected,
    *parts: Part,
) -> Claim:
    return Claim(
        id=identifier,
        statement=statement,
        source=source,
        kind=kind,
        expected=expected,
        parts=parts,
    )


_COMMUTING = (
    _tolerance(
        "commutes-by-flip/convolution",
        "True convolution commutes because of the flip: a * b = b * a.",
        "S1 1.1",
        "yes",
        1e-5,
    ),
    _tolerance(
        "commutes-by-flip/correlation",
        "Cross-correlation, without the flip, commutes as well.",
        "S1 1.1",
        "no",
        1e-5,
    ),
    _equal(
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
    _tolerance(
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

_DENSE = (
    _both(
        "conv-is-matrix",
        "A convolution is a dense layer under an infinitely strong prior: local and "
        "tied (its matrix holds no more numbers than its kernel).",
        "S1 2.4",
        "law",
        "yes",
        Part(metric="conv-is-matrix/outputs", relation="<", threshold=1e-5),
        Part(metric="conv-is-matrix/distinct", relation="=", threshold=0),
    ),
    _equal(
        "weights-used-everywhere/dense",
        "A weight of a dense layer is used once.",
        "S0 4.3, S1 1.2, S2 1.2",
        "count",
        "yes",
        1,
    ),
    *(
        _equal(
            f"weights-used-everywhere/{padding}",
            f"Every element of a kernel is used on every input position ({padding} "
            "padding; uses over pixels).",
            "S0 4.3, S1 1.2, S2 1.2",
            "count",
            expected,
            1,
        )
        for padding, expected in _PADDINGS
    ),
    _tolerance(
        "dense-to-conv",
        "A dense layer is a convolution over the whole map, so a classifier slides "
        "over larger images.",
        "S0 references",
        "yes",
        1e-5,
    ),
    _equal(
        "sparse-cost",
        "m inputs, n outputs, k taps: a dense layer takes m·n multiplications and "
        "parameters, a sparse one k·n, a shared one k·n multiplications and k "
        "parameters.",
        "S1 1.2, S2 1.1",
        "count",
        "yes",
        controls=(
            Control(
                id="sparse-cost:outputs",
                statement="The loops that are counted compute the layers' outputs.",
                metric="sparse-cost/outputs",
                relation="<",
                threshold=1e-5,
                kind="law",
            ),
        ),
    ),
    _both(
        "locally-connected-and-tiled",
        "Tiled convolution lies between convolution and locally connected layers; "
        "memory grows by the number of kernels, t² in two dimensions.",
        "S1 3.5",
        "law",
        "yes",
        Part(metric="locally-connected-and-tiled/ends", relation="<", threshold=1e-6),
        Part(metric="locally-connected-and-tiled/kernels", relation="=", threshold=0),
    ),
    _equal(
        "separable-count",
        "A separable convolution has K²·c1 + c1·c2 parameters.",
        "S1 4.1",
        "count",
        "yes",
        controls=(
            Control(
                id="separable-count:equal",
                statement="It is the convolution whose kernel is the product of both.",
                metric="separable-count/equal",
                relation="<",
                threshold=1e-5,
                kind="law",
            ),
        ),
    ),
    _equal(
        "grouped-count",
        "A convolution of g groups has 1/g of the parameters.",
        "S1 4.2",
        "count",
        "yes",
        controls=(
            Control(
                id="grouped-count:equal",
                statement="It is the convolution with a block diagonal kernel.",
                metric="grouped-count/equal",
                relation="<",
                threshold=1e-5,
                kind="law",
            ),
        ),
    ),
)

_SIZES = (
    _tolerance(
        "stride-is-subsampling/explicit",
        "A strided convolution is a subsampled convolution of stride 1 (equal explicit "
        "padding).",
        "S1 3.4",
        "yes",
        1e-6,
    ),
    _tolerance(
        "stride-is-subsampling/same",
        "A strided convolution is a subsampled convolution of stride 1 (padding SAME, "
        "whose offset depends on the stride).",
        "S1 3.4",
        "no",
        1e-6,
    ),
    *(
        _equal(f"sizes/{name}", f"The output size is {formula}.", source, "law", "yes")
        for name, formula, source in _FORMULAS
    ),
    _equal(
        "sizes/strided-no-floor",
        "The output size is (m+2p-f)/s + 1, without the floor.",
        "S4",
        "law",
        "no",
    ),
    _both(
        "border-used-less/valid",
        "Without padding border pixels contribute to fewer outputs: a corner to one, "
        "the interior to f² (uses over f²).",
        "S1 3.3",
        "law",
        "yes",
        Part(metric="border-used-less/corner", relation="=", threshold=1),
        Part(metric="border-used-less/interior", relation="=", threshold=1),
    ),
    _equal(
        "border-used-less/full",
        "With full padding every pixel is used equally, f² times (uses over f²).",
        "S1 3.3",
        "law",
        "yes",
        1,
    ),
    _equal(
        "border-used-less/full-stride-2",
        "With full padding every pixel is used equally (stride 2; different numbers of "
        "uses).",
        "S1 3.3",
        "law",
        "no",
        1,
    ),
)

_DENOISES = (
    _both(
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

_TRANSPOSED = (
    _tolerance(
        "transposed-is-adjoint/adjoint",
        "A transposed convolution swaps the forward and backward pass of a "
        "convolution: C and Cᵀ.",
        "S0 6.1",
        "yes",
        1e-5,
    ),
    _tolerance(
        "transposed-is-adjoint/zero-stuffing",
        "A transposed convolution stuffs zeros in, rotates the kernel and convolves.",
        "S0 6.1",
        "yes",
        1e-5,
    ),
    _equal(
        "transposed-is-adjoint/size",
        "The input size of a convolution follows from its output size: i = (o-1)s+k-2p "
        "(mismatches).",
        "S0 6.1",
        "law",
        "no",
        controls=(
            Control(
                id="transposed-is-adjoint/size:remainder",
                statement="With the remainder (i+2p-k) mod s added the size is exact.",
                metric="transposed-is-adjoint/remainder",
                relation="=",
                threshold=0,
            ),
        ),
    ),
    _equal(
        "upsampling-grows",
        "The output of a deconvolution is larger than its input (cases where it is "
        "not).",
        "S0 6.1",
        "count",
        "no",
        controls=(
            Control(
                id="upsampling-grows:condition",
                statement="It is larger exactly where (i-1)(s-1)+k-1 > 2p.",
                metric="upsampling-grows/condition",
                relation="=",
                threshold=0,
            ),
        ),
    ),
)

_ALGORITHMS = (
    _tolerance(
        "fourier/identity",
        "Convolution is a pointwise product in the Fourier domain.",
        "S1 4.1",
        "yes",
        1e-4,
    ),
    _tolerance(
        "im2col/equal",
        "im2col makes a convolution one matrix product.",
        "S0 4.4",
        "yes",
        1e-5,
    ),
    _equal(
        "im2col/orientation",
        "The rows of im2col's matrix follow the windows, its columns the kernel (rows "
        "of the note's own matrix, 6 x 6 image, 3 x 3 kernel, 16 windows).",
        "S0 4.4",
        "count",
        "no",
        16,
    ),
    *(
        _tolerance(
            f"activation-pool-order/{name}",
            f"Activation after pooling, as in LeNet, equals activation before ({arm}).",
            "S1 5.1",
            expected,
            1e-6,
        )
        for name, arm, expected in _ORDERS
    ),
)

CLAIMS = (*_COMMUTING, *_DENSE, *_SIZES, *_DENOISES, *_TRANSPOSED, *_ALGORITHMS)
