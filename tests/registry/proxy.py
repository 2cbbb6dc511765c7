"""A way to a server that fails when it is told to."""

import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Proxy:
    """Forwards to `target`; `away` counts the requests that get no answer, `lost` names one whose answer is lost."""

    def __init__(self, target: str) -> None:
        self.target = target
        self.away = 0
        self.lost: str | None = None
        self.answer: tuple[int, bytes] | None = None
        self.requests: list[str] = []
        self.uri = ""

    @contextmanager
    def running(self) -> Iterator["Proxy"]:
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                proxy.handle(self)

            do_GET = do_PUT = do_PATCH = do_DELETE = do_POST  # noqa: N815

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.uri = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            server.shutdown()
            server.server_close()

    def handle(self, request: BaseHTTPRequestHandler) -> None:
        self.requests.append(request.path)
        body = request.rfile.read(int(request.headers.get("Content-Length") or 0))
        request.close_connection = True
        if self.away:
            self.away -= 1
            return
        status, content = self.answer or self.forward(request, body)
        if self.lost and self.lost in request.path and request.command == "POST":
            self.lost = None
            return
        request.send_response(status)
        request.send_header("Content-Length", str(len(content)))
        request.send_header("Content-Type", "application/json")
        request.end_headers()
        request.wfile.write(content)

    def forward(self, request: BaseHTTPRequestHandler, body: bytes) -> tuple[int, bytes]:
        headers = {name: value for name, value in request.headers.items() if name.lower() != "host"}
        asked = urllib.request.Request(
            self.target + request.path, data=body or None, headers=headers, method=request.command
        )
        try:
            with urllib.request.urlopen(asked, timeout=60) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()
