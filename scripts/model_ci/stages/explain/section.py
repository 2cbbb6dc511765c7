"""What the model looks at."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from model_ci.report.blocks import Block, Chart, Paragraph, Table, number, percent, sentence
from model_ci.terms import State, Verdict

if TYPE_CHECKING:
    from model_ci.record_types import ColumnShare, ExplainChange, ExplainGate, ExplainSection


_COLUMNS: Final = 10


def blocks(section: "ExplainSection") -> Iterator[Block]:
    """Say what the model looks at, by which explainer, and whether the figures can be relied on."""
    of = f" of {section['target_class']}" if section["target_class"] else ""
    how = f"{section['explainer']} explainer, {section['scale']}{of}, {number(section['rows'])} held-out rows"
    yield Paragraph(text=f"Attributions: {section['why']} ({how}).")
    if section["note"]:
        yield Paragraph(text=f"Attributions were sampled: {section['note']}.")
    sums = section["additivity"]
    if not sums["holds"] and section["verdict"] != Verdict.FAILED:
        yield Paragraph(text=f"Attributions do not add up to the output: off by up to {number(sums['error'])}.")
    champion = section["champion"]
    if champion is None:
        yield Paragraph(text="There is no champion whose attributions could be compared.")
    elif champion["problem"]:
        yield Paragraph(text=sentence(champion["problem"]))
    if section["new_top"] and champion and champion["columns"]:
        before = champion["columns"][0]["name"]
        yield Paragraph(text=f"{section['new_top']} counts most now; for the champion it was {before}.")
    if section["gates"]:
        yield Table(
            title="Gates on attributions",
            columns=["column", "gate", "found", "result"],
            rows=[_explain_gate(gate) for gate in section["gates"]],
        )
    shifts = {change["name"]: change for change in section["changes"] or ()}
    yield Table(
        title="What the model looks at",
        columns=["column", "share", "champion", "change"],
        rows=[_column(column, shifts.get(column["name"])) for column in section["columns"][:_COLUMNS]],
        folded=True,
    )
    shares = {column["name"]: column["share"] for column in section["columns"][:_COLUMNS]}
    top = {name: share for name, share in shares.items() if share is not None}
    yield Chart(
        title="Share of each column in what the model says",
        labels=list(top),
        values=list(top.values()),
        before=[shifts[name]["champion_share"] if name in shifts else None for name in top],
        shares=True,
    )


def _explain_gate(gate: "ExplainGate") -> list[str]:
    result = gate["state"] if gate["state"] == State.PASSED else f"{gate['state']}: {gate['reason']}"
    return [gate["column"] or "-", f"{gate['condition']} {gate['limit']:.1%}", percent(gate["value"]), result]


def _column(column: "ColumnShare", change: "ExplainChange | None") -> list[str]:
    if change is None:
        return [column["name"], percent(column["share"]), "-", "-"]
    share = percent(change["champion_share"] if change["champion_rank"] else None)
    return [column["name"], percent(column["share"]), share, f"{change['shift']:+.1%}"]
