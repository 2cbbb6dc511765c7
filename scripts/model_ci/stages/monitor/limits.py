"""Limits on what was seen: broken when enough of the newest windows break them, and never kept by what is missing."""

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

from model_ci.config import MonitorLimit
from model_ci.data.finding import Finding
from model_ci.frozen import dataclass
from model_ci.stages.monitor.window import Window
from model_ci.terms import State

if TYPE_CHECKING:
    from model_ci import record_types

# Busier than this, requests wait for each other: at 80 % there are four at once on average (one queue, M/M/1).
BUSY: Final = 0.8


@dataclass(frozen=True, kw_only=True)
class Judged:
    """One limit in the windows of one source, oldest first."""

    metric: str
    condition: str
    limit: float
    source: str | None
    state: State  # passed, failed or missing
    reason: str
    values: Sequence[float | None]
    broken: int

    def as_record(self) -> "record_types.MonitorLimit":
        """Return it as it stands in a run's record."""
        return {
            "metric": self.metric,
            "condition": self.condition,
            "limit": self.limit,
            "source": self.source,
            "state": self.state,
            "reason": self.reason,
            "values": list(self.values),
            "broken": self.broken,
        }


def judge(limit: MonitorLimit, windows: Sequence[Window], breaches: int) -> list[Judged]:
    """Judge a limit on each source that knows the figure; where none does, it is missing."""
    sources = dict.fromkeys(w.source for w in windows)
    known: list[str | None] = [
        s for s in sources if any(w.figures.get(limit.metric) is not None for w in windows if w.source == s)
    ]
    conditions = [c for c in ("min", "max") if getattr(limit, c) is not None]
    return [_judge(limit, c, s, windows, breaches) for c in conditions for s in known or [None]]


def _judge(limit: MonitorLimit, condition: str, source: str | None, windows: Sequence[Window], breaches: int) -> Judged:
    bound = float(getattr(limit, condition))
    values = [w.figures.get(limit.metric) for w in windows if source in (None, w.source)]
    broken = sum(_breaks(value, condition, bound) for value in values)
    absent = sum(value is None for value in values)
    if broken >= min(breaches, len(values)) and broken:
        state, reason = State.FAILED, f"{broken} of {len(values)} windows beyond it"
    elif absent:
        none = next((w for w in windows if source in (None, w.source) and not w.figures.get("requests")), None)
        why = "no requests were seen" if none else "what was asked does not tell"
        state, reason = State.MISSING, f"{absent} of {len(values)} windows have no value: {why}"
    else:
        state, reason = State.PASSED, f"{len(values) - broken} of {len(values)} windows within it"
    return Judged(
        metric=limit.metric, condition=condition, limit=bound, source=source, state=state, reason=reason,
        values=values, broken=broken,
    )  # fmt: skip


def _breaks(value: float | None, condition: str, bound: float) -> bool:
    if value is None:
        return False
    return value < bound if condition == "min" else value > bound


def findings(judged: Sequence[Judged], windows: Sequence[Window], busiest: float | None) -> Iterator[Finding]:
    """Tell what is missing, what is broken, and where there are too few replicas."""
    for one in judged:
        if one.state == State.PASSED:
            continue
        rule = "missing" if one.state == State.MISSING else "limit"
        where = f"{one.metric} {one.condition} {one.limit:g}" + (f" ({one.source})" if one.source else "")
        yield Finding(rule=rule, where=where, what=one.reason, count=one.broken or None)
    newest = {w.source: w for w in windows}
    for window in newest.values():
        yield from _resources(window, busiest or BUSY)


def _resources(window: Window, busiest: float) -> Iterator[Finding]:
    busy, replicas = window.figures.get("utilisation"), window.figures.get("replicas")
    if busy is None or not replicas or busy <= busiest:
        return
    rate = window.figures.get("requests_per_second")
    demand = "" if rate is None else f" for {rate:.4g} requests a second"
    needed = math.ceil(replicas * busy / busiest)
    what = (
        f"too few resources: {replicas:g} replicas are busy {busy:.0%} of the time{demand}; "
        f"to stay at {busiest:.0%} it takes {needed}"
    )
    yield Finding(rule="resources", where=f"replicas ({window.source})", what=what, level="warning")
