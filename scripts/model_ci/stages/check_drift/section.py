"""What drifted, and how surely."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from model_ci.report.blocks import (
    Block,
    Distribution,
    Paragraph,
    Table,
    describe_finding,
    number,
    percent,
    sentence,
)

if TYPE_CHECKING:
    from model_ci.record_types import CheckDriftColumn, CheckDriftSection


_SHOWN = 10


def blocks(section: "CheckDriftSection") -> Iterator[Block]:
    """Say whether today's rows are like those of the training, then show the columns that matter."""
    window, reference = section["window"], section["reference"]
    words = {
        "drift": "",
        "no drift": "No drift: ",
        "not judged": "Drift was not judged: ",
        "broken": "The rows are broken: ",
    }
    yield Paragraph(text=sentence(words[section["state"]] + section["why"]), essential=True)
    span = f" from {_day(window['first'])} to {_day(window['last'])}" if window["first"] is not None else ""
    yield Paragraph(
        text=f"{number(window['rows'])} rows{span}, compared with {reference['name']} ({number(reference['rows'])} rows)."
        + (f" {_level(section)}" if section["rules"] == "own" else " JudgedColumn as Evidently does by default.")
    )
    for finding in section["findings"]:
        if finding["level"] == "warning":
            yield Paragraph(text=f"Drift: {describe_finding(finding)}")
    if joint := section["joint"]:
        verb = "can" if joint["drifted"] else "cannot"
        yield Paragraph(
            text=f"A classifier {verb} tell the rows from the reference's: area under the curve {number(joint['auc'])}, "
            f"p {_chance(joint['p_value'])}, of {number(joint['rows'][1])} rows."
        )
    moved = [c for c in section["columns"] if c["drifted"] or c["drifted_now"]]
    others = [c for c in section["columns"] if not (c["drifted"] or c["drifted_now"])]
    shown = (moved + others)[: max(_SHOWN, len(moved))]
    if shown:
        yield _table("Drift by column", shown, essential=True)
    if rest := (moved + others)[len(shown) :]:
        yield _table("Other columns", rest, folded=True)
    if strange := [row for c in section["columns"] if (row := _strange(c))]:
        yield Table(title="New, vanished and beyond", columns=["column", ""], rows=strange, folded=True)


def _table(title: str, columns: "list[CheckDriftColumn]", *, essential: bool = False, folded: bool = False) -> Table:
    return Table(
        title=title,
        columns=["column", "weight", "distance", "threshold", "p, corrected", "nulls before, now", "result"],
        rows=[_row(column) for column in columns],
        bars=[_drawn(column) for column in columns],
        essential=essential,
        folded=folded,
    )


def _row(column: "CheckDriftColumn") -> list[str]:
    nulls = column["nulls"]
    absent = (
        f"{percent(nulls['reference'])}, {percent(nulls['window'])}" if nulls["reference"] or nulls["window"] else "-"
    )
    p_value = column["p_adjusted"] if column["p_adjusted"] is not None else column["p_value"]
    return [
        column["name"],
        percent(column["importance"]),
        f"{number(column['score'])} {column['method'].replace('_', '-')}",
        f"{column['threshold']:g}",
        _chance(p_value),
        absent,
        _result(column),
    ]


def _chance(p_value: float | None) -> str:
    return "<0.0001" if p_value is not None and p_value < 0.0001 else number(p_value)


def _result(column: "CheckDriftColumn") -> str:
    seen = column["windows"]
    often = f" (in {sum(map(bool, seen))} of {len(seen)} windows)" if len(seen) > 1 else ""
    if column["drifted"]:
        return f"drifted: {'; '.join(column['reasons']) or 'in earlier windows'}{often}"
    if column["drifted_now"]:
        return f"inconclusive: {'; '.join(column['reasons'])}{often}"
    return "as before" if column["score"] is not None else "no values"


def _drawn(column: "CheckDriftColumn") -> Distribution | None:
    drawn = column["distribution"]
    if drawn is None:
        return None
    return Distribution(
        reference=drawn["reference"],
        window=drawn["window"],
        labels=drawn["labels"],
        begin=drawn["from"],
        end=drawn["to"],
    )


def _strange(column: "CheckDriftColumn") -> list[str] | None:
    texts = []
    if categories := column["categories"]:
        if categories["new_count"]:
            texts.append(
                f"new: {_few(categories['new'], categories['new_count'])} ({percent(categories['new_share'])} of the rows)"
            )
        if categories["vanished_count"]:
            texts.append(f"gone: {_few(categories['vanished'], categories['vanished_count'])}")
    if beyond := column["range"]:
        if beyond["outside"]:
            texts.append(
                f"{percent(beyond['outside'])} of the rows lie beyond {_span(beyond['reference'])}, as {_span(beyond['window'])}"
            )
        if beyond["infinite"]:
            texts.append(f"{number(beyond['infinite'])} rows are infinite")
    return [column["name"], "; ".join(texts)] if texts else None


def _few(names: Sequence[str], count: int) -> str:
    return ", ".join(names) + (f" and {count - len(names)} more" if count > len(names) else "")


def _span(bounds: Sequence[float] | None) -> str:
    return f"{number(bounds[0])} to {number(bounds[1])}" if bounds else "nothing"


def _level(section: "CheckDriftSection") -> str:
    windows = section["windows"]
    often = f", in {windows['needed']} of the last {windows['of']} windows" if windows["of"] > 1 else ""
    return sentence(
        f"a column drifts when it is farther than its threshold and that is no chance at {section['level']:g}, "
        f"corrected for all columns{often}"
    )


def _day(moment: str | float | None) -> str:
    return moment[:16].replace("T", " ") if isinstance(moment, str) else number(moment)
