"""Whether to train again: the causes there are, held against what keeps retraining from running away."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from model_ci.frozen import dataclass
from model_ci.records.history import History
from model_ci.terms import Trigger


@dataclass(frozen=True, kw_only=True)
class Cause:
    """Why the model should be trained again.

    `key` is equal for what is no new reason: the same kind of cause, for the same champion, with the same data.
    """

    kind: Trigger
    what: str
    key: str


@dataclass(frozen=True, kw_only=True)
class Rules:
    """What holds a retraining back, in seconds and counts."""

    cooldown_s: float
    budget: int
    per_s: float
    patience: int


@dataclass(frozen=True, kw_only=True)
class Held:
    """What holds it back, and until when, where time alone lets it go."""

    by: str  # cooldown, budget, breaker or duplicate
    what: str
    until: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class Decided:
    """The decision, the causes that count, and what holds it back."""

    retrain: bool
    causes: Sequence[Cause]
    held: Sequence[Held]
    without_gain: int
    in_budget: int


def decide(causes: Sequence[Cause], past: History, now: datetime, rules: Rules, *, go_on: bool) -> Decided:
    """Decide; `go_on` is a person's word that the breaker shall let it try again.

    Cooldown and budget hold whoever asks. A cause that was acted on already, for the same champion and the same data,
    is no cause.
    """
    acted = {key for decision in past.retrained() for key in decision.keys}
    fresh = [
        cause
        for cause in causes
        if cause.kind in (Trigger.FIRST, Trigger.SCHEDULE, Trigger.DEMAND) or cause.key not in acted
    ]
    again = [cause for cause in causes if cause not in fresh]
    held = [
        Held(by="duplicate", what=f"{c.kind}: was acted on already, for this champion and this data") for c in again
    ]
    if fresh:
        held += [*_cooldown(past, now, rules), *_budget(past, now, rules)]
        held += [] if go_on else _breaker(past, rules)
    holding = any(h.by != "duplicate" for h in held)
    return Decided(
        retrain=bool(fresh) and not holding,
        causes=causes,
        held=held,
        without_gain=past.without_gain(),
        in_budget=len(_within(past, now, rules.per_s)),
    )


def _within(past: History, now: datetime, seconds: float) -> list[datetime]:
    since = now - timedelta(seconds=seconds)
    return [d.at for d in past.retrained() if d.at > since]


def _cooldown(past: History, now: datetime, rules: Rules) -> Iterator[Held]:
    recent = _within(past, now, rules.cooldown_s)
    if recent:
        until = max(recent) + timedelta(seconds=rules.cooldown_s)
        yield Held(by="cooldown", what=f"the last retraining was decided on {_day(max(recent))}", until=until)


def _budget(past: History, now: datetime, rules: Rules) -> Iterator[Held]:
    spent = sorted(_within(past, now, rules.per_s))
    if len(spent) >= rules.budget:
        until = spent[-rules.budget] + timedelta(seconds=rules.per_s) if rules.budget else None
        yield Held(by="budget", what=f"{len(spent)} of {rules.budget} retrainings are spent", until=until)


def _breaker(past: History, rules: Rules) -> Iterator[Held]:
    vain = past.without_gain()
    if vain >= rules.patience:
        yield Held(
            by="breaker",
            what=f"{vain} retrainings in a row made no champion; look into it, and ask for one by hand to go on",
        )


def _day(moment: datetime) -> str:
    return moment.isoformat(timespec="minutes")
