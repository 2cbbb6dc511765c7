"""GitLab: the notes of a merge request, and the issues of a project."""

from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Final

from model_ci.forge.api import Api
from model_ci.forge.comments import Comment
from model_ci.forge.issues import Issue

_NEEDS: Final = "the scope `api` and the role Reporter, as a project access token"


class GitLab:
    """A project on GitLab."""

    comment_limit: Final = 1_000_000

    def __init__(self, *, api_url: str, project: str, token: str, wait: Callable[[float], None] | None = None) -> None:
        self.api = Api(name="GitLab", base=api_url, secret={"PRIVATE-TOKEN": token}, wait=wait)
        self._path = f"/projects/{project}"

    def thread(self, number: int) -> "MergeRequest":
        """Return the notes of a merge request."""
        return MergeRequest(self.api, f"{self._path}/merge_requests/{number}/notes")

    def tracker(self) -> "Issues":
        """Return the project's issues."""
        return Issues(self.api, f"{self._path}/issues")


class MergeRequest:
    """The notes of a merge request."""

    def __init__(self, api: Api, path: str) -> None:
        self._api, self._path = api, path

    def mine(self) -> Iterator[Comment]:
        """Yield what the token's owner wrote, the oldest first."""
        for page in self._api.pages(self._path, _NEEDS, sort="asc", order_by="created_at"):
            for item in page:
                if not item.get("system") and item["author"]["id"] == self._me:
                    yield Comment(id=int(item["id"]), body=item.get("body") or "")

    def create(self, body: str) -> None:
        """Add a note."""
        self._api.send("POST", self._path, _NEEDS, {"body": body})

    def update(self, comment: Comment, body: str) -> None:
        """Replace a note's text."""
        self._api.send("PUT", f"{self._path}/{comment.id}", _NEEDS, {"body": body})

    @property
    def wait(self) -> Callable[[float], None] | None:
        """How to wait before another attempt."""
        return self._api.wait

    @cached_property
    def _me(self) -> int:
        return int(self._api.get("/user", _NEEDS)["id"])


class Issues:
    """The issues of a project."""

    def __init__(self, api: Api, path: str) -> None:
        self._api, self._path = api, path

    def mine(self) -> Iterator[Issue]:
        """Yield the open issues that the token's owner opened, the oldest first."""
        query = {"state": "opened", "scope": "created_by_me", "order_by": "created_at", "sort": "asc"}
        for page in self._api.pages(self._path, _NEEDS, **query):
            for item in page:
                yield Issue(number=int(item["iid"]), body=item.get("description") or "")

    def open(self, title: str, body: str) -> None:
        """Open an issue."""
        self._api.send("POST", self._path, _NEEDS, {"title": title, "description": body})

    def update(self, issue: Issue, body: str, *, close: bool = False) -> None:
        """Replace an issue's text, and close it where that is asked for."""
        state = {"state_event": "close"} if close else {}
        self._api.send("PUT", f"{self._path}/{issue.number}", _NEEDS, {"description": body, **state})

    @property
    def wait(self) -> Callable[[float], None] | None:
        """How to wait before another attempt."""
        return self._api.wait
