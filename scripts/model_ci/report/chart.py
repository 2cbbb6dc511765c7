"""A chart as Mermaid, which GitHub and GitLab draw themselves, and as inline SVG for the page."""

import math
import re
from html import escape
from typing import Final

from model_ci.report.blocks import Chart, number, percent

_UNSAFE: Final = re.compile(r"[^\w .,:%+-]")
_LABEL: Final = 30  # characters
_WIDTH: Final = 480
_NAMES: Final = 150
_ROW: Final = 22


def mermaid(chart: Chart) -> str:
    """Return the chart in a fence; a label is letters and figures, so that nothing in it is an order to Mermaid."""
    if not _can_be_drawn(chart):
        return ""
    labels = ", ".join(f'"{_UNSAFE.sub("_", label[:_LABEL])}"' for label in chart.labels)
    values = ", ".join(f"{value:.4g}" for value in chart.values)
    lines = [
        "```mermaid",
        "xychart-beta horizontal",
        f'  title "{_UNSAFE.sub("_", chart.title)}"',
        f"  x-axis [{labels}]",
        f"  y-axis 0 --> {_most(chart):.4g}",
        f"  bar [{values}]",
    ]
    if all(value is not None for value in chart.before) and chart.before:
        lines.append(f"  line [{', '.join(f'{value or 0:.4g}' for value in chart.before)}]")
    return "\n".join([*lines, "```"])


def svg(chart: Chart) -> str:
    """Return the chart as inline SVG; a thin line in a row is the value before."""
    if not _can_be_drawn(chart):
        return ""
    most = _most(chart)
    room = _WIDTH - _NAMES - 60
    rows = [
        _row(chart, i, f"{value / most * room:.1f}", before)
        for i, (value, before) in enumerate(zip(chart.values, _before(chart, most / room), strict=True))
    ]
    height = _ROW * len(rows) + 4
    return (
        f'<svg class="chart" viewBox="0 0 {_WIDTH} {height}" role="img" aria-label="{escape(chart.title)}">'
        f"<title>{escape(chart.title)}</title>{''.join(rows)}</svg>"
    )


def _most(chart: Chart) -> float:
    return max([*chart.values, *(value or 0 for value in chart.before)]) or 1.0


def _before(chart: Chart, unit: float) -> list[float | None]:
    known = list(chart.before) or [None] * len(chart.values)
    return [None if value is None else value / unit for value in known]


def _row(chart: Chart, i: int, width: str, before: float | None) -> str:
    top, label = i * _ROW + 4, chart.labels[i]
    shown = label if len(label) <= _LABEL // 2 + 5 else f"{label[: _LABEL // 2 + 4]}…"
    mark = "" if before is None else f'<path class="before" d="M{_NAMES + before:.1f} {top - 1}v{_ROW - 4}"/>'
    return (
        f'<text x="{_NAMES - 8}" y="{top + 12}" text-anchor="end">{escape(shown)}</text>'
        f'<rect class="bar" x="{_NAMES}" y="{top}" width="{width}" height="{_ROW - 6}"><title>{escape(label)}</title></rect>'
        f'{mark}<text x="{_NAMES + max(float(width), before or 0) + 6:.1f}" y="{top + 12}">{_label(chart, i)}</text>'
    )


def _label(chart: Chart, i: int) -> str:
    return percent(chart.values[i]) if chart.shares else number(chart.values[i])


def _can_be_drawn(chart: Chart) -> bool:
    """Tell whether there is a finite, positive value for each label."""
    known = [*chart.values, *(value for value in chart.before if value is not None)]
    fits = len(chart.values) == len(chart.labels) and len(chart.before) in (0, len(chart.values))
    return fits and bool(known) and all(math.isfinite(value) and value >= 0 for value in known)
