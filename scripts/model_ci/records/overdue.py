"""The check that did not run: its schedule may have been turned off, and nobody told."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from model_ci.config import Retrain
from model_ci.data import times
from model_ci.data.finding import Finding
from model_ci.records.history import History


def find(settings: Retrain, past: History, now: datetime) -> Iterator[Finding]:
    """Yield a warning when the check is overdue at `now`; it counts from the last one, else from the first training that expected one."""
    since = _since(past)
    if not settings.interval or since is None:
        return
    if now - since > timedelta(seconds=times.seconds(settings.interval) * settings.missed):
        what = (
            f"did not run from {since.date()} to {now.date()}, and is meant to every {settings.interval}; see whether its schedule "
            "is still on: GitHub turns schedules off in public repositories without a commit for 60 days"
        )
        yield unseen(what)


def unseen(what: str) -> Finding:
    """Word a warning that the check did not run, or that nobody knows whether it did."""
    return Finding(rule="missed", where="retrain", what=what, level="warning")


def _since(past: History) -> datetime | None:
    if past.decisions:
        return past.decisions[-1].at
    return next((training.at for training in past.trainings if training.expects_check), None)
