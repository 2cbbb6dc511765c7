"""The gates and what they compared, with slices and the other metrics."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from model_ci.config.conditions import CONDITIONS, compares
from model_ci.gates.condition import ROUNDING
from model_ci.report.blocks import (
    Bar,
    Block,
    Paragraph,
    Table,
    describe_condition,
    describe_gate,
    number,
    ordinal,
    sentence,
)
from model_ci.terms import State

if TYPE_CHECKING:
    from model_ci.record_types import (
        EvaluateChanged,
        EvaluateComparison,
        EvaluateMetric,
        EvaluateSection,
        EvaluateUnchanged,
        Gate,
        Slice,
    )
    from model_ci.types import JSON


def blocks(section: "EvaluateSection") -> Iterator[Block]:
    """Say why, then show every gate, its slices, and the metrics that no gate asks for."""
    champion = section["champion"]
    against = f"Champion is version {champion['version']}." if champion else (
        "There is no champion yet: judged by the absolute gates only."
    )  # fmt: skip
    why = f"{sentence(section['why'])} {against} {_judged_on(section)}"
    if section["positive"] is not None:
        why += f" The positive class is {section['positive']}."
    yield Paragraph(text=why, essential=True)
    if section["holdout"]["problem"]:
        yield Paragraph(text=f"Not compared: {section['holdout']['problem']}.", essential=True)
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
    yield from _made(section["changed"], section["unchanged"])
    gated = {gate["metric"] for gate in section["gates"]}
    others = {name: m for name, m in section["metrics"].items() if name not in gated}
    if others:
        rows = [
            [name, number(m["champion"]), number(m["challenger"]), m["problem"] or ""] for name, m in others.items()
        ]
        yield Table(title="Other metrics", columns=["metric", "champion", "challenger", ""], rows=rows)


def _judged_on(section: "EvaluateSection") -> str:
    """Say on how many of the held-out rows, which were left out, and how often these very rows were judged on."""
    holdout, rows = section["holdout"], section["rows"]
    if rows == holdout["rows"]:
        text = f"Judged on {number(rows)} held-out rows."
    else:
        compared = holdout["champion_learnt"] is not None and not holdout["problem"]
        text = (
            f"Judged on {number(rows)} of {number(holdout['rows'])} held-out rows, those that "
            f"{'neither model has' if compared else 'this model has not'} learnt from. "
            f"About {holdout['false_positives']:.2%} of such rows are left out by mistake."
        )
    if holdout["challengers"] is None:
        return f"{text} How many challengers were judged on these rows before is not known: {holdout['uncounted']}."
    if holdout["challengers"] > 1:
        text += f" This is the {ordinal(holdout['challengers'])} model judged on these rows."
    return text


def _made(changes: "Sequence[EvaluateChanged] | None", unchanged: "EvaluateUnchanged | None") -> Iterator[Block]:
    """Show what of the champion's making differs, and name what is the same and what is not known."""
    if changes:
        rows = [[change["what"], _made_of(change["champion"]), _made_of(change["challenger"])] for change in changes]
        yield Table(title="Made differently", columns=["", "champion", "challenger"], rows=rows)
    if unchanged is None:
        return
    text = f"Made as the champion was: the same {_listed(unchanged['same'])}." if unchanged["same"] else ""
    if unchanged["unknown"]:
        text += f" Not known of both: {_listed(unchanged['unknown'])}."
    if text:
        yield Paragraph(text=text.strip())


def _listed(names: "Sequence[str]") -> str:
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last


def _made_of(value: "JSON") -> str:
    return "-" if value is None else number(value) if isinstance(value, int) and value >= 1000 else str(value)


def _slices(gate: "Gate") -> Table:
    """Return every slice of a gate, the worst first; the small ones stand last and are no less shown."""
    worst_first = (State.FAILED, State.INCONCLUSIVE, State.PASSED, State.NO_CHAMPION, State.MEASURED, State.TOO_SMALL)
    slices = sorted(gate["slices"], key=lambda part: worst_first.index(part["state"]))
    return Table(
        title=f"Slices of {describe_gate(gate)}",
        columns=["slice", "rows", "champion", "challenger", "difference", "result"],
        rows=[_slice(part, compares=compares(gate["condition"])) for part in slices],
        folded=True,
    )


