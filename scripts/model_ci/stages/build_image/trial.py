"""An image on trial, before anybody else sees it: it starts, it answers as the model does, and how quickly."""

import http.client
import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from model_ci.errors import ServiceError
from model_ci.terms import State

_WARM: Final = 20
_POLL_S: Final = 0.02
_LIMITS: Final = {"max_size_mb": "size_mb", "max_cold_start_s": "cold_start_s", "max_latency_ms": "latency_ms_p95"}


@dataclass(frozen=True, kw_only=True)
class Answers:
    """How a service's answers to the probe rows differ from the model's own."""

    rows: int
    max_abs_difference: float | None  # None where labels differ, or numbers are none
    tolerance: float
    labels_equal: bool

    @property
    def holds(self) -> bool:
        """Whether the image may stand for the model."""
        miss = self.max_abs_difference
        return self.rows > 0 and self.labels_equal and miss is not None and miss <= self.tolerance

    def as_record(self) -> dict[str, Any]:
        """Return it as the record holds it."""
        return {
            "rows": self.rows, "max_abs_difference": self.max_abs_difference, "tolerance": self.tolerance,
            "labels_equal": self.labels_equal, "exact": self.max_abs_difference == 0, "holds": self.holds,
        }  # fmt: skip


class Service:
    """A service at an address, asked over one connection."""

    def __init__(self, host: str, port: int) -> None:
        self.host, self.port = host, port
        self._connection = self._connect()

    def wait(self, since: float, timeout_s: float, alive: Callable[[], bool]) -> float:
        """Wait until it says that it is ready; return the seconds from `since`, of the monotonic clock.

        Raises ServiceError when it is not ready in time, or ends.
        """
        said = "no answer"
        while time.monotonic() - since < timeout_s:
            try:
                status, body = self.ask("GET", "/readyz")
            except (OSError, http.client.HTTPException) as error:
                said, status = str(error), 0
                self._connection = self._connect()
            else:
                said = f"{status} {body.decode(errors='replace')[:200]}"
            if status == 200:
                return time.monotonic() - since
            if not alive():
                raise ServiceError("the service ended before it was ready")
            time.sleep(_POLL_S)
        raise ServiceError(f"the service was not ready within {timeout_s:g} s: {said}")

    def predict(self, columns: Sequence[str], rows: Sequence[Any]) -> dict[str, Any]:
        """Predict rows; raise ServiceError for anything but an answer."""
        sent = json.dumps({"dataframe_split": {"columns": columns, "data": rows}}).encode()
        try:
            status, body = self.ask("POST", "/invocations", sent)
        except (OSError, http.client.HTTPException) as error:
            raise ServiceError(f"the service broke off while it predicted: {error}") from None
        if status != 200:
            raise ServiceError(f"the service answered {status}: {body.decode(errors='replace')[:200]}")
        answer: dict[str, Any] = json.loads(body)
        return answer

    def ask(self, method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
        """Send a request and return status and body."""
        self._connection.request(method, path, body, {"Content-Type": "application/json"})
        answer = self._connection.getresponse()
        return answer.status, answer.read()

    def _connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(self.host, self.port, timeout=30)


def compare(answer: Mapping[str, Any], probe: Mapping[str, Any], *, labels: bool) -> Answers:
    """Compare an answer of /invocations with the probe of the manifest; `labels` for a model that names classes."""
    said, expected = answer.get("predictions", []), probe["outputs"]
    equal = len(said) == len(expected) and (not labels or said == expected)
    pairs: list[tuple[Any, Any]] = [] if labels else list(zip(said, expected, strict=False))
    if probe.get("probabilities") is not None:
        theirs = answer.get("probabilities") or []
        equal = equal and [len(row) for row in theirs] == [len(row) for row in probe["probabilities"]]
        pairs += [p for a, b in zip(theirs, probe["probabilities"], strict=False) for p in zip(a, b, strict=False)]
    return Answers(
        rows=len(expected), max_abs_difference=_largest(pairs) if equal else None, tolerance=probe["tolerance"],
        labels_equal=equal,
    )  # fmt: skip


def latencies(service: Service, columns: Sequence[str], rows: Sequence[Any], requests: int) -> dict[str, Any]:
    """Ask for one row at a time; return percentiles of the times, in milliseconds."""
    for i in range(_WARM):
        service.predict(columns, [rows[i % len(rows)]])
    taken = []
    for i in range(requests):
        begin = time.perf_counter()
        service.predict(columns, [rows[i % len(rows)]])
        taken.append((time.perf_counter() - begin) * 1000)
    taken.sort()
    return {
        "requests": requests,
        "latency_ms_p50": round(taken[math.ceil(len(taken) * 0.50) - 1], 3),
        "latency_ms_p95": round(taken[math.ceil(len(taken) * 0.95) - 1], 3),
    }


def judge(limits: Mapping[str, float | None], found: Mapping[str, float | None]) -> list[dict[str, Any]]:
    """Judge size, cold start and latency by their limits; what was not measured does not pass."""
    judged = []
    for name, measured in _LIMITS.items():
        limit, value = limits[name], found.get(measured)
        if limit is not None:
            passed = value is not None and math.isfinite(value) and value <= limit
            judged.append(
                {"gate": name, "limit": limit, "value": value, "state": State.PASSED if passed else State.FAILED}
            )
    return judged


def _largest(pairs: Sequence[tuple[Any, Any]]) -> float | None:
    """Return the largest difference, of large numbers as a share; None where one is not a number."""
    try:
        misses = [abs(float(ours) - float(theirs)) / max(1.0, abs(float(theirs))) for ours, theirs in pairs]
    except (TypeError, ValueError):
        return None
    return None if any(math.isnan(miss) for miss in misses) else max(misses, default=0.0)
