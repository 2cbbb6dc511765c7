"""The /metrics of replicas, asked by ourselves: their counts since they started, or between two samples."""

import math
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import pairwise
from typing import Final

from model_ci import web
from model_ci.data.finding import Finding
from model_ci.errors import ServiceError
from model_ci.frozen import dataclass
from model_ci.stages.monitor.window import QUANTILES, ROUTES, Window, rates

SOURCE: Final = "endpoints"
_TIMEOUT_S: Final = 10
_MOST_BYTES: Final = 16 << 20
Key = tuple[str, tuple[tuple[str, str], ...]]
Counts = Mapping[Key, float]


@dataclass(frozen=True, kw_only=True)
class Sample:
    """What each replica had counted at one moment, by its address; None where it gave no answer."""

    moment: datetime
    seconds: float
    counts: Mapping[str, Counts | None]


def windows(
    endpoints: Sequence[str], *, windows: int, gap_s: float, variant: str | None, threads: int
) -> tuple[list[Window], list[Finding]]:
    """Ask every endpoint, once for the counts since the start, or `windows` + 1 times, so many seconds apart."""
    findings: dict[str, Finding] = {}
    samples = [_sample(endpoints, variant, findings)]
    for _ in range(windows if gap_s else 0):
        time.sleep(gap_s)
        samples.append(_sample(endpoints, variant, findings))
    if not gap_s:
        return [_window(None, samples[0], threads)], [*findings.values()]
    return [_window(before, after, threads) for before, after in pairwise(samples)], [*findings.values()]


def _sample(endpoints: Sequence[str], variant: str | None, findings: dict[str, Finding]) -> Sample:
    counts: dict[str, Counts | None] = {}
    client = web.Client(tries=2, timeout_s=_TIMEOUT_S)
    for endpoint in endpoints:
        try:
            counts[endpoint] = parse(_fetch(client, endpoint), variant)
        except (ServiceError, ValueError) as error:
            counts[endpoint] = None
            what = f"gives no metrics: {error}; is the replica up, and is this its /metrics?"
            findings[endpoint] = Finding(rule="endpoint", where=endpoint, what=what)
    return Sample(moment=datetime.now(UTC), seconds=time.monotonic(), counts=counts)


def _fetch(client: web.Client, endpoint: str) -> str:
    answer = client.ask("GET", endpoint, {}, most=_MOST_BYTES)
    if answer.status != 200:
        raise ValueError(f"answered {answer.status}")
    return answer.body.decode("utf-8")


def parse(text: str, variant: str | None) -> Counts:
    """Read Prometheus' text format; raise ValueError where there is nothing of the service in it."""
    from prometheus_client.parser import text_string_to_metric_families

    counts = {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name.startswith("model_ci_") and variant in (None, sample.labels.get("variant"))
    }
    if not counts:
        raise ValueError(f"no metric model_ci_*{f' of variant {variant}' if variant else ''} in the answer")
    return counts


def _window(before: Sample | None, after: Sample, threads: int) -> Window:
    """Add up the replicas' counts; those of one that began anew in between count from its start."""
    total: dict[Key, float] = defaultdict(float)
    there = [endpoint for endpoint, counts in after.counts.items() if counts]
    for endpoint in there:
        earlier = (before.counts.get(endpoint) if before else None) or {}
        # A replica that was not there at the first look began since.
        for key, value in (after.counts[endpoint] or {}).items():
            rise = value - earlier.get(key, 0.0)
            total[key] += rise if rise >= 0 else value
    seconds = after.seconds - before.seconds if before else None
    return Window(
        source=SOURCE,
        begin=before.moment if before else None,
        end=after.moment,
        figures=_figures(total, [after.counts[e] or {} for e in there], seconds, threads) if there else {},
    )


def _figures(total: Counts, replicas: Sequence[Counts], seconds: float | None, threads: int) -> dict[str, float | None]:
    requests = [(dict(labels).get("status", ""), v) for labels, v in _of(total, "model_ci_requests_total", routed=True)]
    busy = sum(v for _, v in _of(total, "model_ci_model_seconds_sum"))
    return {
        **rates(
            sum(v for _, v in requests),
            sum(v for status, v in requests if status.startswith("5")),
            sum(v for status, v in requests if status.startswith("4")),
            seconds,
        ),
        **_times(total, "latency", "model_ci_request_seconds", routed=True),
        **_times(total, "model", "model_ci_model_seconds", routed=False),
        "cold_start_s": _slowest(replicas, "model_ci_cold_start_seconds"),
        "load_s": _slowest(replicas, "model_ci_load_seconds"),
        "replicas": float(len(replicas)),
        "utilisation": busy / (seconds * len(replicas) * threads) if seconds else None,
        "log_dropped": sum(v for _, v in _of(total, "model_ci_log_dropped_total")),
    }


def _of(counts: Counts, name: str, *, routed: bool = False) -> Iterator[tuple[tuple[tuple[str, str], ...], float]]:
    for (metric, labels), value in counts.items():
        if metric == name and (not routed or dict(labels).get("route") in ROUTES):
            yield labels, value


def _times(total: Counts, figure: str, metric: str, *, routed: bool) -> dict[str, float | None]:
    """Return the mean and the quantiles of a histogram, in milliseconds."""
    buckets: dict[float, float] = defaultdict(float)
    for labels, value in _of(total, f"{metric}_bucket", routed=routed):
        buckets[float(dict(labels).get("le", "inf"))] += value
    count = sum(v for _, v in _of(total, f"{metric}_count", routed=routed))
    spent = sum(v for _, v in _of(total, f"{metric}_sum", routed=routed))
    figures: dict[str, float | None] = {f"{figure}_mean_ms": 1000 * spent / count if count else None}
    for name, share in QUANTILES.items():
        seconds = quantile(buckets, share)
        figures[f"{figure}_{name}_ms"] = None if seconds is None else 1000 * seconds
    return figures


def quantile(buckets: Mapping[float, float], share: float) -> float | None:
    """Return a quantile of a histogram, as Prometheus' histogram_quantile does; None where it is empty.

    `buckets` has how many values are at most each bound, the last of which is infinite; above the last finite bound
    nothing is known, and it is what is returned.
    """
    bounds = sorted(buckets)
    total = buckets[bounds[-1]] if bounds else 0
    if not total or not math.isinf(bounds[-1]):
        return None
    at = next(i for i, bound in enumerate(bounds) if buckets[bound] >= share * total)
    if math.isinf(bounds[at]):
        return bounds[at - 1] if at else None
    low, below = (bounds[at - 1], buckets[bounds[at - 1]]) if at else (0.0, 0.0)
    return low + (bounds[at] - low) * (share * total - below) / (buckets[bounds[at]] - below)


def _slowest(replicas: Sequence[Counts], name: str) -> float | None:
    return max((v for counts in replicas for _, v in _of(counts, name)), default=None)
