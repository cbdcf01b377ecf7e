"""What the notes state about pooling and locality in tasks, with rules and controls."""

from experiments.harness.claims import Claim, Control, Part, Relation, accurate
from experiments.pooling_robustness.tasks import FIELDS
from experiments.pooling_robustness.tasks_nets import LOCAL, TWINS
from experiments.pooling_robustness.tasks_results import GAIN

_FIELD = "--tasks=field"
_OUTLINES = "--tasks=outlines"
_LEARNED = 90.0  # percent of the training images


def _points(metric: str, relation: Relation, threshold: float) -> Part:
    return Part(
        metric=metric,
        relation=relation,
        threshold=threshold,
        unit="points",
        estimate="accuracy",
    )


def _learned(row: str, task: str, net: str) -> Control:
    return accurate(
        f"{row}:learned-{task}-{net}",
        f"The {net} net has learned its training images of {task}.",
        f"learned/{task}-{net}",
        above=_LEARNED,
    )


def _twins(row: str) -> Control:
    return Control(
        id=f"{row}:parameters",
        statement="The pooled net and its strided twin have as many parameters.",
        metric="twins-ratio",
        relation="=",
        threshold=1,
        kind="count",
    )


def _arrived(row: str, net: str, name: str) -> Control:
    return Control(
        id=f"{row}:arrived-{name}",
        statement=f"In the last quarter of its training the {net} net gained less than "
        f"{GAIN:g} points of accuracy on its training images.",
        metric=f"gained/{name}",
        relation="<",
        threshold=GAIN,
        unit="points",
        kind="conditional",
    )


_PRESENCE = "presence-not-location"
_PRESENCE_CLAIM = Claim(
    id=_PRESENCE,
    statement="Local invariance helps when presence matters and location does not "
    "(which digit is in a field, and where; pooled less strided).",
    source="S0 4.3, S1 2.3",
    kind="conditional",
    expected="open",
    parts=(_points("presence", ">", 2.0), _points("location", "<", -2.0)),
    requires=_FIELD,
    controls=(
        *(_learned(_PRESENCE, "field", net) for net in TWINS),
        # A pooled net that cannot learn where a digit lies speaks for the statement.
        _learned(_PRESENCE, "location", "strided"),
        _twins(_PRESENCE),
    ),
)

_OBJECT = "downsampling-keeps-object"
_GUARDS = (
    Control(
        id=f"{_OBJECT}:clean",
        statement="The net knows whole pictures.",
        metric="accuracy/outlines",
        relation=">",
        threshold=90.0,
        unit="%",
        kind="conditional",
    ),
    Control(
        id=f"{_OBJECT}:differs",
        statement="Shrinking to half changes the pictures.",
        metric="half-differs",
        relation=">",
        threshold=0.1,
        kind="count",
    ),
    Control(
        id=f"{_OBJECT}:quarter",
        statement="That net does not know pictures of a quarter of the size.",
        metric="accuracy/quarter",
        relation="<",
        threshold=50.0,
        unit="%",
        kind="conditional",
    ),
)
_READINGS = {"kept": "the same net", "retrained": "a net that learned small pictures"}
_OUTLINE_CLAIMS = tuple(
    Claim(
        id=f"{_OBJECT}/{arm}",
        statement="After downsampling the object is still recognizable, from coarse "
        f"outlines, as in a Gaussian pyramid (half the size; {reading}).",
        source="S3",
        kind="conditional",
        expected="open",
        metric=f"half/{arm}",
        relation=">",
        threshold=-2.0,
        unit="points",
        estimate="accuracy",
        requires=_OUTLINES,
        controls=_GUARDS,
    )
    for arm, reading in _READINGS.items()
)

_LOCAL = "local-patterns-suffice"


def _seen(field: str, pixels: int) -> Control:
    return Control(
        id=f"{_LOCAL}:field-{field}",
        statement=f"The net sees {pixels} pixels and no more.",
        metric=f"seen/{field}",
        relation="=",
        threshold=pixels,
        kind="count",
    )


# A net of capped field that has not arrived is censored instead.
_ARRIVED = _arrived(_LOCAL, "full", "patterns-full")


def _local_guards(field: str) -> tuple[Control, ...]:
    return (
        Control(
            id=f"{_LOCAL}:full",
            statement="The net that sees the whole picture knows digits.",
            metric="local-accuracy/full",
            relation=">",
            threshold=90.0,
            unit="%",
            kind="conditional",
        ),
        Control(
            id=f"{_LOCAL}:whole",
            statement="Its field is wider than the picture.",
            metric="seen/full",
            relation=">",
            threshold=40,
            kind="count",
        ),
        _seen(field, int(field)),
        _ARRIVED,
        Control(
            id=f"{_LOCAL}:parameters-{field}",
            statement="Both have the same number of parameters.",
            metric=f"local-ratio/{field}",
            relation="within",
            threshold=0.05,
            center=1.0,
            kind="count",
        ),
    )


assert set(FIELDS) < set(LOCAL)
_LOCAL_CLAIMS = tuple(
    Claim(
        id=f"{_LOCAL}/{field}",
        statement="Detecting local patterns is enough (to name a digit, by a net that "
        f"sees {field} pixels and averages over places).",
        source="S3",
        kind="conditional",
        expected="open",
        metric=f"capped/{field}",
        relation=">",
        threshold=-2.0,
        unit="points",
        estimate="accuracy",
        censored=f"not-arrived/{field}",
        requires=f"--tasks=patterns-{field}",
        controls=_local_guards(field),
    )
    for field in FIELDS
)

_EFFICIENCY = "pooling-statistical-efficiency"
_TRUE_PRIOR = Claim(
    id=f"{_EFFICIENCY}/true-prior",
    statement="When its assumption holds, pooling greatly improves statistical "
    "efficiency (training images for the accuracy of the strided twin).",
    source="S1 2.4",
    kind="conditional",
    expected="open",
    metric="samples-ratio",
    relation=">",
    threshold=2.0,
    estimate="ratio",
    censored="samples-censored",
    requires=_FIELD,
    controls=(
        *(_learned(_EFFICIENCY, "field", net) for net in TWINS),
        Control(
            id=f"{_EFFICIENCY}:above-chance",
            statement="The strided twin names more test digits than chance, 10 %.",
            metric="accuracy/field-strided",
            relation=">",
            threshold=20.0,
            unit="%",
            kind="conditional",
        ),
        _twins(_EFFICIENCY),
    ),
)
_UNDERFITS = Claim(
    id=f"{_EFFICIENCY}/underfits",
    statement="Where its assumption does not hold, pooling may underfit (train "
    "accuracy on where the digit lies; pooled less strided).",
    source="S1 2.4",
    kind="conditional",
    expected="open",
    metric="underfits",
    relation="<",
    threshold=-2.0,
    unit="points",
    requires=_FIELD,
    controls=(
        _learned(_EFFICIENCY, "location", "strided"),
        *(_arrived(_EFFICIENCY, net, f"location-{net}") for net in TWINS),
        _twins(_EFFICIENCY),
    ),
)

CLAIMS_OF_TASKS = (
    _PRESENCE_CLAIM,
    *_OUTLINE_CLAIMS,
    *_LOCAL_CLAIMS,
    _TRUE_PRIOR,
    _UNDERFITS,
)
