"""A service that speaks the contract of a model's image and is as small as can be; what it is comes from its variables."""

import json
import os
import signal
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

MODE, VERSION, VARIANT = (os.environ.get(name, "") for name in ("SERVICE_MODE", "SERVICE_VERSION", "MODEL_CI_VARIANT"))
stopping = threading.Event()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1

    def do_GET(self) -> None:
        ready = MODE != "sick" and not stopping.is_set()
        self._answer(200 if ready or self.path != "/readyz" else 503, {"version": VERSION})

    def do_POST(self) -> None:
        sent = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        rows = len(sent["dataframe_split"]["data"])
        self._answer(200, {"predictions": [0 if MODE == "wrong" else 1] * rows, "who": os.uname().nodename})

    def _answer(self, status: int, body: Any) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.send_header("X-Model-Variant", VARIANT)
        self.send_header("X-Model-Version", VERSION)
        if stopping.is_set():
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        pass


class Server(ThreadingHTTPServer):
    request_queue_size = 128


if __name__ == "__main__":
    if MODE == "crash":
        sys.exit("the model cannot be loaded")
    server = Server(("0.0.0.0", 8080), Handler)

    def stop(*_: object) -> None:
        stopping.set()
        threading.Thread(target=server.shutdown).start()

    signal.signal(signal.SIGTERM, stop)
    server.serve_forever()
