"""What the notes state about convolution as a prior, with rules and controls."""

from experiments.harness.claims import (
    Claim,
    Control,
    Expected,
    Part,
    Relation,
    accurate,
)
from experiments.strong_prior.nets import ARMS
from experiments.strong_prior.tasks import PIXELS

_READINGS = {
    "field": "which digit, at a random place of a canvas",
    "textures": "brick, grass or gravel",
    "mnist": "MNIST, 1,000 training images",
}
_HELPS: dict[str, Expected] = {"field": "yes", "textures": "yes", "mnist": "open"}
_LEARNED = 90.0  # percent of the training images


def _requires(task: str) -> str:
    """What measures a task that was left out."""
    return "--data=mnist" if task == "mnist" else f"--tasks={task}"


def _learned(row: str, task: str, *pixels: str) -> tuple[Control, ...]:
    return tuple(
        accurate(
            f"{row}:learned-{task}-{arm}-{each}",
            f"The {arm} net has learned its training images of {task}, {each} pixels.",
            f"train-accuracy/{task}-{arm}-{each}",
            above=_LEARNED,
        )
        for arm in ARMS
        for each in pixels
    )


def _matched(row: str, task: str) -> Control:
    return Control(
        id=f"{row}:parameters-{task}",
        statement=f"The dense net of {task} has the conv net's number of parameters.",
        metric=f"params-ratio/{task}",
        relation="within",
        threshold=0.05,
        center=1.0,
        kind="count",
    )


def _permuted(row: str, task: str) -> tuple[Control, Control]:
    return (
        Control(
            id=f"{row}:values-{task}",
            statement=f"Permuted images of {task} hold the values of the natural ones.",
            metric=f"changed-values/{task}",
            relation="=",
            threshold=0,
            kind="count",
        ),
        Control(
            id=f"{row}:adjacent-{task}",
            statement=f"The permutation of {task} leaves few neighbors adjacent.",
            metric=f"adjacent-share/{task}",
            relation="<",
            threshold=0.05,
            kind="count",
        ),
    )


def _points(metric: str, relation: Relation, threshold: float) -> Part:
    return Part(
        metric=metric,
        relation=relation,
        threshold=threshold,
        unit="points",
        estimate="accuracy",
    )


_TRUE = "prior-helps-when-true"
_WHEN_TRUE = tuple(
    Claim(
        id=f"{_TRUE}/{task}",
        statement="Convolution and pooling help only when their assumption is right "
        f"({reading}).",
        source="S1 2.4",
        kind="conditional",
        expected=_HELPS[task],
        parts=tuple(
            _points(f"{name}/{task}", ">", 2.0) for name in ("natural", "drop")
        ),
        requires=_requires(task),
        controls=(
            *_learned(_TRUE, task, *PIXELS),
            _matched(_TRUE, task),
            *_permuted(_TRUE, task),
        ),
    )
    for task, reading in _READINGS.items()
)

_FALSE = "prior-hurts-when-false"
_WHEN_FALSE = tuple(
    Claim(
        id=f"{_FALSE}/{task}",
        statement="With a false assumption convolution does not help "
        f"({reading}; pixels permuted).",
        source="S1 2.4",
        kind="conditional",
        expected="open",
        metric=f"permuted/{task}",
        relation="<",
        threshold=0.5,
        unit="points",
        estimate="accuracy",
        requires=_requires(task),
        controls=(
            *_learned(_FALSE, task, "permuted"),
            _matched(_FALSE, task),
            *_permuted(_FALSE, task),
        ),
    )
    for task, reading in _READINGS.items()
)

_LOCATION = Claim(
    id=f"{_FALSE}/location",
    statement="With a false assumption convolution does not help (where a digit is, "
    "not which).",
    source="S1 2.4",
    kind="conditional",
    expected="open",
    metric="natural/location",
    relation="<",
    threshold=0.5,
    unit="points",
    estimate="accuracy",
    requires=_requires("location"),
    controls=(
        *_learned(_FALSE, "location", "natural"),
        _matched(_FALSE, "location"),
    ),
)

_COMPARE = Claim(
    id="compare-only-with-convolutions",
    statement="Compare a convolutional model only with convolutional ones: the others "
    "do not know the pixels' places.",
    source="S1 2.4",
    kind="law",
    expected="yes",
    metric="trajectories/dense",
    relation="<",
    threshold=1e-5,
    controls=(
        Control(
            id="compare-only-with-convolutions:conv",
            statement="A convolutional net that starts the same ends elsewhere.",
            metric="trajectories-end/conv",
            relation=">",
            threshold=1e-2,
        ),
    ),
)

_SHARING = Claim(
    id="sharing-cuts-overfitting",
    statement="Sharing reduces overfitting (test error at equal train loss: shared "
    "below unshared kernels, these below dense layers).",
    source="S2 1.1-1.2",
    kind="conditional",
    expected="open",
    parts=tuple(
        _points(metric, "<", -0.5)
        for metric in ("conv-less-unshared", "unshared-less-dense")
    ),
    requires=_requires("sharing"),
    controls=(
        Control(
            id="sharing-cuts-overfitting:overfits",
            statement="The dense layers overfit: test error less train error at that "
            "loss.",
            metric="gap/dense",
            relation=">",
            threshold=0.5,
            unit="points",
        ),
    ),
)

CLAIMS = (*_WHEN_TRUE, *_WHEN_FALSE, _LOCATION, _COMPARE, _SHARING)
