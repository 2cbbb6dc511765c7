"""The run record as people read it: one content, rendered as Markdown, as text, and as the platforms' report files.

Everything shown is taken from the record, so what is shown is what was written down.
"""

from collections.abc import Mapping
from typing import Any

from model_ci.report.content import content
from model_ci.report.files import junit, metrics
from model_ci.report.markdown import render as _markdown
from model_ci.report.text import render as _text

__all__ = ["junit", "markdown", "metrics", "text"]


def markdown(record: Mapping[str, Any]) -> str:
    """Return the report for a job summary or the records branch."""
    return _markdown(content(record))


def text(record: Mapping[str, Any], *, color: bool = False, width: int = 120) -> str:
    """Return the report for a terminal."""
    return _text(content(record), color=color, width=width)
