"""HTTP with patience: time limits, retries of what may be done twice, proxies, and answers of a bounded size.

No redirection is followed, so no credentials go to another host. urllib3, which retries, is imported when it is needed.
"""

import json
import random
import time
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Final, TypeVar
from urllib.parse import urlsplit

from model_ci.errors import ServiceError
from model_ci.frozen import dataclass

if TYPE_CHECKING:
    import ssl

    from urllib3 import PoolManager, Retry

TRIES: Final = 5
MOST_BYTES: Final = 32 * 2**20
_TIMEOUT_S: Final = 30.0

T = TypeVar("T")


class NoAnswerError(ServiceError):
    """No answer, or half of one; `sent` when the service may have done what it was asked to."""

    def __init__(self, problem: str, *, sent: bool) -> None:
        super().__init__(problem)
        self.sent = sent


class TooLargeError(ServiceError):
    """The answer is larger than it may be."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What came back; names of headers are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> object:
        """Read the body; None when it is not JSON."""
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):
            return None


def sleep(seconds: float) -> None:
    """Wait before another attempt; tests replace it."""
    time.sleep(seconds)


def repeat(work: Callable[[], T], failure: type[ServiceError], tries: int, wait: Callable[[float], None]) -> T:
    """Call `work` until it does not raise `failure`, at most `tries` times, about a second, two, four and so on apart."""
    for attempt in range(tries - 1):
        try:
            return work()
        except failure:
            wait(2**attempt * random.uniform(1, 1.5))  # noqa: S311 - spreads attempts, keeps no secret
    return work()


@dataclass(frozen=True)
class Client:
    """Asks over connections that it keeps; at most `tries` times where the server is away or busy."""

    tries: int = TRIES
    timeout_s: float = _TIMEOUT_S
    wait: Callable[[float], None] | None = None  # None: `sleep`
    tls: "ssl.SSLContext | None" = None
    repeat_post: bool = False  # whether a POST may be done twice

    def ask(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | None = None, most: int = MOST_BYTES
    ) -> Answer:
        """Return the answer, whatever its status; raise NoAnswerError or TooLargeError."""
        from urllib3.exceptions import HTTPError

        from model_ci.web.patience import REPEATABLE, Patience, is_unsent, why

        methods = (*REPEATABLE, "POST") if self.repeat_post else REPEATABLE
        patience: Retry = Patience(total=self.tries - 1, wait=self.wait or sleep, allowed_methods=methods)
        try:
            while True:
                reply = self._manager(url).request(
                    method, url, body=body, headers={"User-Agent": "model-ci", **headers}, retries=patience,
                    redirect=False, preload_content=False, timeout=self.timeout_s,
                )  # fmt: skip
                try:
                    content = reply.read(most + 1)
                    break
                except HTTPError as error:  # half an answer
                    patience = (reply.retries or patience).increment(method, url, error=error)
                    patience.sleep()
        except (HTTPError, OSError, ValueError) as error:
            raise NoAnswerError(why(error), sent=not is_unsent(error)) from None
        if len(content) > most:
            reply.close()
            raise TooLargeError(f"the answer has more than {most:,} bytes; it was not read")
        reply.release_conn()
        return Answer(
            status=reply.status, headers={name.lower(): value for name, value in reply.headers.items()}, body=content
        )

    def _manager(self, url: str) -> "PoolManager":
        """Return what connects: through the proxy that the environment names for this address, or directly."""
        from urllib.request import getproxies, proxy_bypass

        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("not an address of the web")
        proxy = getproxies().get(parts.scheme)
        return self._proxied(proxy) if proxy and not proxy_bypass(parts.netloc.rpartition("@")[2]) else self._direct

    @cached_property
    def _direct(self) -> "PoolManager":
        from urllib3 import PoolManager

        return PoolManager(ssl_context=self.tls)

    def _proxied(self, proxy: str) -> "PoolManager":
        from urllib3 import ProxyManager, make_headers

        parts = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
        login = parts.netloc.rpartition("@")[0]
        headers = make_headers(proxy_basic_auth=login) if login else None
        address = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
        return ProxyManager(address, proxy_headers=headers, ssl_context=self.tls)
