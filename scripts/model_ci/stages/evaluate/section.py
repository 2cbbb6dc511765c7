"""The gates and what they compared, with slices and the other metrics."""

from collections.abc import Iterator, Sequence
from typing import Any

from model_ci.config.conditions import CONDITIONS, compares
from model_ci.report.blocks import (
    Bar,
    Block,
    Paragraph,
    Record,
    Table,
    describe_condition,
    describe_gate,
    number,
    sentence,
)
from model_ci.terms import State


def blocks(section: Record) -> Iterator[Block]:
    """Say why, then show every gate, its slices, and the metrics that no gate asks for."""
    champion = section["champion"]
    against = f"Champion is version {champion['version']}." if champion else (
        "There is no champion yet: judged by the absolute gates only."
    )  # fmt: skip
    why = f"{sentence(section['why'])} {against} Judged on {number(section['rows'])} held-out rows."
    yield Paragraph(text=why, essential=True)
    if drawn := section["comparison"]:
        yield Paragraph(text=_how_sure(drawn, _compared(section["gates"])))
    yield Table(
        title="Gates",
        columns=["metric", "champion", "challenger", "difference", "gate", "result"],
        rows=[_gate(gate) for gate in section["gates"]],
        bars=[_bar(gate, section["metrics"]) for gate in section["gates"]],
        essential=True,
    )
    yield from (_slices(gate) for gate in section["gates"] if gate["slices"] and gate["state"] != State.NO_CHAMPION)
    yield from _changed(section["changed"])
    gated = {gate["metric"] for gate in section["gates"]}
    others = {name: m for name, m in section["metrics"].items() if name not in gated}
    if others:
        rows = [
            [name, number(m["champion"]), number(m["challenger"]), m["problem"] or ""] for name, m in others.items()
        ]
        yield Table(title="Other metrics", columns=["metric", "champion", "challenger", ""], rows=rows)


def _changed(changes: Sequence[Record] | None) -> Iterator[Block]:
    if changes:
        rows = [[change["what"], _made_of(change["champion"]), _made_of(change["challenger"])] for change in changes]
        yield Table(title="Made differently", columns=["", "champion", "challenger"], rows=rows)
    elif changes is not None:
        yield Paragraph(text="It was made of the same code, data and parameters as the champion.")


def _made_of(value: Any) -> str:
    return "-" if value is None else number(value) if isinstance(value, int) and value >= 1000 else str(value)


def _slices(gate: Record) -> Table:
    """Return every slice of a gate, the worst first; the small ones stand last and are no less shown."""
    order = (State.FAILED, State.INCONCLUSIVE, State.PASSED, State.NO_CHAMPION, State.MEASURED, State.TOO_SMALL)
    slices = sorted(gate["slices"], key=lambda part: order.index(part["state"]))
    return Table(
        title=f"Slices of {describe_gate(gate)}",
        columns=["slice", "rows", "champion", "challenger", "difference", "result"],
        rows=[_slice(part, compares=compares(gate["condition"])) for part in slices],
        folded=True,
    )


def _slice(part: Record, *, compares: bool) -> list[str]:
    """Return a slice's row; the bounds are of the difference where that is judged, else of the value itself."""
    value = number(part["challenger"])
    if not compares and part["interval"]:
        value += f" [{number(part['interval'][0])}, {number(part['interval'][1])}]"
    rows, champion = number(part["rows"]), number(part["champion"])
    return [part["slice"], rows, champion, value, _difference(part, compares=compares), _result(part)]


def _compared(gates: Sequence[Record]) -> int:
    """Count the tests: each slice that is judged is one, and so is a gap between slices."""
    tests = [test for gate in gates for test in ([gate] if _is_one_test(gate) else gate["slices"])]
    return sum(bool(test["interval"]) for test in tests)


def _is_one_test(gate: Record) -> bool:
    """Tell whether a gate is judged itself, and not but the worst of its slices."""
    return not gate["slices"] or any(part["state"] == State.MEASURED for part in gate["slices"])


def _how_sure(drawn: Record, compared: int) -> str:
    """Say what the bounds mean; silence would let them be read as more than they are."""
    blocks = f" of {number(drawn['blocks'])} blocks" if drawn["blocks"] else ""
    several = (
        f" Of the {compared} comparisons, none is called worse by chance more often than that (Holm)."
        if compared > 1
        else ""
    )
    return (
        f"Bounds of a difference are from {number(drawn['resamples'])} paired resamples{blocks}; "
        f"each holds with {drawn['confidence']:.0%} confidence.{several}"
    )


def _gate(gate: Record) -> list[str]:
    return [
        f"{gate['metric']} by {gate['by']}" if gate["by"] else gate["metric"],
        number(gate["champion"]),
        number(gate["challenger"]),
        _difference(gate, compares=compares(gate["condition"])),
        describe_condition(gate),
        _result(gate),
    ]


def _bar(gate: Record, metrics: Record) -> Bar | None:
    """Return what is compared with the limit: the value itself, or the difference to the champion."""
    condition, limit = CONDITIONS.get(gate["condition"]), gate["limit"]
    if condition is None or limit is None:
        return None
    value = gate["difference" if condition.compares else "challenger"]
    if value is None:
        return None
    lower_is_better = metrics.get(gate["metric"], {}).get("greater_is_better") is False
    sign = condition.direction(lower_is_better=lower_is_better)
    return Bar(
        value=value,
        bounds=gate["interval"],
        limit=sign * condition.needed(limit, gate["champion"]) if condition.compares else limit,
        above=sign > 0,
        difference=condition.compares,
    )


def _result(gate: Record) -> str:
    if gate["state"] == State.FAILED and gate["comparison"]:
        return f"failed: {gate['comparison']}, {gate['reason']}"
    if gate["state"] != State.PASSED:
        return f"{gate['state']}: {gate['reason']}"
    return f"passed: {gate['comparison']}" if gate["comparison"] else "passed"


def _difference(gate: Record, *, compares: bool) -> str:
    if gate["difference"] is None:
        return "-"
    bounds = f" [{gate['interval'][0]:+.4f}, {gate['interval'][1]:+.4f}]" if compares and gate["interval"] else ""
    return f"{gate['difference']:+.4f}{bounds}"