def _slice(part: "Slice", *, compares: bool) -> list[str]:
    """Return a slice's row; the bounds are of the difference where that is judged, else of the value itself."""
    value = _bounded(part, compares=compares)
    rows, champion = number(part["rows"]), number(part["champion"])
    return [part["slice"], rows, champion, value, _difference(part, compares=compares), _result(part)]


def _bounded(gate: "Gate | Slice", *, compares: bool) -> str:
    """Return the model's value, with its bounds where they are its own."""
    value, bounds = number(gate["challenger"]), None if compares else gate["interval"]
    return f"{value} [{number(bounds[0])}, {number(bounds[1])}]" if bounds else value


def _compared(gates: "Sequence[Gate]") -> int:
    """Count the tests: each slice that is judged is one, and so is a gap between slices."""
    judged = [gate for gate in gates if gate["by"] or compares(gate["condition"])]
    tests = [test for gate in judged for test in ([gate] if _is_one_test(gate) else gate["slices"])]
    return sum(bool(test["interval"]) for test in tests)


def _is_one_test(gate: "Gate") -> bool:
    """Tell whether a gate is judged itself, and not but the worst of its slices."""
    return not gate["slices"] or any(part["state"] == State.MEASURED for part in gate["slices"])


def _how_sure(drawn: "EvaluateComparison", compared: int) -> str:
    """Say what the bounds mean; silence would let them be read as more than they are."""
    blocks = f" of {number(drawn['blocks'])} blocks" if drawn["blocks"] else ""
    several = (
        f" Of the {compared} comparisons, none is called worse by chance more often than that (Holm)."
        if compared > 1
        else ""
    )
    return (
        f"Bounds are from {number(drawn['resamples'])} paired resamples{blocks}, or exact where there is a formula; "
        f"each holds with {drawn['confidence']:.0%} confidence.{several}"
    )


def _gate(gate: "Gate") -> list[str]:
    return [
        f"{gate['metric']} by {gate['by']}" if gate["by"] else gate["metric"],
        number(gate["champion"]),
        _bounded(gate, compares=compares(gate["condition"])),
        _difference(gate, compares=compares(gate["condition"])),
        describe_condition(gate),
        _result(gate) + (", but not surely" if _unsure(gate) else ""),
    ]


def _unsure(gate: "Gate") -> bool:
    """Whether a value passes its limit while its bound does not."""
    condition, bounds, limit = CONDITIONS.get(gate["condition"]), gate["interval"], gate["limit"]
    if gate["state"] != State.PASSED or condition is None or condition.compares or bounds is None or limit is None:
        return False
    return min(condition.sign * bound for bound in bounds) < condition.sign * limit - ROUNDING


def _bar(gate: "Gate", metrics: "Mapping[str, EvaluateMetric]") -> Bar | None:
    """Return what is compared with the limit: the value itself, or the difference to the champion."""
    condition, limit = CONDITIONS.get(gate["condition"]), gate["limit"]
    if condition is None or limit is None:
        return None
    value = gate["difference" if condition.compares else "challenger"]
    if value is None:
        return None
    metric = metrics.get(gate["metric"])
    lower_is_better = metric is not None and metric["greater_is_better"] is False
    sign = condition.direction(lower_is_better=lower_is_better)
    return Bar(
        value=value,
        bounds=gate["interval"],
        limit=sign * condition.needed(limit, gate["champion"]) if condition.compares else limit,
        above=sign > 0,
        difference=condition.compares,
    )


def _result(gate: "Gate | Slice") -> str:
    if gate["state"] == State.FAILED and gate["comparison"]:
        return f"failed: {gate['comparison']}, {gate['reason']}"
    if gate["state"] != State.PASSED:
        return f"{gate['state']}: {gate['reason']}"
    return f"passed: {gate['comparison']}" if gate["comparison"] else "passed"


def _difference(gate: "Gate | Slice", *, compares: bool) -> str:
    if gate["difference"] is None:
        return "-"
    bounds = f" [{gate['interval'][0]:+.4f}, {gate['interval'][1]:+.4f}]" if compares and gate["interval"] else ""
    return f"{gate['difference']:+.4f}{bounds}"
