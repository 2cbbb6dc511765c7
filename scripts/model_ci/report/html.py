"""A report as one page that needs nothing else: no script, no font, no picture from elsewhere."""

import base64
import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from html import escape
from typing import Final

from model_ci.report import bars, distributions
from model_ci.report.blocks import Bar, Block, Chart, Distribution, Heading, Paragraph, Table
from model_ci.report.chart import svg
from model_ci.terms import State, Verdict

_SIGNS: Final[Mapping[str, str]] = {Verdict.PASSED: "✓", Verdict.FAILED: "✕", Verdict.NOT_JUDGED: "?"}
_STATES: Final = {
    Verdict.PASSED: "yes",
    Verdict.FAILED: "no",
    State.INCONCLUSIVE: "unsure",
    State.NO_CHAMPION: "none",
    "drifted": "no",
    Verdict.NOT_JUDGED: "none",
}
_STYLE: Final = """
:root { color-scheme: light dark; --ink: #1f2328; --soft: #59636e; --line: #d1d9e0; --paper: #ffffff; --raised: #f6f8fa;
  --yes: #1a7f37; --no: #d1242f; --unsure: #9a6700; --allowed: #1a7f3722;
  --bar: #0969da; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6edf3; --soft: #9198a1; --line: #3d444d; --paper: #0d1117; --raised: #151b23;
    --yes: #3fb950; --no: #f85149; --unsure: #d29922; --allowed: #3fb95033;
    --bar: #4493f8; }
}
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 2rem 1.25rem 4rem; max-width: 70rem; color: var(--ink); background: var(--paper);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif;
  overflow-wrap: anywhere; }
h1 { margin: 0 0 1rem; font-size: 1.75rem; line-height: 1.25; display: flex; gap: .75rem; align-items: center; }
h1 .sign { flex: none; width: 2.25rem; height: 2.25rem; border-radius: 50%; display: grid; place-items: center;
  color: var(--paper); background: var(--soft); font-size: 1.25rem; }
h1.yes .sign { background: var(--yes); } h1.no .sign { background: var(--no); }
h2, summary { margin: 1.75rem 0 .5rem; font-size: 1.125rem; font-weight: 600; }
summary { cursor: pointer; }
details + details > summary { margin-top: .75rem; }
p { margin: 0 0 .75rem; max-width: 46rem; }
section + p, details + p { margin-top: 1.75rem; }
table { width: 100%; border-collapse: collapse; font-size: .9375rem; }
th { text-align: left; white-space: nowrap; color: var(--soft); font-weight: 600; border-bottom: 1px solid var(--line); }
th, td { padding: .5rem .75rem .5rem 0; vertical-align: top; font-variant-numeric: tabular-nums; }
td { border-bottom: 1px solid var(--line); }
tr > :last-child { padding-right: 0; }
td:first-child { min-width: 8rem; }
.facts td:first-child { color: var(--soft); width: 10rem; }
.yes > b { color: var(--yes); } .no > b { color: var(--no); } .unsure > b { color: var(--unsure); }
.none > b { color: var(--soft); }
a { color: inherit; }
svg { display: block; width: 10rem; height: 1.5rem; }
.allowed { fill: var(--allowed); } .zero { stroke: var(--soft); } .limit { stroke: var(--ink); stroke-width: 2; }
.bounds { stroke: currentColor; stroke-width: 2; } .value { fill: currentColor; }
svg.yes { color: var(--yes); } svg.no { color: var(--no); } svg.unsure { color: var(--unsure); }
svg.none { color: var(--soft); }
svg.chart { width: 100%; max-width: 40rem; height: auto; } .chart text { fill: var(--ink); font-size: 12px; }
.chart .bar { fill: var(--bar); } .chart .before { stroke: var(--ink); stroke-width: 2; }
svg.distribution { width: 12.5rem; height: 3rem; overflow: visible; }
.distribution .before { fill: var(--soft); opacity: .3; }
.distribution .now { fill: none; stroke: currentColor; stroke-width: 2; vector-effect: non-scaling-stroke; }
.legend { color: var(--soft); font-size: .875rem; margin-top: .5rem; }
@media (max-width: 56rem) {
  body { padding: 1.25rem 1rem 3rem; }
  h1 { font-size: 1.375rem; }
  thead { display: none; }
  tr { display: block; padding: .5rem 0; border-bottom: 1px solid var(--line); }
  td { display: flex; gap: .75rem; border: 0; padding: .125rem 0; }
  td:empty { display: none; }
  td::before { content: attr(data-column); flex: none; width: 6.5rem; color: var(--soft); }
  td > span { min-width: 0; }
  td:first-child { min-width: 0; font-weight: 600; }
  td:first-child::before { font-weight: 400; }
  .facts tr { display: table-row; } .facts td { display: table-cell; padding: .375rem .75rem .375rem 0; }
  .facts td::before { content: none; } .facts td:first-child { width: 7rem; font-weight: 400; }
}
"""
_POLICY: Final = (
    "default-src 'none'; base-uri 'none'; form-action 'none'; "
    f"style-src 'sha256-{base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()}'"
)


