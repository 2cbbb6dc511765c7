"""A report as a comment: Markdown within a budget, from a record that anybody may have written."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final
from urllib.parse import quote

from model_ci.report.blocks import Block, Chart, Heading, Paragraph, Table
from model_ci.report.markdown import render_block
from model_ci.terms import State

_CELL: Final = 300
_TEXT: Final = 1500
_VISIBLE_ROWS: Final = 12
_MARGIN: Final = 400  # for the sentence about what was left out


def marker(model: str, cause: str | None = None, *, folder: str = "") -> str:
    """Return the invisible line by which the comment on a model, or the issue of a cause, is found again.

    Two folders of a repository may have models of the same name, so the folder is part of it.
    """
    name = quote(f"{folder[:200]}/{model[:200]}" if folder else model[:200], safe=" /").replace("--", "-%2D")
    return f"<!-- model-ci: {name} -->" if cause is None else f"<!-- model-ci issue: {name}: {cause} -->"


def render(blocks: Sequence[Block], *, mark: str, link: str | None, limit: int) -> str:
    """Return the comment, of at most `limit` bytes: verdict and gates always, details as far as there is room."""
    frame = [mark, f"[The job, and the full report among its files]({link})" if link else ""]
    room = limit - sum(_size(text) for text in frame) - _MARGIN
    parts, left_out = _fit([_clip(block) for block in blocks], room)
    note = f"Left out here: {left_out}." if left_out else ""
    return "\n\n".join(text for text in [frame[0], *parts, note, frame[1]] if text) + "\n"


def _fit(blocks: Sequence[Block], room: int) -> tuple[list[str], str]:
    """Return what there is room for in its order, and what is left out in words."""
    needed = {i: _essential(block, room) for i, block in enumerate(blocks) if _is_essential(block)}
    room -= sum(_size(text) for text, _ in needed.values())
    parts: list[str] = []
    missing = [_name(blocks[i], cut=True) for i, (_, cut) in needed.items() if cut]
    full = False
    for i, block in enumerate(blocks):
        if i in needed:
            parts.append(needed[i][0])
            continue
        whole = "" if full else _details(block)
        text = whole if full or _size(whole) <= room else _cut(block, room)
        if text:
            parts.append(text)
            room -= _size(text)
        if text != whole or not whole:
            full = True
            missing.append(_name(block, cut=bool(text)))
    return parts, ", ".join(dict.fromkeys(filter(None, missing)))


def _is_essential(block: Block) -> bool:
    return isinstance(block, Heading) or (isinstance(block, Paragraph | Table) and block.essential)


def _essential(block: Block, room: int) -> tuple[str, bool]:
    """Return the text, and whether it is not all: gates alone may take no more than half of the room."""
    if not isinstance(block, Table):
        return render_block(block, inert=True), False
    text = "\n\n".join(render_block(table, inert=True) for table in _apart(block))
    return (text, False) if _size(text) <= room // 2 else (_cut(_worst_first(block), room // 2), True)


def _details(block: Block) -> str:
    if isinstance(block, Table) and len(block.rows) > _VISIBLE_ROWS:
        block = replace(block, folded=True, title=f"{block.title} ({len(block.rows)})")
    return render_block(block, inert=True)


def _apart(table: Table) -> Iterator[Table]:
    """Part a long table: what a reader has to look at stands open, what passed is folded away."""
    passed = [row for row in table.rows if _has_passed(row)]
    if len(table.rows) <= _VISIBLE_ROWS or not passed:
        yield table
        return
    others = [row for row in table.rows if not _has_passed(row)]
    if others:
        yield replace(table, rows=others, title=f"{table.title}: {len(others)} of {len(table.rows)} did not pass")
    title = f"{table.title}: {len(passed)} of {len(table.rows)} passed"
    yield replace(table, rows=passed, title=title, folded=True)


def _worst_first(table: Table) -> Table:
    return replace(table, rows=sorted(table.rows, key=_has_passed))


def _has_passed(row: Sequence[str]) -> bool:
    return row[-1].partition(":")[0] == State.PASSED


def _cut(block: Block, room: int) -> str:
    """Return as many rows of a table as there is room for; nothing when that is none."""
    if not isinstance(block, Table):
        return ""
    low, high = 0, len(block.rows)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if _size(_part(block, middle)) <= room else (low, middle - 1)
    return _part(block, low) if low else ""


def _part(table: Table, rows: int) -> str:
    title = f"{table.title}: {rows} of {len(table.rows)}"
    folded = table.folded or (rows > _VISIBLE_ROWS and not table.essential)
    return render_block(replace(table, rows=table.rows[:rows], title=title, folded=folded), inert=True)


def _name(block: Block, *, cut: bool) -> str:
    if isinstance(block, Table):
        return f"the rest of {block.title}" if cut else block.title
    return block.title if isinstance(block, Chart) else ""


def _clip(block: Block) -> Block:
    if isinstance(block, Chart):
        return replace(block, title=_shorten(block.title, _CELL))
    if not isinstance(block, Table):
        return replace(block, text=_shorten(block.text, _TEXT))
    rows = [[_shorten(cell, _CELL) for cell in row] for row in block.rows]
    return replace(block, rows=rows, title=_shorten(block.title, _CELL))


def _shorten(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"


def _size(text: str) -> int:
    """Count what the text takes, with the empty line after it; bytes, since nobody counts more than these."""
    return len(text.encode()) + 2
