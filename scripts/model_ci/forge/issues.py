"""One issue a cause: opened once, written anew while the cause lasts, closed when it is gone."""

from collections.abc import Callable, Iterator
from typing import Protocol

from model_ci.forge.api import until_answered
from model_ci.frozen import dataclass


@dataclass(frozen=True, kw_only=True)
class Issue:
    """An open issue that the token's owner opened."""

    number: int
    body: str


class Tracker(Protocol):
    """Where the issues of one project are."""

    def mine(self) -> Iterator[Issue]:
        """Yield the open issues that the token's owner opened, the oldest first."""

    def open(self, title: str, body: str) -> None:
        """Open an issue."""

    def update(self, issue: Issue, body: str, *, close: bool = False) -> None:
        """Replace an issue's text, and close it where that is asked for."""

    @property
    def wait(self) -> Callable[[float], None] | None:
        """How to wait before another attempt; None: as everywhere."""


def raise_issue(tracker: Tracker, marker: str, title: str, body: str) -> str:
    """Make `body` the text of the one open issue that begins with `marker`; return opened, updated or unchanged."""
    return until_answered(lambda: _raise(tracker, marker, title, body), tracker.wait)


def settle(tracker: Tracker, marker: str, body: str) -> str:
    """Close what is open under `marker`, with `body` as its last text; return closed or nothing."""
    existing = list(_marked(tracker, marker))
    for issue in existing:
        tracker.update(issue, body, close=True)
    return "closed" if existing else "nothing"


def _raise(tracker: Tracker, marker: str, title: str, body: str) -> str:
    existing = next(_marked(tracker, marker), None)
    if existing is None:
        tracker.open(title, body)
        return "opened"
    if existing.body.replace("\r\n", "\n").strip() == body.strip():
        return "unchanged"
    tracker.update(existing, body)
    return "updated"


def _marked(tracker: Tracker, marker: str) -> Iterator[Issue]:
    return (issue for issue in tracker.mine() if issue.body.lstrip().startswith(marker))
