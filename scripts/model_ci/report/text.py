"""A report as text for a terminal or a log."""

import io
from collections.abc import Mapping, Sequence
from typing import Final

from model_ci.report.blocks import Block, Chart, Heading, Paragraph, Table
from model_ci.terms import Verdict

_COLORS: Final[Mapping[str, str]] = {
    Verdict.PASSED: "bold green",
    Verdict.FAILED: "bold red",
    Verdict.NOT_JUDGED: "bold",
}


def render(blocks: Sequence[Block], *, color: bool = False, width: int = 120) -> str:
    """Return the blocks as text: with rich's tables where a person looks, else plain aligned columns; no charts."""
    shown = [block for block in blocks if not isinstance(block, Chart)]
    return _rich(shown, width) if color else "\n\n".join(_plain(block) for block in shown) + "\n"


def _plain(block: Heading | Paragraph | Table) -> str:
    match block:
        case Heading():
            return block.text
        case Paragraph():
            return block.text
        case Table():
            rows = [block.columns, *block.rows] if any(block.columns) else list(block.rows)
            widths = [max(len(row[i]) for row in rows) for i in range(len(block.columns))]
            lines = ("  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in rows)
            return "\n".join([block.title, *(f"  {line}" for line in lines)])


def _rich(blocks: Sequence[Heading | Paragraph | Table], width: int) -> str:
    from rich import box
    from rich.console import Console, RenderableType
    from rich.table import Table as RichTable
    from rich.text import Text

    def renderable(block: Heading | Paragraph | Table) -> RenderableType:
        match block:
            case Heading():
                return Text(block.text, style=_COLORS[block.state])
            case Paragraph():
                return Text(block.text)
            case Table():
                table = RichTable(
                    title=block.title, title_justify="left", box=box.SIMPLE_HEAD, show_header=any(block.columns)
                )
                for column in block.columns:
                    table.add_column(column, overflow="fold")
                for row in block.rows:
                    table.add_row(*(Text(c, style="red" if c.startswith("failed") else "") for c in row))
                return table

    console = Console(file=io.StringIO(), force_terminal=True, width=width, highlight=False)
    for block in blocks:
        console.print(renderable(block))
    return console.file.getvalue()  # type: ignore[attr-defined,no-any-return]
