"""GitHub: the pull request of a commit, the artifacts of a run, and the comments of a pull request."""

from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from typing import Final
from urllib.parse import quote

from model_ci.forge.api import Api, RefusedError
from model_ci.forge.comments import Comment
from model_ci.forge.issues import Issue
from model_ci.frozen import dataclass

_ISSUES: Final = "`issues: write` in the workflow's permissions"
_READ: Final = "`pull-requests: read` (or write) in the workflow's permissions"
_WRITE: Final = "`pull-requests: write` in the workflow's permissions"
_ARTIFACTS: Final = "`actions: read` in the workflow's permissions"


@dataclass(frozen=True, kw_only=True)
class Head:
    """What a workflow ran on: a commit of a branch of a repository, which may be a fork."""

    repository: str
    branch: str
    sha: str


class GitHub:
    """A repository on GitHub."""

    comment_limit: Final = 65_536

    def __init__(
        self, *, api_url: str, repository: str, token: str, wait: Callable[[float], None] | None = None
    ) -> None:
        headers = {"Accept": "application/vnd.github+json", "X-GitHub-Api-Version": "2022-11-28"}
        self.repository = repository
        self.api = Api(
            name="GitHub", base=api_url, secret={"Authorization": f"Bearer {token}"}, headers=headers, wait=wait
        )
        self._path = f"/repos/{quote(repository)}"

    def pull_requests(self, head: Head) -> Iterator[int]:
        """Yield the open pull requests whose newest commit is this very one."""
        owner = head.repository.partition("/")[0]
        for page in self.api.pages(f"{self._path}/pulls", _READ, state="open", head=f"{owner}:{head.branch}"):
            for item in page:
                source = item["head"]
                repository = (source.get("repo") or {}).get("full_name")
                if (repository, source["ref"], source["sha"]) == (head.repository, head.branch, head.sha):
                    yield int(item["number"])

    def artifacts(self, run: int, prefix: str, most: int) -> Iterator[tuple[str, bytes]]:
        """Yield the archives, by name, of the run's artifacts that begin with `prefix`; each of at most `most` bytes."""
        for page in self.api.pages(f"{self._path}/actions/runs/{run}/artifacts", _ARTIFACTS):
            for artifact in page["artifacts"]:
                if artifact["name"].startswith(prefix) and not artifact["expired"]:
                    path = f"{self._path}/actions/artifacts/{int(artifact['id'])}/zip"
                    yield artifact["name"], self.api.download(path, _ARTIFACTS, most)

    def thread(self, number: int) -> "PullRequest":
        """Return the comments of a pull request."""
        return PullRequest(self.api, self._path, number)

    def tracker(self) -> "Issues":
        """Return the repository's issues."""
        return Issues(self.api, self._path)


class _Author:
    """Tells the token's owner from everybody else."""

    def __init__(self, api: Api) -> None:
        self._api = api

    @property
    def wait(self) -> Callable[[float], None] | None:
        """How to wait before another attempt."""
        return self._api.wait

    def _is_mine(self, author: Mapping[str, object]) -> bool:
        return bool(author.get("login") == self._me if self._me else author.get("type") == "Bot")

    @cached_property
    def _me(self) -> str | None:
        """The token's owner; None for a workflow's own token, which may not ask who it is and writes as a bot."""
        try:
            return str(self._api.get("/user", "to be valid")["login"])
        except RefusedError as error:
            if error.status in (403, 404):
                return None
            raise


class PullRequest(_Author):
    """The comments of a pull request."""

    def __init__(self, api: Api, path: str, number: int) -> None:
        super().__init__(api)
        self._path, self._number = path, number

    def mine(self) -> Iterator[Comment]:
        """Yield what the token's owner wrote, the oldest first."""
        for page in self._api.pages(f"{self._path}/issues/{self._number}/comments", _READ):
            for item in page:
                if self._is_mine(item.get("user") or {}):
                    yield Comment(id=int(item["id"]), body=item.get("body") or "")

    def create(self, body: str) -> None:
        """Add a comment."""
        self._api.send("POST", f"{self._path}/issues/{self._number}/comments", _WRITE, {"body": body})

    def update(self, comment: Comment, body: str) -> None:
        """Replace a comment's text."""
        self._api.send("PATCH", f"{self._path}/issues/comments/{comment.id}", _WRITE, {"body": body})


class Issues(_Author):
    """The issues of a repository."""

    def __init__(self, api: Api, path: str) -> None:
        super().__init__(api)
        self._path = f"{path}/issues"

    def mine(self) -> Iterator[Issue]:
        """Yield the open issues that the token's owner opened, the oldest first; GitHub lists pull requests among them."""
        for page in self._api.pages(self._path, _ISSUES, state="open", sort="created", direction="asc"):
            for item in page:
                if "pull_request" not in item and self._is_mine(item.get("user") or {}):
                    yield Issue(number=int(item["number"]), body=item.get("body") or "")

    def open(self, title: str, body: str) -> None:
        """Open an issue."""
        self._api.send("POST", self._path, _ISSUES, {"title": title, "body": body})

    def update(self, issue: Issue, body: str, *, close: bool = False) -> None:
        """Replace an issue's text, and close it where that is asked for."""
        state = {"state": "closed", "state_reason": "completed"} if close else {}
        self._api.send("PATCH", f"{self._path}/{issue.number}", _ISSUES, {"body": body, **state})
