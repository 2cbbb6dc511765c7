"""Whether what a model looks at may be looked at, that much."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, cast

from model_ci.frozen import dataclass
from model_ci.stages.explain.importance import ColumnImportance, Shift
from model_ci.terms import State, Verdict

if TYPE_CHECKING:
    from model_ci.record_types import ExplainGate


@dataclass(frozen=True, kw_only=True)
class JudgedShare:
    """A gate and what became of it; `state` is passed, failed or no champion."""

    condition: str  # max_share or max_shift
    column: str | None
    limit: float
    value: float | None
    state: State
    reason: str | None = None

    def as_record(self) -> "ExplainGate":
        """Write it as JSON."""
        return cast("ExplainGate", asdict(self))


def judge_shares(
    limits: Mapping[str, float], columns: Sequence[ColumnImportance], problem: str | None
) -> list[JudgedShare]:
    """Judge each named column's share; with a `problem` of the attributions nothing passes.

    A column that the model does not see has no share, and passes.
    """
    shares = {column.name: column.share for column in columns}
    return [_share(name, limit, shares.get(name, 0.0), problem) for name, limit in limits.items()]


def judge_shift(
    limit: float | None, changes: Sequence[Shift] | None, problem: str | None, champions: str | None
) -> list[JudgedShare]:
    """Judge the largest shift of a share; `changes` is None without a champion, `champions` why it was not explained."""
    if limit is None:
        return []
    if changes is None and champions is None and problem is None:
        return [_outcome("max_shift", None, limit, None, State.NO_CHAMPION, "there is no champion to compare with")]
    if problem or champions or not changes:
        return [_outcome("max_shift", None, limit, None, State.FAILED, problem or champions or "nothing to compare")]
    worst = changes[0]
    value = abs(worst.shift)
    reason = f"{worst.name} went from {worst.champion_share:.1%} to {worst.share:.1%}, {limit:.1%} allowed"
    state = State.PASSED if value <= limit else State.FAILED
    return [_outcome("max_shift", worst.name, limit, value, state, reason if state == State.FAILED else None)]


def verdict(outcomes: Sequence[JudgedShare], problem: str | None, *, broken: bool) -> tuple[Verdict, str]:
    """Return done, passed or failed, and why; `broken` attributions are a no even where nothing asks for a yes."""
    failed = [outcome for outcome in outcomes if outcome.state == State.FAILED]
    if broken or (problem and outcomes):
        return Verdict.FAILED, str(problem)
    if failed:
        what = "1 gate on attributions" if len(failed) == 1 else f"{len(failed)} gates on attributions"
        return Verdict.FAILED, f"{what} failed: " + "; ".join(str(outcome.reason) for outcome in failed)
    if outcomes:
        return Verdict.PASSED, "no column counts more than it may"
    return Verdict.DONE, problem or "there are no gates on attributions"


def _share(name: str, limit: float, share: float | None, problem: str | None) -> JudgedShare:
    if problem or share is None:
        return _outcome("max_share", name, limit, share, State.FAILED, problem or f"the share of {name} is no number")
    if share > limit:
        reason = f"{name} has {share:.1%} of the attribution, {limit:.1%} allowed"
        return _outcome("max_share", name, limit, share, State.FAILED, reason)
    return _outcome("max_share", name, limit, share, State.PASSED, None)


def _outcome(  # noqa: PLR0913, PLR0917 - the fields in their order
    condition: str, column: str | None, limit: float, value: float | None, state: State, reason: str | None
) -> JudgedShare:
    return JudgedShare(condition=condition, column=column, limit=limit, value=value, state=state, reason=reason)
