"""One request and its answer, as ASGI has them."""

from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass, field
from typing import Final

from model_ci.serving.refusal import Refusal
from model_ci.serving.types import Value

Message = MutableMapping[str, Value]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

JSON: Final = b"application/json"
_BODY_S: Final = 60.0
_LONGEST_ID: Final = 128


class DisconnectedError(Exception):
    """The caller went away before the request was complete."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """A status with its body."""

    status: int
    body: bytes
    type: bytes = JSON
    headers: Headers = field(default_factory=list)


class Request:
    """What the head of a request says."""

    __slots__ = ("id", "length", "method", "path", "type", "user")

    def __init__(self, scope: Message, made_id: str) -> None:
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.id = made_id
        self.user: str | None = None
        self.type = b""
        self.length = 0
        for name, value in scope["headers"]:
            if name == b"content-type":
                self.type = value
            elif name == b"content-length":
                self.length = int(value) if value.isdigit() and len(value) < 19 else 0
            elif name == b"x-request-id":
                self.id = _printable(value) or made_id
            elif name == b"x-user-id":
                self.user = _printable(value) or None

    def require_json(self) -> None:
        """Raise Refusal 415 unless the body is said to be JSON in UTF-8."""
        if self.type == JSON:
            return
        kind, *parameters = (part.strip().lower() for part in self.type.split(b";"))
        wrong = [p for p in parameters if p and p.replace(b'"', b"") != b"charset=utf-8"]
        if kind != JSON or wrong:
            got = self.type.decode("latin-1")[:100] or "none"
            raise Refusal(415, "content-type", f"the content type must be application/json, in UTF-8. Got {got}.")


async def read_body(request: Request, receive: Receive, limit: int) -> bytes:
    """Return the whole body; raise Refusal 413 when it is longer than `limit` bytes, 408 when it does not come."""
    if request.length > limit:
        raise _too_long(limit)
    message = await receive()
    if message["type"] == "http.request" and not message.get("more_body"):
        body: bytes = message.get("body", b"")
        if len(body) > limit:
            raise _too_long(limit)
        return body
    import asyncio

    try:
        async with asyncio.timeout(_BODY_S):
            return await _rest(message, receive, limit)
    except TimeoutError:
        raise Refusal(408, "slow", f"the body did not come within {_BODY_S:g} s") from None


async def _rest(message: Message, receive: Receive, limit: int) -> bytes:
    parts, size = [], 0
    while True:
        if message["type"] == "http.disconnect":
            raise DisconnectedError
        part: bytes = message.get("body", b"")
        parts.append(part)
        size += len(part)
        if size > limit:
            raise _too_long(limit)
        if not message.get("more_body"):
            return b"".join(parts)
        message = await receive()


def _too_long(limit: int) -> Refusal:
    refusal = Refusal(
        413, "body", f"the body is longer than the {limit} bytes that one request may have; send fewer rows"
    )
    refusal.headers = [(b"connection", b"close")]  # what is still coming is not read
    return refusal


def _printable(value: bytes) -> str:
    text = value.decode("latin-1")
    return text if text.isascii() and text.isprintable() and len(text) <= _LONGEST_ID else ""
