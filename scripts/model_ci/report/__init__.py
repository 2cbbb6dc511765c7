"""The run record as people read it: one content as text, Markdown, a page, a comment, and the platforms' report files.

Everything shown is taken from the record, so what is shown is what was written down.
"""

from collections.abc import Mapping
from typing import Any

from model_ci.report.comment import marker
from model_ci.report.comment import render as _comment
from model_ci.report.content import content
from model_ci.report.files import Refusal, junit, metrics, quality, refusals
from model_ci.report.html import render as _html
from model_ci.report.markdown import render as _markdown
from model_ci.report.text import render as _text

__all__ = ["Refusal", "comment", "html", "junit", "markdown", "marker", "metrics", "quality", "refusals", "text"]


def markdown(record: Mapping[str, Any]) -> str:
    """Return the report for a job summary or the records branch."""
    return _markdown(content(record))


def text(record: Mapping[str, Any], *, color: bool = False, width: int = 120) -> str:
    """Return the report for a terminal."""
    return _text(content(record), color=color, width=width)


def html(record: Mapping[str, Any]) -> str:
    """Return the report as a page of its own."""
    return _html(content(record))


def comment(record: Mapping[str, Any], *, link: str | None, limit: int, cause: str | None = None) -> str:
    """Return the report as a comment, or the issue of a cause; nothing in the record mentions, links or commands.

    It has at most `limit` bytes.
    """
    mark = marker(record["model"]["name"], cause)
    return _comment(content(record), mark=mark, link=link, limit=limit)
