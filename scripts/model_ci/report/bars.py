"""A value against its limit, drawn: what is allowed is shaded, so that a glance tells how far away it is."""

import math
from html import escape
from typing import Final

from model_ci.report.blocks import Bar, number

_WIDTH: Final = 160
_HEIGHT: Final = 24
_MARGIN: Final = 0.12


def draw(bar: Bar, state: str) -> str:
    """Return the drawing as inline SVG; `state` is the class that colours it."""
    shown = [bar.value, bar.limit, *(bar.bounds or ()), *([0.0] if bar.difference else ())]
    if not all(map(math.isfinite, shown)):
        return ""
    low, high = _range(shown)
    if not math.isfinite(high - low) or high <= low:
        return ""

    def x(value: float) -> str:
        return f"{(value - low) / (high - low) * _WIDTH:.1f}"

    middle, limit = _HEIGHT / 2, x(bar.limit)
    begin, width = (limit, _WIDTH - float(limit)) if bar.above else ("0", float(limit))
    parts = [f'<rect class="allowed" x="{begin}" y="2" width="{width:.1f}" height="{_HEIGHT - 4}"/>']
    if bar.difference:
        parts.append(f'<path class="zero" d="M{x(0.0)} 2V{_HEIGHT - 2}" stroke-dasharray="2 2"/>')
    parts.append(f'<path class="limit" d="M{limit} 2V{_HEIGHT - 2}"/>')
    if bar.bounds:
        parts.append(f'<path class="bounds" d="M{x(bar.bounds[0])} {middle:g}H{x(bar.bounds[1])}"/>')
    parts.append(f'<circle class="value" cx="{x(bar.value)}" cy="{middle:g}" r="4"/>')
    label = escape(_label(bar))
    return (
        f'<svg class="{state}" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{label}">'
        f"<title>{label}</title>{''.join(parts)}</svg>"
    )


def _range(shown: list[float]) -> tuple[float, float]:
    low, high = min(shown), max(shown)
    margin = (high - low) * _MARGIN or abs(low) * _MARGIN or 1.0
    return low - margin, high + margin


def _label(bar: Bar) -> str:
    bounds = f", bounds {number(bar.bounds[0])} to {number(bar.bounds[1])}" if bar.bounds else ""
    return f"{number(bar.value)}{bounds}; the limit is {number(bar.limit)}, {'above' if bar.above else 'below'} it is allowed"
