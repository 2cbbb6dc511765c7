"""JSON over HTTP with patience: time limits, pages, and waiting where the service asks for it.

The standard library's client is enough here, so that commenting needs no more than the tool's own three packages.
"""

import http.client
import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode, urljoin, urlsplit

from model_ci.errors import ConfigError, ServiceError

if TYPE_CHECKING:
    pass


_TIMEOUT_S: Final = 30
_TRIES: Final = 5
_LONGEST_WAIT_S: Final = 120
_MOST_PAGES: Final = 100
_MOST_BYTES: Final = 32 * 1024 * 1024
_ELSEWHERE: Final = (301, 302, 303, 307, 308)
_GONE_WRONG: Final = (OSError, http.client.HTTPException)  # no answer, or half of one


class UnansweredError(ServiceError):
    """The service did not say whether it did what it was asked to."""


class RefusedError(ServiceError):
    """The service said no, with an HTTP status."""

    def __init__(self, problem: str, status: int) -> None:
        super().__init__(problem)
        self.status = status


@dataclass(frozen=True, kw_only=True)
class Request:
    """What is asked; `needs` is the permission that it takes, `most` the bytes of its answer that are read."""

    method: str
    address: str
    needs: str
    body: bytes | None = None
    most: int = _MOST_BYTES
    known: bool = True  # whether the host is the API's own, which may see the token
    moves: bool = False  # whether it may be told to go elsewhere


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """Read the body; what is no JSON is nothing."""
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):
            return None


def until_answered(work: Callable[[], str], pause: Callable[[int], None]) -> str:
    """Do what looks before it creates, again where a creation was not answered, and return what it returns."""
    for attempt in range(_TRIES - 1):
        try:
            return work()
        except UnansweredError:
            if attempt == _TRIES - 2:
                raise
            pause(attempt)
    raise AssertionError  # the last attempt returns or raises


class _Stay(urllib.request.HTTPRedirectHandler):
    """Follow no redirection: a changed method or another host is never what was meant."""

    def redirect_request(self, *_: object, **__: object) -> None:
        """Refuse."""


