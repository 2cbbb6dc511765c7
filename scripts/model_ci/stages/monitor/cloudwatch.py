"""What CloudWatch has of a SageMaker endpoint.

SageMaker measures no request as a whole: `latency` is the model's time and SageMaker's own beside it (OverheadLatency),
each quantile the sum of both, which is no less than the true one in practice. `cold_start_s` is the time that a serverless
endpoint took to launch, `utilisation` that of the instances' processors.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from model_ci.errors import ConfigError, ServiceError
from model_ci.stages.monitor.window import QUANTILES, Spans, Window, rates

if TYPE_CHECKING:
    from botocore.client import BaseClient
    from botocore.exceptions import ClientError


SOURCE: Final = "cloudwatch"
_CALLS: Final = "AWS/SageMaker"
_MACHINES: Final = "/aws/sagemaker/Endpoints"
# Name of ours -> namespace, metric, statistic.
_QUERIES: Final[Mapping[str, tuple[str, str, str]]] = {
    "requests": (_CALLS, "Invocations", "Sum"),
    "failed": (_CALLS, "Invocation5XXErrors", "Sum"),
    "refused": (_CALLS, "Invocation4XXErrors", "Sum"),
    "model_mean": (_CALLS, "ModelLatency", "Average"),
    "overhead_mean": (_CALLS, "OverheadLatency", "Average"),
    **{f"model_{q}": (_CALLS, "ModelLatency", q) for q in QUANTILES},
    **{f"overhead_{q}": (_CALLS, "OverheadLatency", q) for q in QUANTILES},
    "setup": (_CALLS, "ModelSetupTime", "Maximum"),
    "load": (_CALLS, "ModelLoadingTime", "Maximum"),
    "processors": (_MACHINES, "CPUUtilizationNormalized", "Average"),
}


def windows(endpoint: str, variant: str | None, region: str | None, spans: Spans) -> list[Window]:
    """Ask for a window of each span, moved back to where CloudWatch's own of that length end: an hour's at full hours.

    Raises ConfigError for an endpoint that there is not, ServiceError when AWS refuses or gives no answer.
    """
    import boto3
    from botocore.exceptions import BotoCoreError, ClientError

    whole = int(spans.end.timestamp()) // spans.seconds * spans.seconds
    spans = replace(spans, end=datetime.fromtimestamp(whole, UTC))
    try:
        described = boto3.client("sagemaker", region_name=region).describe_endpoint(EndpointName=endpoint)
        variants = [v for v in described.get("ProductionVariants", []) if variant in (None, v["VariantName"])]
        if not variants:
            raise ConfigError(f"monitor.variant: the endpoint {endpoint} has no variant {variant!r}; name one it has")
        names = [v["VariantName"] for v in variants]
        answer = _ask(boto3.client("cloudwatch", region_name=region), endpoint, names, spans)
    except ClientError as error:
        raise _problem(error, endpoint) from None
    except BotoCoreError as error:
        raise ServiceError(f"monitor.cloudwatch: {error}; are AWS's credentials and region set?") from None
    counts = [v.get("CurrentInstanceCount") for v in variants]
    replicas = float(sum(counts)) if all(c is not None for c in counts) else None
    return [
        Window(
            source=SOURCE,
            begin=begin,
            end=end,
            figures=_figures({name: _at(answer, name, names, begin) for name in _QUERIES}, replicas, spans.seconds),
        )
        for begin, end in spans.each()
    ]


def _problem(error: "ClientError", endpoint: str) -> ConfigError | ServiceError:
    code, message = error.response["Error"]["Code"], error.response["Error"]["Message"]
    if code == "ValidationException" and "ould not find" in message:
        return ConfigError(f"monitor.cloudwatch: no endpoint {endpoint!r} in this account and region; name one")
    return ServiceError(f"monitor.cloudwatch: AWS refused: {message} ({code})")


def _ask(
    client: "BaseClient", endpoint: str, variants: list[str], spans: Spans
) -> dict[tuple[str, str], dict[datetime, float]]:
    """Return each metric's values of each variant by the begin of the window."""
    asked = [*_queries(endpoint, variants, spans.seconds)]
    pages = client.get_paginator("get_metric_data").paginate(
        MetricDataQueries=[query for _, query in asked],
        StartTime=spans.each()[0][0],
        EndTime=spans.end,
        ScanBy="TimestampAscending",
    )
    keys = {query["Id"]: key for key, query in asked}
    by_metric: dict[tuple[str, str], dict[datetime, float]] = {}
    for page in pages:
        for result in page["MetricDataResults"]:
            values = by_metric.setdefault(keys[result["Id"]], {})
            values.update(zip(result["Timestamps"], result["Values"], strict=True))
    return by_metric


def _queries(endpoint: str, variants: list[str], seconds: int) -> Iterator[tuple[tuple[str, str], dict[str, object]]]:
    for i, variant in enumerate(variants):
        dimensions = [{"Name": "EndpointName", "Value": endpoint}, {"Name": "VariantName", "Value": variant}]
        for name, (namespace, metric, statistic) in _QUERIES.items():
            stat = {
                "Metric": {"Namespace": namespace, "MetricName": metric, "Dimensions": dimensions},
                "Period": seconds,
                "Stat": statistic,
            }
            yield (name, variant), {"Id": f"{name}_{i}", "MetricStat": stat}


def _at(
    answer: Mapping[tuple[str, str], Mapping[datetime, float]], name: str, variants: list[str], start: datetime
) -> float | None:
    """Return one window's value over the variants: the sum of what is counted, else the worst."""
    values = [answer.get((name, variant), {}).get(start) for variant in variants]
    there = [value for value in values if value is not None]
    if not there:
        return None
    return sum(there) if _QUERIES[name][2] == "Sum" else max(there)


def _figures(values: Mapping[str, float | None], replicas: float | None, seconds: int) -> dict[str, float | None]:
    requests = values["requests"]
    counted: dict[str, float | None] = {}
    if requests is not None:
        counted = rates(requests, values["failed"] or 0.0, values["refused"] or 0.0, float(seconds))
    busy = values["processors"]
    times: dict[str, float | None] = {}
    for name in ("mean", *QUANTILES):
        model, overhead = values[f"model_{name}"], values[f"overhead_{name}"]
        times[f"model_{name}_ms"] = None if model is None else model / 1000
        times[f"latency_{name}_ms"] = None if model is None or overhead is None else (model + overhead) / 1000
    return {
        **counted,
        **times,
        "cold_start_s": _seconds(values["setup"]),
        "load_s": _seconds(values["load"]),
        "replicas": replicas,
        "utilisation": None if busy is None else busy / 100,
    }


def _seconds(microseconds: float | None) -> float | None:
    return None if microseconds is None else microseconds / 1e6
