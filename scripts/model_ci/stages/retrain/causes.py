"""What speaks for a retraining: what the stages before found, what has arrived, how old the model is, who asks."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from model_ci.frozen import dataclass
from model_ci.stages.retrain.decision import Cause
from model_ci.terms import Trigger

if TYPE_CHECKING:
    from model_ci.record_types import CheckDriftSection, MonitorSection


@dataclass(frozen=True, kw_only=True)
class NewData:
    """What the data holds that the champion has not been made with: rows, and seconds from its newest row to the newest."""

    sha256: str
    newest: str | float | None
    new_rows: int | None
    new_s: float | None


@dataclass(frozen=True, kw_only=True)
class Conditions:
    """Which causes count."""

    on: frozenset[Trigger]  # drift, quality, demand
    every_s: float | None
    new_rows: int | None
    new_s: float | None


@dataclass(frozen=True, kw_only=True)
class Situation:
    """What is known now; `champion` identifies it, `trained` is when the newest model was trained."""

    champion: str | None
    data: NewData
    trained: datetime | None
    drift: "CheckDriftSection | None"
    monitor: "MonitorSection | None"
    demand: str | None


def find(state: Situation, conditions: Conditions, now: datetime) -> list[Cause]:
    """Find the causes, each with what it rests on."""
    about = f"{state.champion or '-'}|{state.data.sha256}"
    return [Cause(kind=kind, what=what, key=f"{kind}|{about}") for kind, what in _causes(state, conditions, now)]


def _causes(state: Situation, conditions: Conditions, now: datetime) -> Iterator[tuple[Trigger, str]]:
    if state.champion is None:
        yield Trigger.FIRST, "there is no champion"
    if conditions.every_s and (state.trained is None or now - state.trained >= timedelta(seconds=conditions.every_s)):
        age = "never" if state.trained is None else f"last {(now - state.trained).days} days ago"
        yield Trigger.SCHEDULE, f"a model was trained {age}"
    if Trigger.DRIFT in conditions.on and state.drift and state.drift["state"] == "drift":
        yield Trigger.DRIFT, str(state.drift["why"])
    if Trigger.QUALITY in conditions.on and state.monitor and (reason := _of_quality(state.monitor)):
        yield Trigger.QUALITY, reason
    yield from _arrived(state.data, conditions)
    if Trigger.DEMAND in conditions.on and state.demand:
        yield Trigger.DEMAND, state.demand


def _of_quality(monitor: "MonitorSection") -> str:
    failures = [f for f in monitor["findings"] if f["rule"] == "quality" and f["level"] == "failure"]
    return "; ".join(f"{finding['where']}: {finding['what']}" for finding in failures)


def _arrived(data: NewData, conditions: Conditions) -> Iterator[tuple[Trigger, str]]:
    enough = [
        conditions.new_rows is not None and data.new_rows is not None and data.new_rows >= conditions.new_rows,
        conditions.new_s is not None and data.new_s is not None and data.new_s >= conditions.new_s,
    ]
    if any(enough):
        span = "" if data.new_s is None else f" of {data.new_s / 86400:.1f} days"
        yield Trigger.DATA, f"{data.new_rows} rows{span} have arrived since the champion's"
