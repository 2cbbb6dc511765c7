"""One comment a model: found again by its marker, written anew in place."""

from collections.abc import Callable, Iterator
from typing import Protocol

from model_ci.forge.api import until_answered
from model_ci.frozen import dataclass


@dataclass(frozen=True, kw_only=True)
class Comment:
    """A comment that the token's owner wrote."""

    id: int
    body: str


class Thread(Protocol):
    """Where the comments of one pull or merge request are."""

    def mine(self) -> Iterator[Comment]:
        """Yield what the token's owner wrote, the oldest first: a marker in anybody else's comment is a forgery."""

    def create(self, body: str) -> None:
        """Add a comment."""

    def update(self, comment: Comment, body: str) -> None:
        """Replace a comment's text."""

    @property
    def wait(self) -> Callable[[float], None] | None:
        """How to wait before another attempt; None: as everywhere."""


def put(thread: Thread, marker: str, body: str) -> str:
    """Make `body` the one comment that begins with `marker`; return created, updated or unchanged.

    Where it is not known whether a comment was created, it is looked for before another one is.
    """
    return until_answered(lambda: _put(thread, marker, body), thread.wait)


def _put(thread: Thread, marker: str, body: str) -> str:
    existing = next((comment for comment in thread.mine() if comment.body.lstrip().startswith(marker)), None)
    if existing is None:
        thread.create(body)
        return "created"
    if existing.body.replace("\r\n", "\n").strip() == body.strip():
        return "unchanged"
    thread.update(existing, body)
    return "updated"
