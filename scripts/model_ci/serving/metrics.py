"""What the service counts, shown in Prometheus' words; counting is plain arithmetic in the one thread that answers."""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

from model_ci.serving.types import Value

if TYPE_CHECKING:
    from prometheus_client.core import Metric

SECONDS: Final = (
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
)  # fmt: skip
ROWS: Final = (1.0, 2.0, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1000.0, 5000.0, 10000.0)


class Histogram:
    """How often a value fell into each bucket, and the sum of all."""

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        """Count a value."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    def buckets(self) -> list[tuple[str, float]]:
        """Return the bounds with how many values are at most that."""
        counts, below = [], 0
        for bound, count in zip([*map(str, self.bounds), "+Inf"], self.counts, strict=True):
            below += count
            counts.append((bound, float(below)))
        return counts


class Metrics:
    """All counts of one service; `variant` and `version` are labels of each."""

    def __init__(self, variant: str) -> None:
        self.variant = variant
        self.version = ""
        self.info: dict[str, str] = {}
        self.requests: dict[tuple[str, int], int] = defaultdict(int)
        self.errors: dict[str, int] = defaultdict(int)
        self.request_seconds: dict[str, Histogram] = defaultdict(lambda: Histogram(SECONDS))
        self.model_seconds = Histogram(SECONDS)
        self.batch_rows = Histogram(ROWS)
        self.load_seconds = 0.0
        self.cold_start_seconds = 0.0
        self.log_dropped = 0

    def called(self, rows: int, seconds: float) -> None:
        """Count a call of the model."""
        self.batch_rows.observe(rows)
        self.model_seconds.observe(seconds)

    def text(self) -> bytes:
        """Return all counts in Prometheus' text format."""
        from prometheus_client import CollectorRegistry, generate_latest

        registry = CollectorRegistry()
        registry.register(self)
        return generate_latest(registry)

    def collect(self) -> "Iterator[Metric]":
        """Yield the counts as prometheus-client wants them."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

        always = (self.variant, self.version)
        names = ("variant", "version")

        def counter(name: str, text: str, labels: Sequence[str], values: "dict[Value, float]") -> "Metric":
            family = CounterMetricFamily(f"model_ci_{name}", text, labels=[*labels, *names])
            for key, value in values.items():
                family.add_metric([*map(str, key if isinstance(key, tuple) else (key,)), *always], value)
            return family

        def gauge(name: str, text: str, value: float) -> "Metric":
            family = GaugeMetricFamily(f"model_ci_{name}", text, labels=names)
            family.add_metric(always, value)
            return family

        def histogram(
            name: str, text: str, labels: Sequence[str], result: "dict[tuple[str, ...], Histogram]"
        ) -> "Metric":
            family = HistogramMetricFamily(f"model_ci_{name}", text, labels=[*labels, *names])
            for key, counted in result.items():
                family.add_metric([*key, *always], counted.buckets(), counted.total)
            return family

        rows = {(): self.batch_rows.total}
        by_route: dict[tuple[str, ...], Histogram] = {
            (route,): counted for route, counted in self.request_seconds.items()
        }
        yield counter("requests", "Requests answered.", ("route", "status"), dict(self.requests))
        yield counter("errors", "Requests refused or failed.", ("reason",), dict(self.errors))
        yield counter("rows", "Rows predicted.", (), rows)
        yield counter("log_dropped", "Requests that the prediction log had no room for.", (), {(): self.log_dropped})
        yield histogram(
            "request_seconds", "From the request's head to the last byte of its answer.", ("route",), by_route
        )
        yield histogram("model_seconds", "Time of a call of the model.", (), {(): self.model_seconds})
        yield histogram("batch_rows", "Rows that a call of the model was about.", (), {(): self.batch_rows})
        yield gauge("load_seconds", "From the files to a model that is warmed up.", self.load_seconds)
        yield gauge("cold_start_seconds", "From the start of the process to ready.", self.cold_start_seconds)
        info = GaugeMetricFamily("model_ci_info", "What is served.", labels=[*names, *self.info])
        info.add_metric([*always, *self.info.values()], 1)
        yield info
