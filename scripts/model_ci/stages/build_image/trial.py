"""An image on trial, before anybody else sees it: it starts, it answers as the model does, and how quickly."""

import http.client
import math
import time
from collections.abc import Callable, Mapping
from typing import Final

from model_ci.errors import ServiceError
from model_ci.serving.comparison import AnswerComparison, Answers
from model_ci.serving.probe import Probe
from model_ci.terms import State
from model_ci.types import Document

_WARM: Final = 20
_POLL_S: Final = 0.02
_LIMITS: Final = {"max_size_mb": "size_mb", "max_cold_start_s": "cold_start_s", "max_latency_ms": "latency_ms_p95"}


class TrialService:
    """A service at an address, asked over one connection."""

    def __init__(self, host: str, port: int) -> None:
        self.host, self.port = host, port
        self._connection = self._connect()

    def wait(self, since: float, timeout_s: float, alive: Callable[[], bool]) -> float:
        """Wait until it says that it is ready; return the seconds from `since`, of the monotonic clock.

        Raises ServiceError when it is not ready in time, or ends.
        """
        message = "no answer"
        while time.monotonic() - since < timeout_s:
            try:
                status, body = self.ask("GET", "/readyz")
            except (OSError, http.client.HTTPException) as error:
                message, status = str(error), 0
                self._connection = self._connect()
            else:
                message = f"{status} {body.decode(errors='replace')[:200]}"
            if status == 200:
                return time.monotonic() - since
            if not alive():
                raise ServiceError("the service ended before it was ready")
            time.sleep(_POLL_S)
        raise ServiceError(f"the service was not ready within {timeout_s:g} s: {message}")

    def predict(self, body: bytes) -> bytes:
        """Send rows to /invocations; raise ServiceError for anything but an answer."""
        try:
            status, answer = self.ask("POST", "/invocations", body)
        except (OSError, http.client.HTTPException) as error:
            raise ServiceError(f"the service broke off while it predicted: {error}") from None
        if status != 200:
            raise ServiceError(f"the service answered {status}: {answer.decode(errors='replace')[:200]}")
        return answer

    def ask(self, method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
        """Send a request and return status and body."""
        self._connection.request(method, path, body, {"Content-Type": "application/json"})
        answer = self._connection.getresponse()
        return answer.status, answer.read()

    def _connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(self.host, self.port, timeout=30)


def compare(service: TrialService, probe: Probe) -> AnswerComparison:
    """Ask for all probe rows at once and compare; raise ServiceError for what is not an answer."""
    try:
        return probe.compare(Answers.read(service.predict(probe.request(slice(None)))))
    except ValueError as error:
        raise ServiceError(f"the service sent {error}") from None


def as_record(compared: AnswerComparison) -> Document:
    """Return a comparison as the run's record holds it."""
    return {
        "rows": compared.rows, "max_abs_difference": compared.max_abs_difference, "tolerance": compared.tolerance,
        "labels_equal": compared.labels_equal, "exact": compared.max_abs_difference == 0, "holds": compared.holds,
        "problem": compared.problem,
    }  # fmt: skip


def latencies(service: TrialService, probe: Probe, requests: int) -> Document:
    """Ask for one row at a time; return percentiles of the times, in milliseconds."""
    bodies = [probe.request(slice(row, row + 1)) for row in range(len(probe.rows))]
    for i in range(_WARM):
        service.predict(bodies[i % len(bodies)])
    taken = []
    for i in range(requests):
        begin = time.perf_counter()
        service.predict(bodies[i % len(bodies)])
        taken.append((time.perf_counter() - begin) * 1000)
    taken.sort()
    return {
        "requests": requests,
        "latency_ms_p50": round(taken[math.ceil(len(taken) * 0.50) - 1], 3),
        "latency_ms_p95": round(taken[math.ceil(len(taken) * 0.95) - 1], 3),
    }


def judge(limits: Mapping[str, float | None], figures: Mapping[str, float | None]) -> list[Document]:
    """Judge size, cold start and latency by their limits; what was not measured does not pass."""
    judged = []
    for name, measured in _LIMITS.items():
        limit, value = limits[name], figures.get(measured)
        if limit is not None:
            passed = value is not None and math.isfinite(value) and value <= limit
            judged.append(
                {"gate": name, "limit": limit, "value": value, "state": State.PASSED if passed else State.FAILED}
            )
    return judged
