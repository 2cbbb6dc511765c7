"""What was seen of a service in one span of time, by the names that limits use."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final, cast

from model_ci.frozen import dataclass

if TYPE_CHECKING:
    from model_ci.record_types import MonitorWindow, MonitorWindowFigures


FIGURES: Final[Mapping[str, str]] = {
    "requests": "predictions asked for",
    "requests_per_second": "predictions asked for, by the second",
    "error_rate": "share of the requests that the service failed (status 5xx)",
    "refused_rate": "share of the requests that it refused (status 4xx)",
    "latency_mean_ms": "time of a request, mean",
    "latency_p50_ms": "time of a request, median",
    "latency_p95_ms": "time of a request, 95 % quantile",
    "latency_p99_ms": "time of a request, 99 % quantile",
    "model_mean_ms": "time in the model, mean",
    "model_p50_ms": "time in the model, median",
    "model_p95_ms": "time in the model, 95 % quantile",
    "model_p99_ms": "time in the model, 99 % quantile",
    "cold_start_s": "from the start of the slowest replica to ready",
    "load_s": "loading and warming up of the slowest replica's model",
    "replicas": "replicas that answer",
    "utilisation": "share of the time that the replicas' model threads were busy",
    "log_dropped": "requests that the prediction log had no room for",
}
QUANTILES: Final[Mapping[str, float]] = {"p50": 0.5, "p95": 0.95, "p99": 0.99}
# The routes that answer predictions; probes and scrapes are no demand.
ROUTES: Final = ("/invocations", "/v2/models/infer")


@dataclass(frozen=True, kw_only=True)
class Spans:
    """Equal spans of so many seconds, the last of which ends at `end`."""

    end: datetime
    seconds: int
    count: int

    def each(self) -> list[tuple[datetime, datetime]]:
        """Return begin and end of each, oldest first."""
        ends = [self.end - timedelta(seconds=self.seconds) * i for i in reversed(range(self.count))]
        return [(end - timedelta(seconds=self.seconds), end) for end in ends]


@dataclass(frozen=True, kw_only=True)
class Window:
    """The figures of one source from `begin` (None: since the service started) to `end`; None where it has none."""

    source: str
    begin: datetime | None
    end: datetime
    figures: Mapping[str, float | None]

    def as_record(self) -> "MonitorWindow":
        """Return the window as it stands in a run's record."""
        return {
            "source": self.source,
            "begin": None if self.begin is None else written(self.begin),
            "end": written(self.end),
            "figures": cast("MonitorWindowFigures", {name: self.figures.get(name) for name in FIGURES}),
        }


def written(moment: datetime) -> str:
    """Write a moment in UTC to the millisecond."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds")


def rates(requests: float, failed: float, refused: float, seconds: float | None) -> dict[str, float | None]:
    """Return the figures of counted requests; where there was none, no share is known."""
    return {
        "requests": requests,
        "requests_per_second": requests / seconds if seconds else None,
        "error_rate": failed / requests if requests else None,
        "refused_rate": refused / requests if requests else None,
    }
