"""`model-ci monitor` against moto's SageMaker and CloudWatch."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

Command = Callable[..., Any]
END = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """An account with an endpoint; moto was taught percentiles, which its GetMetricData lacks."""
    import boto3
    import numpy as np
    from moto import mock_aws
    from moto.cloudwatch.models import Statistics

    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    told = Statistics.get_statistics_for_type

    def percentile(self: Any, stat: str) -> Any:
        return (
            float(np.percentile(self.metric_single_values_list, int(stat[1:])))
            if stat.startswith("p")
            else told(self, stat)
        )

    monkeypatch.setattr(Statistics, "get_statistics_for_type", percentile)
    with mock_aws():
        sagemaker = boto3.client("sagemaker")
        sagemaker.create_model(ModelName="m", ExecutionRoleArn="arn:aws:iam::123456789012:role/r")
        variant = {
            "VariantName": "champion", "ModelName": "m", "InitialInstanceCount": 2, "InstanceType": "ml.m5.large",
            "InitialVariantWeight": 1,
        }  # fmt: skip
        sagemaker.create_endpoint_config(EndpointConfigName="c", ProductionVariants=[variant])
        sagemaker.create_endpoint(EndpointName="shop", EndpointConfigName="c")
        yield boto3.client("cloudwatch")


def put(cloudwatch: Any, before_min: int, namespace: str = "AWS/SageMaker", **values: list[float]) -> None:
    dimensions = [{"Name": "EndpointName", "Value": "shop"}, {"Name": "VariantName", "Value": "champion"}]
    moment = END - timedelta(minutes=before_min)
    data = [
        {"MetricName": name, "Dimensions": dimensions, "Timestamp": moment, "Value": value}
        for name, all_ in values.items()
        for value in all_
    ]
    cloudwatch.put_metric_data(Namespace=namespace, MetricData=data)


def section(project: Any) -> dict[str, Any]:
    return project.record()["stages"]["monitor"]  # type: ignore[no-any-return]


def watch(project: Any, **settings: Any) -> None:
    project.configure(
        monitor={"cloudwatch": "shop", "until": (END + timedelta(minutes=20)).isoformat(), "window": "1h", **settings}
    )


def test_moto_with_percentiles_tells_the_figures_of_each_window(project: Any, command: Command, aws: Any) -> None:
    put(aws, 90, Invocations=[1.0] * 50, ModelLatency=[10_000.0] * 50, OverheadLatency=[2_000.0] * 50)
    put(
        aws, 30, Invocations=[1.0] * 100, Invocation5XXErrors=[1.0] * 5, Invocation4XXErrors=[1.0],
        ModelLatency=[20_000.0] * 90 + [80_000.0] * 10, OverheadLatency=[2_000.0] * 100, ModelSetupTime=[4e6],
    )  # fmt: skip
    put(aws, 30, "/aws/sagemaker/Endpoints", CPUUtilizationNormalized=[85.0, 95.0])
    limits = [{"metric": "error_rate", "max": 0.01}, {"metric": "latency_p95_ms", "max": 100}]
    watch(project, windows=2, limits=limits)
    answer = command(project.root, "monitor")
    assert answer.code == 3, answer.text
    before, now = section(project)["windows"]
    assert (now["begin"][:16], now["end"][:16]) == ("2026-03-01T11:00", "2026-03-01T12:00")
    assert (before["figures"]["requests"], before["figures"]["error_rate"]) == (50, 0)
    assert before["figures"]["latency_p95_ms"] == 12
    figures = now["figures"]
    assert (figures["requests"], figures["error_rate"], figures["refused_rate"]) == (100, 0.05, 0.01)
    assert figures["requests_per_second"] == pytest.approx(100 / 3600)
    assert (figures["model_mean_ms"], figures["model_p50_ms"], figures["model_p95_ms"]) == (26, 20, 80)
    assert (figures["cold_start_s"], figures["utilisation"]) == (4, 0.9)
    assert [limit["state"] for limit in section(project)["limits"]] == ["failed", "passed"]
    assert figures["replicas"] == 2
    assert "too few resources: 2 replicas are busy 90%" in answer.out
    assert "to stay at 80% it takes 3" in answer.out
    watch(project, windows=2, breaches=2, limits=limits)
    assert command(project.root, "monitor").code == 0


def test_an_endpoint_that_nobody_asked_is_missing(project: Any, command: Command, aws: Any) -> None:
    watch(project, limits=[{"metric": "error_rate", "max": 0.01}])
    assert command(project.root, "monitor").code == 3
    assert "no requests were seen" in section(project)["why"]


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"cloudwatch": "stop"}, "no endpoint 'stop' in this account and region"),
        ({"variant": "challenger"}, "the endpoint shop has no variant 'challenger'"),
    ],
)
def test_what_is_not_there_is_a_mistake(
    project: Any, command: Command, aws: Any, settings: dict[str, Any], told: str
) -> None:
    watch(project, **settings)
    answer = command(project.root, "monitor")
    assert answer.code == 2, answer.text
    assert told in answer.err


def test_a_refusal_by_a_stubbed_client_is_told_without_a_traceback(
    project: Any, command: Command, aws: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    import boto3
    from botocore.stub import Stubber

    client = boto3.client("sagemaker")
    stub = Stubber(client)
    stub.add_client_error("describe_endpoint", "AccessDeniedException", "not you")
    stub.activate()
    monkeypatch.setattr(boto3, "client", lambda *args, **kwargs: client)
    watch(project)
    answer = command(project.root, "monitor")
    assert answer.code == 5, answer.text
    assert "AWS refused: not you (AccessDeniedException)" in answer.err
