"""`model-ci monitor` against a real Prometheus that scrapes a service, and against what is none."""

import json
import os
import shutil
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from model_ci.serving.metrics import Metrics

Command = Callable[..., Any]


@dataclass(frozen=True)
class Watched:
    """A service that answers four requests in five, and the Prometheus that scrapes it."""

    service: str
    prometheus: str


class Handler(BaseHTTPRequestHandler):
    """A replica that has done a little more at each look."""

    metrics: Metrics

    def do_GET(self) -> None:
        for i in range(20):
            self.metrics.requests["/invocations", 500 if i % 5 == 0 else 200] += 1
            self.metrics.requests["/livez", 200] += 1
            self.metrics.request_seconds["/invocations"].observe(0.004 if i % 2 else 0.02)
            self.metrics.model_seconds.observe(0.003)
        self.send_response(200)
        self.end_headers()
        self.wfile.write(self.metrics.text())

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    """Start both, and wait until Prometheus has seen the service often enough to count."""
    if shutil.which("prometheus") is None:
        (pytest.fail if os.environ.get("MODEL_CI_REQUIRE_ALL") == "1" else pytest.skip)(
            "prometheus: not installed; `make setup` installs everything"
        )
    Handler.metrics = Metrics("champion")
    Handler.metrics.cold_start_seconds, Handler.metrics.load_seconds = 3.0, 0.5
    service = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=service.serve_forever, daemon=True).start()
    folder = tmp_path_factory.mktemp("prometheus")
    scrape = {"job_name": "shop", "static_configs": [{"targets": [f"127.0.0.1:{service.server_port}"]}]}
    settings = {"global": {"scrape_interval": "500ms", "scrape_timeout": "500ms"}, "scrape_configs": [scrape]}
    (folder / "prometheus.yml").write_text(json.dumps(settings))  # JSON is YAML
    log = folder / "log"
    with log.open("w") as handle:
        process = subprocess.Popen(
            ["prometheus", "--config.file", folder / "prometheus.yml", "--storage.tsdb.path", folder / "data",
             "--web.listen-address", "127.0.0.1:0"],
            stdout=handle, stderr=handle,
        )  # fmt: skip
    try:
        found = Watched(f"http://127.0.0.1:{service.server_port}/metrics", _address(process, log))
        _wait(lambda: _seen(found.prometheus) >= 6)
        yield found
    finally:
        process.terminate()
        process.wait()
        service.shutdown()
        service.server_close()


def _address(process: "subprocess.Popen[bytes]", log: Path) -> str:
    """Find the port that the system chose for it."""
    found: list[str] = []

    def listening() -> bool:
        assert process.poll() is None, log.read_text()
        marks = [line for line in log.read_text().splitlines() if "Listening on" in line and "address=" in line]
        found[:] = [line.split("address=")[1].split()[0] for line in marks]
        return bool(found)

    _wait(listening)
    return f"http://{found[0]}"


def _seen(url: str) -> float:
    asked = urllib.parse.urlencode({"query": "max(count_over_time(model_ci_info[1m]))"})
    try:
        with urllib.request.urlopen(f"{url}/api/v1/query?{asked}") as answer:
            result = json.load(answer)["data"]["result"]
    except OSError:
        return 0
    return float(result[0]["value"][1]) if result else 0


def _wait(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 180
    while not condition():
        assert time.monotonic() < end, "it did not come up"
        time.sleep(0.1)


def section(project: Any) -> dict[str, Any]:
    return project.record()["stages"]["monitor"]  # type: ignore[no-any-return]


def test_prometheus_tells_what_the_service_itself_does(project: Any, command: Command, watched: Watched) -> None:
    limits = [{"metric": "error_rate", "max": 0.1}, {"metric": "latency_p95_ms", "max": 50}]
    both = {"prometheus": watched.prometheus, "endpoints": [watched.service], "selector": 'job="shop"'}
    project.configure(monitor={**both, "window": "1m", "limits": limits})
    answer = command(project.root, "monitor")
    assert answer.code == 3, answer.text
    told = {w["source"]: w["figures"] for w in section(project)["windows"]}
    theirs, ours = told["prometheus"], told["endpoints"]
    assert ours["error_rate"] == pytest.approx(0.2)
    assert theirs["error_rate"] == pytest.approx(0.2, abs=0.05)
    for name in (
        "latency_mean_ms",
        "latency_p50_ms",
        "latency_p95_ms",
        "latency_p99_ms",
        "model_mean_ms",
        "model_p95_ms",
    ):
        assert theirs[name] == pytest.approx(ours[name], rel=0.01), name
    assert (theirs["cold_start_s"], theirs["load_s"], theirs["replicas"]) == (3.0, 0.5, 1)
    assert theirs["requests"] >= 60
    assert theirs["utilisation"] == pytest.approx(theirs["requests_per_second"] * 0.003, rel=0.05)
    states = {(limit["metric"], limit["source"]): limit["state"] for limit in section(project)["limits"]}
    assert states == {
        ("error_rate", "endpoints"): "failed", ("error_rate", "prometheus"): "failed",
        ("latency_p95_ms", "endpoints"): "passed", ("latency_p95_ms", "prometheus"): "passed",
    }  # fmt: skip


def test_what_prometheus_does_not_know_is_missing(project: Any, command: Command, watched: Watched) -> None:
    limits = [{"metric": "error_rate", "max": 0.9}]
    project.configure(monitor={"prometheus": watched.prometheus, "selector": 'job="other"', "limits": limits})
    assert command(project.root, "monitor").code == 3
    assert "no requests were seen" in section(project)["why"]
    project.configure(monitor={"selector": "", "variant": "champion", "window": "1m"})
    assert command(project.root, "monitor").code == 0
    project.configure(monitor={"windows": 2, "window": "1h"})
    assert command(project.root, "monitor").code == 3, "an hour ago there was nothing"
    assert [limit["state"] for limit in section(project)["limits"]] == ["missing"]


@pytest.mark.parametrize(
    ("settings", "code", "told"),
    [
        ({"selector": "job=shop"}, 2, "mend monitor.selector"),
        ({"prometheus": "http://127.0.0.1:9"}, 5, "http://127.0.0.1:9: cannot be reached"),
    ],
)
def test_prometheus_refuses_or_is_away(
    project: Any, command: Command, watched: Watched, settings: dict[str, Any], code: int, told: str
) -> None:
    project.configure(monitor={"prometheus": watched.prometheus, **settings})
    answer = command(project.root, "monitor")
    assert answer.code == code, answer.text
    assert told in answer.err


@pytest.mark.parametrize(
    ("status", "body", "told"),
    [
        (401, b"", "refused us (401); set MODEL_CI_PROMETHEUS_TOKEN"),
        (503, b"", "answered 503"),
        (200, b"<html>", "is no JSON"),
        (200, b'{"data": {}}', "none of Prometheus' HTTP API"),
    ],
)
def test_a_small_server_in_prometheus_place_that_answers_otherwise(
    project: Any, command: Command, monkeypatch: pytest.MonkeyPatch, status: int, body: bytes, told: str
) -> None:
    tokens = []

    class Other(Handler):
        def do_GET(self) -> None:
            tokens.append(self.headers["Authorization"])
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Other)
    Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("MODEL_CI_PROMETHEUS_TOKEN", "s3cret")
    project.configure(monitor={"prometheus": f"http://127.0.0.1:{server.server_port}"})
    answer = command(project.root, "monitor")
    server.shutdown()
    server.server_close()
    assert answer.code == 5, answer.text
    assert told in answer.err
    assert "s3cret" not in answer.text
    assert tokens[0] == "Bearer s3cret"
