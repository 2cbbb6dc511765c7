"""When a request is sent again, and how long it waits first: urllib3's Retry with our rules."""

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, Self

from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    InvalidHeader,
    MaxRetryError,
    NameResolutionError,
    NewConnectionError,
    ResponseError,
)
from urllib3.util import Retry

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse

logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)  # it writes addresses, which may hold a secret

REPEATABLE: Final = ("GET", "HEAD", "PUT", "PATCH", "DELETE")
LONGEST_WAIT_S: Final = 120
_AWAY: Final = (500, 502, 503, 504)
_BUSY: Final = 429
_LIMITED: Final = 403  # GitHub's, with Retry-After


class Patience(Retry):
    """Sends again what was not done, or may be done twice; waits as long as the server asks, up to two minutes."""

    def __init__(self, *, wait: Callable[[float], None], **settings: Any) -> None:
        ours: dict[str, Any] = {"redirect": False, "allowed_methods": REPEATABLE, "status_forcelist": _AWAY}
        super().__init__(**{**ours, "raise_on_status": False, **settings})
        self.wait = wait

    def new(self, **settings: Any) -> Self:
        """Return a copy with one attempt less."""
        return super().new(wait=self.wait, **settings)

    def is_retry(self, method: str, status_code: int, has_retry_after: bool = False) -> bool:
        """Tell whether to send again: nothing was done where the server is too busy, whatever the method."""
        if status_code == _BUSY or (status_code == _LIMITED and has_retry_after):
            return bool(self.total)
        return super().is_retry(method, status_code)

    def increment(self, method: str | None = None, url: str | None = None, *rest: Any, **details: Any) -> Self:
        """Count an attempt; raise MaxRetryError where it was the last, or where the server asks for too long a wait."""
        response = details.get("response")
        if response is not None and (self.get_retry_after(response) or 0) > LONGEST_WAIT_S:
            raise MaxRetryError(details["_pool"], url or "", ResponseError("asks for too long a wait"))
        return super().increment(method, url, *rest, **details)

    def sleep(self, response: "BaseHTTPResponse | None" = None) -> None:
        """Wait before the next attempt."""
        asked = self.get_retry_after(response) if response is not None else None
        self.wait(2.0 ** (len(self.history) - 1) if asked is None else asked)

    def get_retry_after(self, response: "BaseHTTPResponse") -> float | None:
        """Return the seconds that the server asks for; None where it does not say, or not clearly."""
        try:
            return super().get_retry_after(response)
        except InvalidHeader:
            return None


def _cause(error: Exception) -> BaseException:
    reason = getattr(error, "reason", None)
    return reason if isinstance(error, MaxRetryError) and isinstance(reason, HTTPError) else error


def is_unsent(error: Exception) -> bool:
    """Tell whether the request never reached the server."""
    return isinstance(_cause(error), NewConnectionError | ConnectTimeoutError | NameResolutionError)


def why(error: Exception) -> str:
    """Return why there was no answer, in a line without the address, which may hold a secret."""
    cause = _cause(error)
    root = cause.__cause__ or cause.__context__ or cause
    return str(getattr(root, "strerror", None) or str(root).rpartition(": ")[2] or type(root).__name__)
