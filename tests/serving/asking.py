"""A service asked: in this process through ASGI, and as a process of its own over HTTP."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

from model_ci.serving.app import App
from model_ci.serving.manifest import Manifest
from model_ci.serving.service import Service
from model_ci.serving.settings import Settings

JSON = {"content-type": "application/json"}


@dataclass(frozen=True)
class Answer:
    status: int
    body: bytes
    headers: Mapping[str, str]

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def app(folder: Path, log: Any = None, **settings: Any) -> App:
    """Load a bundle in this process."""
    service = Service(Settings(**settings), Manifest.read(folder / "manifest.json"))
    service.load()
    service.begin()
    return App(service, log)


def ask(
    served: App, method: str, path: str, body: Any = None, headers: Mapping[str, str] = JSON, parts: int = 1
) -> Answer:
    """Send one request through ASGI; a body that is no bytes is sent as JSON, in as many parts as wanted."""
    return asyncio.run(_ask(served, method, path, body, headers, parts))


def ask_at_once(served: App, path: str, bodies: Sequence[Any]) -> list[Answer]:
    """Send requests that all wait in the same moment."""

    async def all_of_them() -> list[Answer]:
        return list(await asyncio.gather(*(_ask(served, "POST", path, body, JSON, 1) for body in bodies)))

    return asyncio.run(all_of_them())


async def _ask(served: App, method: str, path: str, body: Any, headers: Mapping[str, str], parts: int) -> Answer:
    sent = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
    step = -(-len(sent) // parts) or 1
    pieces = [sent[i : i + step] for i in range(0, len(sent), step)] or [b""]
    messages = [
        {"type": "http.request", "body": piece, "more_body": i < len(pieces) - 1} for i, piece in enumerate(pieces)
    ]
    said: list[Any] = []

    async def receive() -> Any:
        return messages.pop(0) if messages else {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        said.append(message)

    named = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    await served({"type": "http", "method": method, "path": path, "headers": named}, receive, send)
    start, end = said
    found = {name.decode(): value.decode() for name, value in start["headers"]}
    return Answer(start["status"], end["body"], found)


@dataclass
class Running:
    """A service in a process of its own."""

    process: subprocess.Popen[bytes]
    port: int
    log: Path
    connections: list[HTTPConnection] = field(default_factory=list)

    def ask(self, method: str, path: str, body: Any = None, headers: Mapping[str, str] = JSON) -> Answer:
        """Send one request over a connection of its own."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            sent = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
            connection.request(method, path, body=sent, headers=dict(headers))
            answer = connection.getresponse()
            return Answer(answer.status, answer.read(), {k.lower(): v for k, v in answer.getheaders()})
        finally:
            connection.close()

    def metrics(self) -> dict[str, float]:
        """Return what Prometheus would read."""
        from prometheus_client.parser import text_string_to_metric_families

        found = {}
        for family in text_string_to_metric_families(self.ask("GET", "/metrics").body.decode()):
            for sample in family.samples:
                labels = {k: v for k, v in sample.labels.items() if k not in ("variant", "version")}
                found[" ".join([sample.name, *(f"{k}={v}" for k, v in sorted(labels.items()))])] = sample.value
        return found


def until(holds: Callable[[], Any], what: str, seconds: float = 60) -> Any:
    """Wait for a condition; fail when it does not come."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = holds()
        if found:
            return found
        time.sleep(0.02)
    raise AssertionError(f"{what} did not come in {seconds} s")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def command(folder: Path, port: int, **settings: Any) -> tuple[list[str], dict[str, str]]:
    """Return how the image starts its process: the bundle's own code, and nothing else of ours on the path."""
    given = {"MANIFEST": folder / "manifest.json", "HOST": "127.0.0.1", "PORT": port, "DRAIN_S": 0, **settings}
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("MODEL_CI_", "PYTHON"))}
    environment = kept | {"PYTHONPATH": str(folder / "app")} | {f"MODEL_CI_{k}": str(v) for k, v in given.items()}
    return [sys.executable, "-m", "model_ci.serving"], environment


@contextmanager
def running(folder: Path, scratch: Path, **settings: Any) -> Iterator[Running]:
    """Start a service and wait until it is ready; it is killed when the block ends."""
    port, log = free_port(), scratch / f"service-{time.monotonic_ns()}.log"
    arguments, environment = command(folder, port, **settings)
    with log.open("wb") as output:
        process = subprocess.Popen(arguments, env=environment, cwd=scratch, stdout=output, stderr=output)
    service = Running(process, port, log)

    def ready() -> bool:
        assert process.poll() is None, log.read_text()
        try:
            return service.ask("GET", "/readyz").status == 200
        except OSError:
            return False

    try:
        until(ready, "ready")
        yield service
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
