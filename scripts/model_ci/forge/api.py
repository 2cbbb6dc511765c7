"""A forge's API: JSON, pages, and refusals that name the permission that lacks."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import field
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import urlencode, urljoin, urlsplit

from model_ci import web
from model_ci.errors import ConfigError, ServiceError
from model_ci.frozen import dataclass
from model_ci.web import Answer

_MOST_PAGES: Final = 100
_ELSEWHERE: Final = (301, 302, 303, 307, 308)


class UnansweredError(ServiceError):
    """The service did not say whether it did what it was asked to."""


class RefusedError(ServiceError):
    """The service said no, with an HTTP status."""

    def __init__(self, problem: str, status: int) -> None:
        super().__init__(problem)
        self.status = status


def until_answered(work: Callable[[], str], wait: Callable[[float], None] | None) -> str:
    """Do what looks before it creates, again where a creation was not answered, and return what it returns."""
    return web.repeat(work, UnansweredError, web.TRIES - 1, wait or web.sleep)


@dataclass(frozen=True, kw_only=True)
class Api:
    """An API below `base`; `secret` is the header with the token, which goes to that host alone and into no message."""

    name: str
    base: str
    secret: Mapping[str, str]
    headers: Mapping[str, str] = field(default_factory=dict)
    hidden: Sequence[str] = ()  # of the address, what no message has either
    wait: Callable[[float], None] | None = None

    def __post_init__(self) -> None:
        if urlsplit(self.base).scheme not in ("http", "https"):
            raise ConfigError(f"{self.name}: the address of its API must begin with https://. Got {self.base!r}.")

    def get(self, path: str, needs: str) -> Any:
        """Return what is at `path`; `needs` is the permission that this takes, for the message when it lacks."""
        return self._content(self._ask("GET", self._address(path), needs))

    def pages(self, path: str, needs: str, **query: object) -> Iterator[Any]:
        """Yield each page of a list, as long as the service names a next one."""
        address: str | None = self._address(path, {**query, "per_page": 100})
        for _ in range(_MOST_PAGES):
            if address is None:
                return
            answer = self._ask("GET", address, needs)
            yield self._content(answer)
            address = self._next(address, answer.headers)

    def send(self, method: str, path: str, needs: str, content: object) -> None:
        """Change something; raise UnansweredError where a POST may have been done, which must not be done twice."""
        self._ask(method, self._address(path), needs, json.dumps(content).encode())

    def download(self, path: str, needs: str, most: int) -> bytes:
        """Return a file of at most `most` bytes; the one redirection that it takes goes without the token."""
        address = self._address(path)
        answer = self._once("GET", address, self._known(), most=most)
        if answer.status in _ELSEWHERE:
            target = urljoin(address, answer.headers.get("location", ""))
            if urlsplit(target).scheme not in ("http", "https"):
                raise ServiceError(f"{self.name}: the download is elsewhere than at an address of the web")
            answer = self._once("GET", target, {}, most=most)
        return self._accepted("GET", address, answer, needs).body

    def _content(self, answer: Answer) -> Any:
        content = answer.json()
        if not isinstance(content, dict | list):
            raise ServiceError(
                f"{self.name}: the answer from {_host(self.base)} is no JSON; is that the address of its API?"
            )
        return content

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

    def _ask(self, method: str, address: str, needs: str, body: bytes | None = None) -> Answer:
        headers = self._known() | ({"Content-Type": "application/json"} if body else {})
        return self._accepted(method, address, self._once(method, address, headers, body), needs)

    def _known(self) -> dict[str, str]:
        """Return the headers for the API's own host, which may see the token."""
        return {**self.headers, **self.secret}

    def _once(
        self, method: str, address: str, headers: Mapping[str, str], body: bytes | None = None,
        most: int = web.MOST_BYTES,
    ) -> Answer:  # fmt: skip
        try:
            return web.Client(wait=self.wait).ask(method, address, headers, body, most)
        except web.TooLargeError as error:
            raise ServiceError(f"{self.name}: {error}") from None
        except web.NoAnswerError as error:
            raise self._unanswered(method, address, f"no answer: {self._clean(error)}", sent=error.sent) from None

    def _unanswered(self, method: str, address: str, problem: str, *, sent: bool = True) -> ServiceError:
        kind = UnansweredError if method == "POST" and sent else ServiceError
        return kind(f"{self.name}: {_host(address)}: {problem}; try again later")

    def _accepted(self, method: str, address: str, answer: Answer, needs: str) -> Answer:
        """Return an answer that is one; raise what the others mean."""
        if answer.status < 300:
            return answer
        if answer.status >= 500:
            raise self._unanswered(method, address, f"{answer.status}: {self._message(answer)}")
        if (
            answer.status == 429
            or "retry-after" in answer.headers
            or answer.headers.get("x-ratelimit-remaining") == "0"
        ):
            asked = f", and {answer.headers['retry-after']} s to wait" if "retry-after" in answer.headers else ""
            raise RefusedError(
                f"{self.name}: {answer.status}, too many requests{asked}; try again later", answer.status
            )
        raise RefusedError(self._refusal(answer, needs), answer.status)

    def _refusal(self, answer: Answer, needs: str) -> str:
        message = self._message(answer)
        match answer.status:
            case 401:
                return f"{self.name}: 401, the token is not accepted: {message}; give one that is valid"
            case 403 | 404:
                return (
                    f"{self.name}: {answer.status}: {message}; the token needs {needs}, "
                    "and a token without it is told that there is nothing"
                )
            case status if status in _ELSEWHERE:
                return f"{self.name}: {status}: this is elsewhere now; was the repository renamed, or is it http for https?"
            case status:
                return f"{self.name}: {status}: {message}"

    def _message(self, answer: Answer) -> str:
        content = answer.json()
        message = (content.get("message") or content.get("error")) if isinstance(content, dict) else None
        known = answer.status in HTTPStatus._value2member_map_
        return self._clean(message or (HTTPStatus(answer.status).phrase if known else "no reason given"))

    def _clean(self, message: object) -> str:
        """Write what a service said in one short line, without what is secret, should it repeat that."""
        text = " ".join(str(message).split())
        for value in (*self.secret.values(), *self.hidden):
            for secret in (value, value.rpartition(" ")[2]):
                text = text.replace(secret, "***") if secret else text
        return text[:300]


def _host(address: str) -> str:
    return urlsplit(address).netloc.rpartition("@")[2]
