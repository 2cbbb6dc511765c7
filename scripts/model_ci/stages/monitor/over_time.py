"""Gates over several spans of time: what is surely broken in one of them, and what in enough of them."""

from collections.abc import Iterator, Sequence
from typing import Any

from model_ci.data.finding import Finding
from model_ci.gates.condition import RELATIVE
from model_ci.terms import State

Record = dict[str, Any]


def sure(gate: Record, bounds: tuple[float, float] | None) -> Record:
    """Call a metric of all rows beyond its limit only when its bound is too; one without a value stays failed.

    Slices, and differences to the champion, have been judged by their bounds already.
    """
    if gate["by"] or bounds is None or gate["condition"] in RELATIVE:
        return gate
    gate = {**gate, "interval": list(bounds)}
    if gate["state"] != State.FAILED or gate["challenger"] is None:
        return gate
    beyond = bounds[1] < gate["limit"] if gate["condition"] == "min" else bounds[0] > gate["limit"]
    return gate if beyond else {**gate, "state": State.INCONCLUSIVE, "reason": f"{gate['reason']}, but not surely"}


def judge(spans: Sequence[Sequence[Record]], breaches: int) -> Iterator[tuple[Record, Finding | None]]:
    """Count in how many spans, oldest first, each gate failed; tell of those that failed in enough."""
    for gates in zip(*spans, strict=True):
        newest, failed = gates[-1], [gate for gate in gates if gate["state"] == State.FAILED]
        broken = bool(failed) and len(failed) >= min(breaches, len(gates))
        passed = any(gate["state"] == State.PASSED for gate in gates)
        state = State.FAILED if broken else State.PASSED if passed else State.INCONCLUSIVE
        why = failed[-1]["reason"] if failed else None if passed else newest["reason"]
        judged = {
            "name": _name(newest),
            "metric": newest["metric"],
            "by": newest["by"],
            "condition": newest["condition"],
            "limit": newest["limit"],
            "state": state,
            "reason": f"{len(failed)} of {len(gates)} spans failed it" + (f"; {why}" if why else ""),
            "broken": len(failed),
            "champion": newest["champion"] if newest["condition"] in RELATIVE else None,
            "values": [gate["challenger"] for gate in gates],
        }
        yield judged, _finding(judged, failed) if broken else None


def _name(gate: Record) -> str:
    by = f" by {gate['by']}" if gate["by"] else ""
    return f"{gate['metric']}{by} {gate['condition']} {gate['limit']:g}"


def _finding(judged: Record, failed: Sequence[Record]) -> Finding:
    """A gate that failed only for want of something to compare with says nothing of the model."""
    rule = "reference" if all(_incomparable(gate) for gate in failed) else "quality"
    return Finding(rule=rule, where=judged["name"], what=judged["reason"], count=judged["broken"])


def _incomparable(gate: Record) -> bool:
    parts = [part for part in gate["slices"] if part["state"] == State.FAILED] or [gate]
    return gate["condition"] in RELATIVE and all(
        part["champion"] is None and part["challenger"] is not None for part in parts
    )
