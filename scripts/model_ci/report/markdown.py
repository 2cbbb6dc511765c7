"""A report as Markdown, as GitHub and GitLab render it."""

import re
from collections.abc import Sequence
from typing import Final

from model_ci.report.content import Block, Heading, Paragraph, Table

_SIGNS: Final = {"passed": "✅", "failed": "❌", "not judged": "⚪", "no champion": "⚪", "inconclusive": "❔"}


def render(blocks: Sequence[Block]) -> str:
    """Return the blocks as Markdown; whatever the values hold, they stay text."""
    return "\n\n".join(_block(block) for block in blocks) + "\n"


def _block(block: Block) -> str:
    match block:
        case Heading():
            return f"## {_SIGNS[block.state]} {_escape(block.text)}"
        case Paragraph():
            return _escape(block.text)
        case Table():
            return _table(block)


def _table(table: Table) -> str:
    lines = [
        _row(table.columns),
        _row(["---"] * len(table.columns)),
        *(_row([_escape(c) for c in r]) for r in table.rows),
    ]
    body = "\n".join(lines)
    if table.folded:
        return f"<details><summary>{_escape(table.title)}</summary>\n\n{body}\n\n</details>"
    return f"### {_escape(table.title)}\n\n{body}"


def _cell(text: str) -> str:
    sign = _SIGNS.get(text.partition(":")[0])
    return f"{sign} {_escape(text)}" if sign else _escape(text)


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _escape(text: str) -> str:
    text = re.sub(r"\s*[\r\n]+\s*", " ", text)
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*_\[\]|~#@])", r"\\\1", text) if re.search(r"[\\`*\[\]|~#@]|\b_|_\b", text) else text
