"""A claim's numbers at a glance: each seed, the interval, and where the rule holds."""

import math
from collections.abc import Mapping
from typing import Any

import markupsafe

_WIDTH, _HEIGHT, _EDGE, _LABEL = 320, 46, 10, 60
_LEAST_DECADES = 2.0  # of values that a linear axis would press together


def draw(rule: Mapping[str, Any]) -> markupsafe.Markup | None:
    """An SVG of one rule, or None where there is nothing to see.

    Args:
      rule: per_seed, mean, ci_low, ci_high, relation, threshold and center, as
        result.json holds them.
    """
    seeds = [value for value in rule["per_seed"] or () if value is not None]
    if not seeds or rule["threshold"] is None:
        return None
    interval = [rule[name] for name in ("ci_low", "mean", "ci_high")]
    interval = [value for value in interval if value is not None]
    holds = _where_it_holds(rule)
    bounds = [bound for bound in holds if math.isfinite(bound)]
    place = _Axis([*seeds, *interval, *bounds])
    parts = [_region(place, *holds)]
    parts += [_line("bound", place(bound), 6, 34) for bound in bounds]
    if len(interval) == 3:
        low, mean, high = map(place, interval)
        parts.append(f'<path class="interval" d="M{low:.1f} 27H{high:.1f}"/>')
        parts += [_line("interval", mean, 22, 32)]
    parts += [f'<circle cx="{place(value):.1f}" cy="15" r="3.2"/>' for value in seeds]
    parts += _labels(place, bounds)
    label = f"{len(seeds)} values against {rule['rule']}"
    return markupsafe.Markup(
        f'<svg class="strip" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" '
        f'aria-label="{markupsafe.escape(label)}">{"".join(parts)}</svg>'
    )


class _Axis:
    """Numbers to pixels; logarithmic where positive numbers span decades."""

    def __init__(self, values: list[float]) -> None:
        low, high = min(values), max(values)
        self.is_log = low > 0 and math.log10(high / low) > _LEAST_DECADES
        self.low, self.high = self._scale(low), self._scale(high)
        if self.low == self.high:
            self.low, self.high = self.low - 1, self.high + 1

    def _scale(self, value: float) -> float:
        return math.log10(value) if self.is_log else value

    def __call__(self, value: float) -> float:
        if value == -math.inf or (self.is_log and value <= 0):
            return 0
        if value == math.inf:
            return _WIDTH
        share = (self._scale(value) - self.low) / (self.high - self.low)
        return _EDGE + share * (_WIDTH - 2 * _EDGE)


def _where_it_holds(rule: Mapping[str, Any]) -> tuple[float, float]:
    threshold = rule["threshold"]
    match rule["relation"]:
        case "<" | "<=":
            return -math.inf, threshold
        case ">" | ">=":
            return threshold, math.inf
        case "within":
            center = rule["center"] or 0.0
            return center - threshold, center + threshold
        case _:
            return threshold, threshold


def _region(place: _Axis, low: float, high: float) -> str:
    left, right = place(low), place(high)
    return (
        f'<rect class="holds" x="{left:.1f}" y="6" width="{right - left:.1f}" '
        'height="28"/>'
    )


def _line(kind: str, x: float, top: int, bottom: int) -> str:
    return f'<path class="{kind}" d="M{x:.1f} {top}V{bottom}"/>'


def _labels(place: _Axis, bounds: list[float]) -> list[str]:
    """The bounds in figures; one label for two that would lie over each other."""
    places = [place(bound) for bound in bounds]
    if max(places) - min(places) < _LABEL:
        bounds = list(dict.fromkeys(bounds))
        words = " to ".join(f"{bound:.4g}" for bound in bounds)
        return [_label(sum(places) / len(places), words)]
    return [_label(x, f"{bound:.4g}") for x, bound in zip(places, bounds, strict=True)]


def _label(x: float, words: str) -> str:
    anchor = "start" if x < _LABEL else "end" if x > _WIDTH - _LABEL else "middle"
    return f'<text x="{x:.1f}" y="44" text-anchor="{anchor}">{words}</text>'
