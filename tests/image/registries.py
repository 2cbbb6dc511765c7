"""Registries that refuse, that are busy, and that want a token: as many as a test needs, on ports of their own."""

import http.client
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final


@dataclass
class Registry:
    """A registry of the test's own making, and what it was asked."""

    address: str = ""
    asked: list[tuple[str, str]] = field(default_factory=list)
    authorizations: list[str | None] = field(default_factory=list)


Answer = tuple[int, dict[str, str], bytes]
# What stands before a real registry says to a request (method, path, headers): nothing, and the registry answers;
# an answer of its own; or BREAK, and the connection ends.
BREAK: Final = (0, {}, b"")
Judge = Callable[[str, str, Mapping[str, str]], Answer | None]


@contextmanager
def registry(answer: Callable[[Registry, str, str, str | None], Answer]) -> Iterator[Registry]:
    """Serve `answer(registry, method, path, authorization)`."""
    told = Registry()

    class Handler(BaseHTTPRequestHandler):
        def handle_any(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            authorization = self.headers.get("Authorization")
            told.asked.append((self.command, self.path))
            told.authorizations.append(authorization)
            status, headers, body = answer(told, self.command, self.path, authorization)
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = handle_any  # noqa: N815 - its names

        def log_message(self, *_: object) -> None:
            return

    with _served(Handler) as told.address:
        yield told


@contextmanager
def before(target: str, judge: Judge) -> Iterator[str]:
    """Stand before a real registry, and hand on what `judge` lets through; give the address."""

    class Handler(BaseHTTPRequestHandler):
        def handle_any(self) -> None:
            body = _body(self)
            answer = judge(self.command, self.path, self.headers) or _ask(target, self, body)
            self.close_connection = True
            if answer is BREAK:
                return
            status, headers, content = answer
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            if self.command != "HEAD":
                self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)

        do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = handle_any  # noqa: N815 - its names

        def log_message(self, *_: object) -> None:
            return

    with _served(Handler) as address:
        yield address


def _ask(target: str, request: BaseHTTPRequestHandler, body: bytes) -> Answer:
    """Ask the registry the same, under the name by which we were asked, which its answers then name."""
    dropped = ("transfer-encoding", "content-length", "connection")
    headers = {name: value for name, value in request.headers.items() if name.lower() not in dropped}
    connection = http.client.HTTPConnection(target, timeout=60)
    try:
        connection.request(request.command, request.path, body, headers)
        answer = connection.getresponse()
        content = answer.read()
        kept = ("transfer-encoding", "connection") + (() if request.command == "HEAD" else ("content-length",))
        return answer.status, {k: v for k, v in answer.getheaders() if k.lower() not in kept}, content
    finally:
        connection.close()


def _body(request: BaseHTTPRequestHandler) -> bytes:
    """Read what was sent, in one piece or in chunks."""
    if request.headers.get("Transfer-Encoding", "").lower() != "chunked":
        return request.rfile.read(int(request.headers.get("Content-Length") or 0))
    body = bytearray()
    while size := int(request.rfile.readline().split(b";")[0], 16):
        body += request.rfile.read(size)
        request.rfile.readline()
    request.rfile.readline()
    return bytes(body)


@contextmanager
def _served(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