def render(blocks: Sequence[Block]) -> str:
    """Return the blocks as a page; whatever the values hold, they stay text."""
    title = next((block.text for block in blocks if isinstance(block, Heading)), "model-ci")
    body = "\n".join(_block(block) for block in blocks)
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="referrer" content="no-referrer">\n'
        f"<title>{_text(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n<main>\n{body}\n</main>\n</body>\n</html>\n"
    )


def _block(block: Block) -> str:
    match block:
        case Heading():
            state = _STATES[block.state]
            return f'<h1 class="{state}"><span class="sign">{_SIGNS[block.state]}</span>{_text(block.text)}</h1>'
        case Paragraph():
            return f"<p>{_text(block.text)}</p>"
        case Table():
            title, table = _text(block.title), _table(block)
            if block.folded:
                return f"<details><summary>{title}</summary>\n{table}\n</details>"
            return f"<section><h2>{title}</h2>\n{table}\n</section>"
        case Chart():
            drawn = svg(replace(block, title=_clean(block.title), labels=[*map(_clean, block.labels)]))
            legend = '<p class="legend">Upright line: the champion.</p>' if any(block.before) else ""
            return f"<section><h2>{_text(block.title)}</h2>\n{drawn}\n{legend}</section>" if drawn else ""


def _table(table: Table) -> str:
    columns = [*table.columns]
    drawn = any(table.bars)
    if drawn:
        columns.insert(-1, "")
    head = "".join(f'<th scope="col">{_text(name)}</th>' for name in columns)
    rows = "\n".join(_row(table, i, columns, drawn) for i in range(len(table.rows)))
    legend = f'<p class="legend">{_legend(table)}</p>'
    if not any(table.columns):
        return f'<table class="facts"><tbody>\n{rows}\n</tbody></table>'
    return f"<table><thead><tr>{head}</tr></thead><tbody>\n{rows}\n</tbody></table>{legend if drawn else ''}"


def _legend(table: Table) -> str:
    if any(isinstance(bar, Distribution) for bar in table.bars):
        return "Shaded: before. Line: now."
    return "Shaded: allowed. Thick line: the limit. Dot and line: the value and its bounds."


def _draw(bar: Bar | Distribution, state: str) -> str:
    return bars.draw(bar, state) if isinstance(bar, Bar) else distributions.draw(bar, state)


def _row(table: Table, number: int, columns: Sequence[str], drawn: bool) -> str:
    row = table.rows[number]
    cells = [_cell(text) for text in row]
    if drawn:
        bar = table.bars[number]
        cells.insert(-1, _draw(bar, _state(row[-1])) if bar else "")
    labelled = zip(columns, cells, strict=True)
    return f"<tr>{''.join(_labelled(name, cell) for name, cell in labelled)}</tr>"


def _labelled(name: str, cell: str) -> str:
    inner = f"<span>{cell}</span>" if cell else ""
    return f'<td data-column="{_text(name)}">{inner}</td>'


def _cell(text: str) -> str:
    if re.fullmatch(r"https?://[^\s\"'<>]+", text):
        return f'<a href="{_text(text)}" rel="noreferrer noopener">{_text(text)}</a>'
    if state := _state(text):
        word, colon, rest = text.partition(":")
        return f'<span class="{state}"><b>{_text(word)}</b>{colon}{_text(rest)}</span>'
    return _text(text)


def _state(text: str) -> str:
    return _STATES.get(text.partition(":")[0], "")


def _text(text: str) -> str:
    """Escape for text and quoted attributes."""
    return escape(_clean(text))


def _clean(text: str) -> str:
    """Drop characters that no page may hold, or that turn its direction."""
    return re.sub(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]", "", text)
