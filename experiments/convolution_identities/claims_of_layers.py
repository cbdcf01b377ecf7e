"""What the notes state about layers: dense, strided, tiled, separable, transposed."""

from experiments.convolution_identities.rules import both, equal, tolerance
from experiments.harness.claims import Control, Expected, Part

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
    ("strided-no-floor", "(m+2p-f)/s + 1, without the floor", "S4"),
    ("dilated", "that of a kernel of f+(f-1)(r-1) at rate r", "S1 4.3"),
)
_DENSE = (
    both(
        "conv-is-matrix",
        "A convolution is a dense layer under an infinitely strong prior: local and "
        "tied (its matrix holds no more numbers than its kernel).",
        "S1 2.4",
        "law",
        "yes",
        Part(metric="conv-is-matrix/outputs", relation="<", threshold=1e-5),
        Part(metric="conv-is-matrix/distinct", relation="=", threshold=0),
    ),
    equal(
        "weights-used-everywhere/dense",
        "A weight of a dense layer is used once.",
        "S0 4.3, S1 1.2, S2 1.2",
        "count",
        "yes",
        1,
    ),
    *(
        equal(
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
    tolerance(
        "dense-to-conv",
        "A dense layer is a convolution over the whole map, so a classifier slides "
        "over larger images.",
        "S0 references",
        "yes",
        1e-5,
    ),
    equal(
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
    both(
        "locally-connected-and-tiled",
        "Tiled convolution lies between convolution and locally connected layers; "
        "memory grows by the number of kernels, t² in two dimensions.",
        "S1 3.5",
        "law",
        "yes",
        Part(metric="locally-connected-and-tiled/ends", relation="<", threshold=1e-6),
        Part(metric="locally-connected-and-tiled/kernels", relation="=", threshold=0),
    ),
    equal(
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
    equal(
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
    tolerance(
        "stride-is-subsampling/explicit",
        "A strided convolution is a subsampled convolution of stride 1 (equal explicit "
        "padding).",
        "S1 3.4",
        "yes",
        1e-6,
    ),
    tolerance(
        "stride-is-subsampling/same",
        "A strided convolution is a subsampled convolution of stride 1 (padding SAME, "
        "whose offset depends on the stride).",
        "S1 3.4",
        "no",
        1e-6,
    ),
    *(
        equal(
            f"sizes/{name}",
            f"The output size is {formula} (mismatches).",
            source,
            "law",
            "no" if name.endswith("no-floor") else "yes",
        )
        for name, formula, source in _FORMULAS
    ),
    both(
        "border-used-less/valid",
        "Without padding border pixels contribute to fewer outputs: a corner to one, "
        "the interior to f² (uses over f²).",
        "S1 3.3",
        "law",
        "yes",
        Part(metric="border-used-less/corner", relation="=", threshold=1),
        Part(metric="border-used-less/interior", relation="=", threshold=1),
    ),
    equal(
        "border-used-less/full",
        "With full padding every pixel is used equally, f² times (uses over f²).",
        "S1 3.3",
        "law",
        "yes",
        1,
    ),
    equal(
        "border-used-less/full-stride-2",
        "With full padding every pixel is used equally (stride 2; different numbers of "
        "uses).",
        "S1 3.3",
        "law",
        "no",
        1,
    ),
)

_TRANSPOSED = (
    tolerance(
        "transposed-is-adjoint/adjoint",
        "A transposed convolution swaps the forward and backward pass of a "
        "convolution: C and Cᵀ.",
        "S0 6.1",
        "yes",
        1e-5,
    ),
    tolerance(
        "transposed-is-adjoint/zero-stuffing",
        "A transposed convolution stuffs zeros in, rotates the kernel and convolves.",
        "S0 6.1",
        "yes",
        1e-5,
    ),
    equal(
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
    equal(
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

LAYERS = (*_DENSE, *_SIZES, *_TRANSPOSED)
