"""Two distributions of one column over one another: before as an area, now as a line, so that a shift is seen."""

import math
from html import escape
from itertools import pairwise
from typing import Final

from model_ci.report.blocks import Distribution, number, percent

_WIDTH: Final = 200
_HEIGHT: Final = 48
_LABELLED: Final = 12


def draw(shown: Distribution, state: str) -> str:
    """Return the drawing as inline SVG; `state` is the class that colours what is now."""
    values = [*shown.reference, *shown.window]
    if not values or not all(map(math.isfinite, values)) or max(values) <= 0:
        return ""
    marks = _bars(shown) if shown.labels else _steps(shown)
    label = escape(_label(shown))
    return (
        f'<svg class="distribution {state}" viewBox="0 0 {_WIDTH} {_HEIGHT}" preserveAspectRatio="none" role="img" '
        f'aria-label="{label}"><title>{label}</title>{marks}</svg>'
    )


def _steps(shown: Distribution) -> str:
    top, width = max(*shown.reference, *shown.window), _WIDTH / len(shown.reference)
    area = "".join(f"H{i * width:.1f}V{_y(v, top)}H{(i + 1) * width:.1f}" for i, v in enumerate(shown.reference))
    line = "".join(
        f"{'M' if i == 0 else 'L'}{i * width:.1f} {_y(v, top)}H{(i + 1) * width:.1f}"
        for i, v in enumerate(shown.window)
    )
    return f'<path class="before" d="M0 {_HEIGHT}{area}V{_HEIGHT}Z"/><path class="now" d="{line}"/>'


def _bars(shown: Distribution) -> str:
    """Draw a pair of bars for each category."""
    top, step = max(*shown.reference, *shown.window), _WIDTH / max(len(shown.reference), 4)
    pairs = zip(shown.reference, shown.window, strict=True)
    return "".join(
        f'<rect class="before" x="{i * step + step * 0.08:.1f}" y="{_y(before, top)}" width="{step * 0.84:.1f}" '
        f'height="{_HEIGHT - float(_y(before, top)):.1f}"/>'
        f'<path class="now" d="M{i * step + step * 0.08:.1f} {_y(now, top)}h{step * 0.84:.1f}"/>'
        for i, (before, now) in enumerate(pairs)
    )


def _y(value: float, top: float) -> str:
    return f"{_HEIGHT - 1 - value / top * (_HEIGHT - 4):.1f}"


def _label(shown: Distribution) -> str:
    if shown.labels:
        pairs = list(zip(shown.labels, shown.reference, shown.window, strict=True))[:_LABELLED]
        return "; ".join(f"{name}: {percent(before)} before, {percent(now)} now" for name, before, now in pairs)
    width = ((shown.end or 0) - (shown.begin or 0)) / len(shown.reference)
    edges = [(shown.begin or 0) + i * width for i in range(len(shown.reference) + 1)]
    peaks = [max(range(len(side)), key=side.__getitem__) for side in (shown.reference, shown.window)]
    spans = [f"{number(low)} to {number(high)}" for low, high in pairwise(edges)]
    return f"from {number(edges[0])} to {number(edges[-1])}; most rows were within {spans[peaks[0]]}, and are within {spans[peaks[1]]}"
