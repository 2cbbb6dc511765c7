"""What a Prometheus server has of a service, asked in PromQL over its HTTP API."""

import math
import os
import urllib.parse
from datetime import datetime
from typing import TYPE_CHECKING, Final

from model_ci import web
from model_ci.errors import ConfigError, ServiceError
from model_ci.stages.monitor.window import QUANTILES, ROUTES, Spans, Window, rates

if TYPE_CHECKING:
    from model_ci.types import Document


SOURCE: Final = "prometheus"
# Sent with each question when it is set; never written anywhere.
TOKEN: Final = "MODEL_CI_PROMETHEUS_TOKEN"  # noqa: S105 - the name of the variable
_TIMEOUT_S: Final = 30


def windows(url: str, selector: str, spans: Spans, *, threads: int) -> list[Window]:
    """Ask for a window of each span.

    `selector` is what PromQL takes between braces, such as `job="shop"`. Raises ConfigError for a question that the
    server refuses, ServiceError when it gives no answer.
    """
    return [
        Window(
            source=SOURCE, begin=begin, end=end, figures=_figures(_Server(url, end), selector, spans.seconds, threads)
        )
        for begin, end in spans.each()
    ]


class _Server:
    """A Prometheus server at one moment."""

    def __init__(self, url: str, moment: datetime) -> None:
        self._url, self._moment = url.rstrip("/"), moment

    def number(self, query: str) -> float | None:
        """Return the one number that a question has for an answer, None where there is none."""
        asked = urllib.parse.urlencode({"query": query, "time": self._moment.timestamp()})
        answer = self._get(f"{self._url}/api/v1/query?{asked}", query)
        try:
            result = answer["data"]["result"]
            value = float(result[0]["value"][1]) if result else math.nan
        except (KeyError, IndexError, TypeError, ValueError):
            raise ServiceError(f"{self._url}: its answer is none of Prometheus' HTTP API; is it its address?") from None
        return value if math.isfinite(value) else None

    def _get(self, address: str, query: str) -> "Document":
        token = os.environ.get(TOKEN)
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        try:
            answer = web.Client(tries=2, timeout_s=_TIMEOUT_S).ask("GET", address, headers)
        except ServiceError as error:
            raise ServiceError(f"{self._url}: cannot be reached: {error}; is it up, and is it its address?") from None
        content = answer.json()
        match answer.status:
            case 401 | 403:
                raise ServiceError(f"{self._url}: refused us ({answer.status}); set {TOKEN} to a token that may read")
            case 400 | 422:
                given = content.get("error") if isinstance(content, dict) else None
                problem = given or f"answered {answer.status}"
                raise ConfigError(f"monitor.prometheus: {query}: {problem}; mend monitor.selector")
            case status if status >= 300:
                raise ServiceError(f"{self._url}: answered {status}; ask again later")
        if not isinstance(content, dict):
            raise ServiceError(f"{self._url}: its answer is no JSON; is it Prometheus' address?")
        return content


def _figures(server: _Server, selector: str, seconds: int, threads: int) -> dict[str, float | None]:
    span = f"[{seconds}s]"
    routes = f'route=~"{"|".join(ROUTES)}"'

    def series(metric: str, *more: str) -> str:
        return f"model_ci_{metric}{{{','.join(part for part in (selector, *more) if part)}}}"

    def requests(*more: str) -> float | None:
        return server.number(f"sum(increase({series('requests_total', routes, *more)}{span}))")

    replicas = server.number(f"count({series('info')})")
    busy = server.number(f"sum(rate({series('model_seconds_sum')}{span}))")
    all_ = requests()
    counted: dict[str, float | None] = dict.fromkeys(("requests", "requests_per_second", "error_rate", "refused_rate"))
    if all_ is not None:
        counted = rates(all_, requests('status=~"5.."') or 0.0, requests('status=~"4.."') or 0.0, float(seconds))
    return {
        **counted,
        **_times(server, "latency", series("request_seconds", routes), span),
        **_times(server, "model", series("model_seconds"), span),
        "cold_start_s": server.number(f"max({series('cold_start_seconds')})"),
        "load_s": server.number(f"max({series('load_seconds')})"),
        "replicas": replicas,
        "utilisation": busy / (replicas * threads) if busy is not None and replicas else None,
        "log_dropped": server.number(f"sum(increase({series('log_dropped_total')}{span}))"),
    }


def _times(server: _Server, figure: str, histogram: str, span: str) -> dict[str, float | None]:
    def rate(part: str) -> str:
        name, brace, rest = histogram.partition("{")
        return f"rate({name}_{part}{brace}{rest}{span})"

    mean = server.number(f"sum({rate('sum')}) / sum({rate('count')})")
    values = {f"{figure}_mean_ms": mean}
    for name, share in QUANTILES.items():
        values[f"{figure}_{name}_ms"] = server.number(f"histogram_quantile({share}, sum by (le) ({rate('bucket')}))")
    return {name: None if value is None else 1000 * value for name, value in values.items()}
