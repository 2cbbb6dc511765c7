"""Gates over several spans of time: what is surely broken in one of them, and what in enough of them."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from model_ci.config.conditions import CONDITIONS, compares
from model_ci.data.finding import Finding
from model_ci.terms import State

if TYPE_CHECKING:
    from model_ci.record_types import Gate, MonitorGate, Slice


def sure(gate: "Gate", bounds: tuple[float, float] | None) -> "Gate":
    """Call a metric of all rows beyond its limit only when its bound is too; one without a value stays failed.

    Slices, and differences to the champion, have been judged by their bounds already.
    """
    if gate["by"] or bounds is None or compares(gate["condition"]):
        return gate
    gate = {**gate, "interval": list(bounds)}
    if gate["state"] != State.FAILED or gate["challenger"] is None or gate["limit"] is None:
        return gate
    beyond = bounds[1] < gate["limit"] if CONDITIONS[gate["condition"]].sign > 0 else bounds[0] > gate["limit"]
    return gate if beyond else {**gate, "state": State.INCONCLUSIVE, "reason": f"{gate['reason']}, but not surely"}


def judge(spans: "Sequence[Sequence[Gate]]", breaches: int) -> "Iterator[tuple[MonitorGate, Finding | None]]":
    """Count in how many spans, oldest first, each gate failed; tell of those that failed in enough."""
    for gates in zip(*spans, strict=True):
        newest, failed = gates[-1], [gate for gate in gates if gate["state"] == State.FAILED]
        broken = bool(failed) and len(failed) >= min(breaches, len(gates))
        passed = any(gate["state"] == State.PASSED for gate in gates)
        state = State.FAILED if broken else State.PASSED if passed else State.INCONCLUSIVE
        why = failed[-1]["reason"] if failed else None if passed else newest["reason"]
        judged: MonitorGate = {
            "name": _name(newest),
            "metric": newest["metric"],
            "by": newest["by"],
            "condition": newest["condition"],
            "limit": newest["limit"],
            "state": state,
            "reason": f"{len(failed)} of {len(gates)} spans failed it" + (f"; {why}" if why else ""),
            "broken": len(failed),
            "champion": newest["champion"] if compares(newest["condition"]) else None,
            "values": [gate["challenger"] for gate in gates],
        }
        yield judged, _finding(judged, failed) if broken else None


def _name(gate: "Gate") -> str:
    by = f" by {gate['by']}" if gate["by"] else ""
    return f"{gate['metric']}{by} {gate['condition']} {gate['limit']:g}"


def _finding(judged: "MonitorGate", failed: "Sequence[Gate]") -> Finding:
    """A gate that failed only for want of something to compare with says nothing of the model."""
    rule = "reference" if all(_incomparable(gate) for gate in failed) else "quality"
    return Finding(rule=rule, where=judged["name"], what=judged["reason"], count=judged["broken"])


def _incomparable(gate: "Gate") -> bool:
    failed: Sequence[Gate | Slice] = [part for part in gate["slices"] if part["state"] == State.FAILED]
    parts = failed or [gate]
    return compares(gate["condition"]) and not any(_is_comparable(gate["condition"], part) for part in parts)


def _is_comparable(condition: str, part: "Gate | Slice") -> bool:
    mine, theirs = part["challenger"], part["champion"]
    if mine is None or theirs is None:
        return mine is None  # a model without a value is a fault of the model
    return CONDITIONS[condition].unfit(mine, theirs) is None
