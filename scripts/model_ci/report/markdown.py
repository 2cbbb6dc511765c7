"""A report as Markdown, as GitHub and GitLab render it."""

import re
from collections.abc import Mapping, Sequence
from typing import Final

from model_ci.report.blocks import Block, Chart, Heading, Paragraph, Table
from model_ci.report.chart import mermaid
from model_ci.terms import State, Verdict

_SIGNS: Final[Mapping[str, str]] = {
    Verdict.PASSED: "✅",
    Verdict.FAILED: "❌",
    Verdict.NOT_JUDGED: "⚪",
    State.NO_CHAMPION: "⚪",
    State.INCONCLUSIVE: "❔",
}
_BREAKS: Final = re.compile(r"\s*[\r\n\v\f\x1c-\x1e\x85\u2028\u2029]+\s*")
# What no text needs and what turns the direction of the text after it.
_UNSEEN: Final = re.compile(r"[\x00-\x08\x0e-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_LIST_OR_COMMAND: Final = re.compile(r"^(\d{1,9}(?=[.)])|)([-+=/:.)])")


def render(blocks: Sequence[Block]) -> str:
    """Return the blocks as Markdown; whatever the values hold, they stay text."""
    return "\n\n".join(filter(None, map(render_block, blocks))) + "\n"


def render_block(block: Block, *, inert: bool = False) -> str:
    """Return one block; `inert` text mentions nobody, refers to nothing and links nowhere."""
    match block:
        case Heading():
            return f"## {_SIGNS[block.state]} {escape(block.text, inert=inert)}"
        case Paragraph():
            # at the beginning of a line, a hyphen makes a list and a slash gives GitLab an order
            return _LIST_OR_COMMAND.sub(r"\1\\\2", escape(block.text, inert=inert).lstrip())
        case Table():
            return _table(block, inert)
        case Chart():
            drawn = mermaid(block)
            return (
                f"<details><summary>{escape(block.title, inert=inert)}</summary>\n\n{drawn}\n\n</details>"
                if drawn
                else ""
            )


def escape(text: str, *, inert: bool = False) -> str:
    """Write text so that it is read as it stands, in one line."""
    text = _UNSEEN.sub("", _BREAKS.sub(" ", text))
    if inert:
        text = _disarm(text)
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*_\[\]|~#@])", r"\\\1", text) if re.search(r"[\\`*\[\]|~#@]|\b_|_\b", text) else text


def _disarm(text: str) -> str:
    """Part what would become a mention, a reference, an address or a formula, by a space of no width.

    A backslash does not: it is gone before the platforms look for these.
    """
    text = re.sub(r"([@#!%^&$~])(?=[^\s\d.,)%]|\d)", "\\1\u200b", text)
    return re.sub(r"(?i)(:(?=//)|\b(?:www(?=\.)|gh(?=-\d)|mailto|xmpp)(?=[.:-])|\bgh(?=-\d))", "\\1\u200b", text)


def _table(table: Table, inert: bool) -> str:
    lines = [
        _row(table.columns),
        _row(["---"] * len(table.columns)),
        *(_row([_cell(cell, inert) for cell in row]) for row in table.rows),
    ]
    body = "\n".join(lines)
    if table.folded:
        return f"<details><summary>{escape(table.title, inert=inert)}</summary>\n\n{body}\n\n</details>"
    return f"### {escape(table.title, inert=inert)}\n\n{body}"


def _cell(text: str, inert: bool) -> str:
    sign = _SIGNS.get(text.partition(":")[0])
    return f"{sign} {escape(text, inert=inert)}" if sign else escape(text, inert=inert)


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
