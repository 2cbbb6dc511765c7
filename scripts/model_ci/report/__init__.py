"""Reports: blocks that people read, as text, Markdown, a page or a comment, and the report files of the platforms.

Everything shown is taken from the record, so what is shown is what was written down.
"""

from model_ci.report.comment import marker
from model_ci.report.comment import render as comment
from model_ci.report.files import Refusal, junit, metrics, quality, refusals
from model_ci.report.html import render as html
from model_ci.report.markdown import render as markdown
from model_ci.report.text import render as text

__all__ = ["Refusal", "comment", "html", "junit", "markdown", "marker", "metrics", "quality", "refusals", "text"]