@dataclass(frozen=True, kw_only=True)
class Api:
    """An API below `base`; `secret` is the header with the token, which goes to that host alone and into no message."""

    name: str
    base: str
    secret: Mapping[str, str]
    headers: Mapping[str, str] = field(default_factory=dict)
    hidden: Sequence[str] = ()  # of the address, what no message has either
    wait: Callable[[float], None] = time.sleep

    def __post_init__(self) -> None:
        if urlsplit(self.base).scheme not in ("http", "https"):
            raise ConfigError(f"{self.name}: the address of its API must begin with https://. Got {self.base!r}.")

    def get(self, path: str, needs: str) -> Any:
        """Return what is at `path`; `needs` is the permission that this takes, for the message when it lacks."""
        return self._content(self._ask(Request(method="GET", address=self._address(path), needs=needs)))

    def pages(self, path: str, needs: str, **query: object) -> Iterator[Any]:
        """Yield each page of a list, as long as the service names a next one."""
        address: str | None = self._address(path, {**query, "per_page": 100})
        for _ in range(_MOST_PAGES):
            if address is None:
                return
            answer = self._ask(Request(method="GET", address=address, needs=needs))
            yield self._content(answer)
            address = self._next(address, answer.headers)

    def send(self, method: str, path: str, needs: str, content: object) -> None:
        """Change something; raise UnansweredError where a POST may have been done, which must not be done twice."""
        body = json.dumps(content).encode()
        self._ask(Request(method=method, address=self._address(path), needs=needs, body=body))

    def download(self, path: str, needs: str, most: int) -> bytes:
        """Return a file of at most `most` bytes; the one redirection that it takes goes without the token."""
        request = Request(method="GET", address=self._address(path), needs=needs, most=most, moves=True)
        answer = self._ask(request)
        if answer.status in _ELSEWHERE:
            target = urljoin(request.address, answer.headers.get("location", ""))
            if urlsplit(target).scheme not in ("http", "https"):
                raise ServiceError(f"{self.name}: the download is elsewhere than at an address of the web")
            answer = self._ask(replace(request, address=target, known=False, moves=False))
        return answer.body

    def _content(self, answer: Answer) -> Any:
        found = answer.json()
        if not isinstance(found, dict | list):
            raise ServiceError(
                f"{self.name}: the answer from {_host(self.base)} is no JSON; is that the address of its API?"
            )
        return found

    def _address(self, path: str, query: Mapping[str, object] | None = None) -> str:
        return f"{self.base.rstrip('/')}{path}{'?' if query else ''}{urlencode(query or {})}"

    def _next(self, address: str, headers: Mapping[str, str]) -> str | None:
        """Find the next page: by GitHub's Link header or GitLab's X-Next-Page; never on another host."""
        for link in headers.get("link", "").split(","):
            target, _, relation = link.partition(";")
            if 'rel="next"' in relation:
                following = urljoin(address, target.strip().removeprefix("<").removesuffix(">"))
                if urlsplit(following)[:2] != urlsplit(address)[:2]:
                    raise ServiceError(f"{self.name}: names a next page on another host; nothing was sent there")
                return following
        if number := headers.get("x-next-page", "").strip():
            bare, _, query = address.partition("?")
            kept = "&".join(part for part in query.split("&") if not part.startswith("page="))
            return f"{bare}?{kept}&{urlencode({'page': number})}"
        return None

    def _ask(self, request: Request) -> Answer:
        for attempt in range(_TRIES):
            try:
                answer = self._once(request)
            except _GONE_WRONG as error:
                self._go_on(request, attempt, f"no answer: {self._clean(error)}")
                self.wait(2**attempt)
                continue
            pause = _pause(answer, attempt)
            if answer.status < 300 or (request.moves and answer.status in _ELSEWHERE):
                return answer
            if pause is None:
                raise RefusedError(self._refusal(answer, request.needs), answer.status)
            if answer.status >= 500:
                self._go_on(request, attempt, f"{answer.status}: {self._said(answer)}")
            elif pause > _LONGEST_WAIT_S or attempt == _TRIES - 1:
                problem = f"{self.name}: {answer.status}, too many requests, and {pause:.0f} s to wait; try again later"
                raise RefusedError(problem, answer.status)
            self.wait(pause)
        raise AssertionError  # the last attempt returns or raises

    def _go_on(self, request: Request, attempt: int, problem: str) -> None:
        """Raise where asking again would be once too often."""
        told = f"{self.name}: {_host(request.address)}: {problem}; try again later"
        if request.method == "POST":
            raise UnansweredError(told)
        if attempt == _TRIES - 1:
            raise ServiceError(told)

    def _once(self, request: Request) -> Answer:
        headers = {"User-Agent": "model-ci", **(self.headers if request.known else {})}
        if request.body:
            headers["Content-Type"] = "application/json"
        asked = urllib.request.Request(request.address, request.body, headers, method=request.method)  # noqa: S310 - the scheme is checked
        for name, value in self.secret.items() if request.known else ():
            asked.add_unredirected_header(name, value)
        try:
            with urllib.request.build_opener(_Stay).open(asked, timeout=_TIMEOUT_S) as reply:
                return self._read(reply.status, reply, request.most)
        except urllib.error.HTTPError as error:
            with error:
                return self._read(error.code, error, request.most)

    def _read(self, status: int, reply: "http.client.HTTPResponse | urllib.error.HTTPError", most: int) -> Answer:
        body = reply.read(most + 1)
        if len(body) > most:
            raise ServiceError(f"{self.name}: the answer has more than {most:,} bytes; it was not read")
        return Answer(status=status, headers={k.lower(): v for k, v in reply.headers.items()}, body=body)

    def _refusal(self, answer: Answer, needs: str) -> str:
        said = self._said(answer)
        match answer.status:
            case 401:
                return f"{self.name}: 401, the token is not accepted: {said}; give one that is valid"
            case 403 | 404:
                return (
                    f"{self.name}: {answer.status}: {said}; the token needs {needs}, "
                    "and a token without it is told that there is nothing"
                )
            case status if status in _ELSEWHERE:
                return f"{self.name}: {status}: this is elsewhere now; was the repository renamed, or is it http for https?"
            case status:
                return f"{self.name}: {status}: {said}"

    def _said(self, answer: Answer) -> str:
        found = answer.json()
        said = (found.get("message") or found.get("error")) if isinstance(found, dict) else None
        return self._clean(said or http.client.responses.get(answer.status, "no reason given"))

    def _clean(self, said: object) -> str:
        """Write what a service said in one short line, without what is secret, should it repeat that."""
        text = " ".join(str(said).split())
        for value in (*self.secret.values(), *self.hidden):
            for secret in (value, value.rpartition(" ")[2]):
                text = text.replace(secret, "***") if secret else text
        return text[:300]


def _pause(answer: Answer, attempt: int) -> float | None:
    """Return how long to wait before the next attempt; None when another one cannot help."""
    limited = answer.status == 403 and (
        "retry-after" in answer.headers or answer.headers.get("x-ratelimit-remaining") == "0"
    )
    if answer.status == 429 or limited:
        return _asked_to_wait(answer.headers, attempt)
    return float(2**attempt) if answer.status in (500, 502, 503, 504) else None


def _asked_to_wait(headers: Mapping[str, str], attempt: int) -> float:
    try:
        if "retry-after" in headers:
            return max(float(headers["retry-after"]), 0)
        if headers.get("x-ratelimit-remaining") == "0":
            return max(float(headers["x-ratelimit-reset"]) - time.time(), 1)
    except (ValueError, KeyError):
        pass
    return float(2**attempt)


def _host(address: str) -> str:
    return urlsplit(address).netloc.rpartition("@")[2]
