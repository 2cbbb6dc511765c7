"""sagemaker: against moto's server what that can do; what it cannot (update_endpoint) against botocore's Stubber.

The tests say in their names which of the two answers; none of them is AWS.
"""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from model_ci import config as configuration
from model_ci.errors import ConfigError, ServiceError
from model_ci.targets import CHALLENGER, CHAMPION, Answer, Ask, Deployment, RolloutError, Variant, sagemaker
from model_ci.targets.sagemaker import SageMakerTarget
from model_ci.targets.sagemaker.aws import Aws

ROLE = "arn:aws:iam::123456789012:role/shop-serves"
IMAGE = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/shop@sha256:"
KEYS = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing", "AWS_REGION": "eu-west-1"}


@pytest.fixture(scope="module")
def moto_address() -> Iterator[str]:
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(autouse=True)
def _credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {**KEYS, "AWS_EC2_METADATA_DISABLED": "true", "AWS_MAX_ATTEMPTS": "1"}.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def moto(moto_address: str, monkeypatch: pytest.MonkeyPatch) -> str:
    import urllib.request

    monkeypatch.setenv("AWS_ENDPOINT_URL", moto_address)
    urllib.request.urlopen(urllib.request.Request(f"{moto_address}/moto-api/reset", b"", method="POST")).close()
    return moto_address


def open_target(root: Path, trial: Any = None, replicas: int = 1, **settings: Any) -> SageMakerTarget:
    values = {
        "model": {"name": "shop", "task": "binary"},
        "data": {"path": "data.csv", "target": "sold"},
        "train": {"entrypoint": "model_code:build"},
        "evaluate": {"gates": [{"metric": "roc_auc", "min": 0.6}]},
        "deploy": {
            "environments": {
                "production": {
                    "target": "sagemaker", "replicas": replicas, "sagemaker": {"role": ROLE, "tags": {"team": "a"}, **settings}
                }
            }
        },
    }  # fmt: skip
    file = root / "model-ci.yaml"
    file.write_text(yaml.safe_dump(values))
    config = configuration.load(file)
    target = sagemaker.open(config, "production", config.deploy.environments["production"], trial)
    target.endpoint.poll_s = 0.01
    return target


def variant(version: str, weight: int = 100, name: str = CHAMPION, replicas: int = 1) -> Variant:
    digest = f"sha256:{version * 64}"
    return Variant(
        name=name,
        image=f"{IMAGE}{version * 64}",
        digest=digest,
        version=version,
        run_id="r1",
        weight=weight,
        replicas=replicas,
    )


def wanted(champion: str, challenger: str | None = None, weight: int = 0, replicas: int = 1) -> Deployment:
    variants = [variant(champion, 100 - weight, replicas=replicas)]
    if challenger:
        variants.append(variant(challenger, weight, CHALLENGER, replicas))
    return Deployment(environment="production", variants=tuple(variants))


def quietly(text: str) -> None:
    assert text


def test_moto_an_endpoint_is_made_read_back_and_removed(tmp_path: Path, moto: str) -> None:
    target, told = open_target(tmp_path, variables={"MODEL_CI_THREADS": "2"}), []
    assert target.current() is None
    both = wanted("1", "2", 10, replicas=2)
    assert target.plan(both)[0] == "create endpoint shop-production"
    target.apply(both, told.append)
    assert target.current() == both
    assert target.plan(both) == []
    assert told[-1] == "serves: champion 90 %, challenger 10 %"
    client = target.aws.sagemaker
    live = client.describe_endpoint(EndpointName="shop-production")
    (first, _) = client.describe_endpoint_config(EndpointConfigName=live["EndpointConfigName"])["ProductionVariants"]
    model = client.describe_model(ModelName=first["ModelName"])
    assert model["PrimaryContainer"]["Environment"] == {
        "MODEL_CI_VARIANT": CHAMPION, "MODEL_CI_PREDICTION_LOG": "", "MODEL_CI_THREADS": "2"
    }  # fmt: skip
    assert model["ExecutionRoleArn"] == ROLE
    assert first["InstanceType"] == "ml.m5.large"
    assert {"Key": "team", "Value": "a"} in client.list_tags(ResourceArn=model["ModelArn"])["Tags"]
    target.remove()
    assert target.current() is None
    assert client.list_models()["Models"] == client.list_endpoint_configs()["EndpointConfigs"] == []


def test_moto_weights_change_in_place(tmp_path: Path, moto: str) -> None:
    target = open_target(tmp_path)
    target.apply(wanted("1", "2", 10), quietly)
    before = target.endpoint.described()
    assert target.plan(wanted("1", "2", 30)) == ["champion: weight from 90 to 70", "challenger: weight from 10 to 30"]
    target.apply(wanted("1", "2", 30), quietly)
    assert target.current() == wanted("1", "2", 30)
    after = target.endpoint.described()
    assert before and after and before["EndpointConfigName"] == after["EndpointConfigName"]


def test_moto_load_decides_how_many_machines_there_are(tmp_path: Path, moto: str) -> None:
    target = open_target(tmp_path, autoscaling={"max_replicas": 5, "requests_per_minute": 600}, replicas=2)
    target.apply(wanted("1", replicas=2), quietly)
    scaling = target.aws.scaling
    (found,) = scaling.describe_scalable_targets(ServiceNamespace="sagemaker")["ScalableTargets"]
    assert (found["ResourceId"], found["MinCapacity"], found["MaxCapacity"]) == (
        "endpoint/shop-production/variant/champion", 2, 5
    )  # fmt: skip
    (policy,) = scaling.describe_scaling_policies(ServiceNamespace="sagemaker")["ScalingPolicies"]
    assert policy["TargetTrackingScalingPolicyConfiguration"]["TargetValue"] == 600
    assert target.current() == wanted("1", replicas=2)
    target.remove()
    assert scaling.describe_scalable_targets(ServiceNamespace="sagemaker")["ScalableTargets"] == []


def test_moto_a_serverless_endpoint(tmp_path: Path, moto: str) -> None:
    target = open_target(tmp_path, serverless={"memory_mb": 2048, "max_concurrency": 5})
    target.apply(wanted("1"), quietly)
    live = target.endpoint.described()
    assert live
    assert live["ProductionVariants"][0]["CurrentServerlessConfig"] == {"MemorySizeInMB": 2048, "MaxConcurrency": 5}
    assert target.current() == wanted("1")
    with pytest.raises(
        ConfigError, match=r"a serverless endpoint has one variant; leave deploy.environments.production"
    ):
        target.plan(wanted("1", "2", 10))


def test_moto_a_first_version_that_is_bad_leaves_nothing_behind(tmp_path: Path, moto: str) -> None:
    asked: list[Answer] = []

    def refuses(variant: Variant, ask: Ask) -> None:
        asked.extend([ask("/invocations", b"{}"), ask("/version", None)])
        raise RolloutError(f"{variant.name} predicts otherwise")

    target, told = open_target(tmp_path, refuses), []
    with pytest.raises(RolloutError, match="champion predicts otherwise"):
        target.apply(wanted("1"), told.append)
    assert [each.status for each in asked] == [200, 404]
    assert told[-1] == "removed what was begun"
    assert target.endpoint.described() is None
    assert target.aws.sagemaker.list_models()["Models"] == []


def test_moto_one_deployment_at_a_time(tmp_path: Path, moto: str) -> None:
    target, other = open_target(tmp_path), open_target(tmp_path)
    with (
        target.lock("ann"),
        pytest.raises(ServiceError, match=r"ann has been deploying here since 20.*delete-parameter"),
    ):
        other.lock("bob").__enter__()
    with other.lock("bob"):
        old = {"owner": "bob", "since": "2020-01-01T00:00:00+00:00", "until": "2020-01-01T01:00:00+00:00"}
        name = "/model-ci/shop-production/lock"
        other.aws.parameters.put_parameter(Name=name, Value=json.dumps(old), Type="String", Overwrite=True)
        with target.lock("cyd"):  # bob's time is over
            held = json.loads(target.aws.parameters.get_parameter(Name=name)["Parameter"]["Value"])
            assert held["owner"] == "cyd"
    assert target.aws.parameters.describe_parameters()["Parameters"] == []


def test_without_credentials_region_or_aws_it_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(ServiceError, match="see that this machine can reach AWS"):
        open_target(tmp_path).current()
    for name in KEYS:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nowhere")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")
    with pytest.raises(ConfigError, match=r"no region; set sagemaker\.region"):
        open_target(tmp_path).current()
    with pytest.raises(ServiceError, match="take a role by OpenID Connect"):
        open_target(tmp_path, region="eu-west-1").current()


class Scripted:
    """A client whose every call is expected, with its arguments checked by AWS's own model of the service."""

    def __init__(self, target: SageMakerTarget) -> None:
        from botocore.stub import Stubber

        self.target, self.stubs = target, {}
        for name in ("sagemaker", "scaling"):
            self.stubs[name] = Stubber(getattr(target.aws, name))
            self.stubs[name].activate()

    def add(self, operation: str, answer: dict[str, Any] | None = None, **expected: Any) -> None:
        self.stubs["sagemaker"].add_response(operation, answer or {}, expected)

    def absent(self, operation: str, **expected: Any) -> None:
        stub = self.stubs["sagemaker"]
        stub.add_client_error(operation, "ValidationException", "Could not find it", expected_params=expected)

    def endpoint(self, version: str, status: str = "InService", **more: Any) -> None:
        live = {"VariantName": CHAMPION, "CurrentWeight": 1.0, "CurrentInstanceCount": 1}
        self.add("describe_endpoint", {**ENDPOINT, "EndpointStatus": status, "EndpointConfigName": self.configuration(version),
                                       "ProductionVariants": [live], **more}, EndpointName="shop-production")  # fmt: skip

    def described(self, version: str) -> None:
        shape = self.target.catalog.shape(variant(version)) | {"InitialInstanceCount": 1, "InitialVariantWeight": 100.0}
        named = {
            "EndpointConfigName": self.configuration(version),
            "EndpointConfigArn": ARN,
            "CreationTime": "2026-01-01",
        }
        self.add(
            "describe_endpoint_config",
            {**named, "ProductionVariants": [shape]},
            EndpointConfigName=self.configuration(version),
        )

    def current(self, version: str) -> None:
        """What reading the present state asks for."""
        self.endpoint(version)
        self.described(version)
        self.stubs["scaling"].add_response(
            "describe_scalable_targets", {"ScalableTargets": []}, {"ServiceNamespace": "sagemaker"}
        )
        self.model(version)
        tags = [{"Key": f"model-ci.{key}", "Value": value} for key, value in FACTS(version).items()]
        self.add("list_tags", {"Tags": tags}, ResourceArn=MODEL_ARN)

    def model(self, version: str) -> None:
        made = {
            "ModelName": self.name(version),
            "ModelArn": MODEL_ARN,
            "CreationTime": "2026-01-01",
            "ExecutionRoleArn": ROLE,
        }
        self.add(
            "describe_model",
            {**made, "PrimaryContainer": {"Image": variant(version).image}},
            ModelName=self.name(version),
        )

    def new_configuration(self, version: str) -> None:
        self.absent("describe_model", ModelName=self.name(version))
        self.add(
            "create_model",
            {"ModelArn": MODEL_ARN},
            ModelName=self.name(version),
            **self.target.catalog._model(variant(version)),
        )
        self.absent("describe_endpoint_config", EndpointConfigName=self.configuration(version))
        size = {"InitialInstanceCount": 1, "InitialVariantWeight": 100.0}
        self.add(
            "create_endpoint_config", {"EndpointConfigArn": ARN}, EndpointConfigName=self.configuration(version),
            ProductionVariants=[self.target.catalog.shape(variant(version)) | size], Tags=self.target.catalog._tags({}),
        )  # fmt: skip

    def not_scaled(self) -> None:
        self.stubs["scaling"].add_response(
            "describe_scalable_targets", {"ScalableTargets": []}, {"ServiceNamespace": "sagemaker"}
        )

    def name(self, version: str) -> str:
        return self.target.catalog.model_name(variant(version))

    def configuration(self, version: str) -> str:
        from model_ci.targets.sagemaker.catalog import _mark

        catalog = self.target.catalog
        return f"shop-production-{_mark([catalog.shape(variant(version)) | catalog._size(variant(version), {CHAMPION: 1})])}"

    def done(self) -> None:
        for stub in self.stubs.values():
            stub.assert_no_pending_responses()


ARN = "arn:aws:sagemaker:eu-west-1:123456789012:endpoint/shop-production"
MODEL_ARN = "arn:aws:sagemaker:eu-west-1:123456789012:model/any"
ENDPOINT = {
    "EndpointName": "shop-production",
    "EndpointArn": ARN,
    "CreationTime": "2026-01-01",
    "LastModifiedTime": "2026-01-01",
}
CANARY = {
    "BlueGreenUpdatePolicy": {
        "TrafficRoutingConfiguration": {
            "Type": "CANARY", "WaitIntervalInSeconds": 60, "CanarySize": {"Type": "CAPACITY_PERCENT", "Value": 20}
        },
        "TerminationWaitInSeconds": 0,
        "MaximumExecutionTimeoutInSeconds": 600,
    },
    "AutoRollbackConfiguration": {"Alarms": [{"AlarmName": "errors"}, {"AlarmName": "latency"}]},
}  # fmt: skip
GUARDS = {"shift": "canary", "shift_percent": 20, "shift_wait_s": 60, "alarms": ["errors", "latency"]}


def FACTS(version: str) -> dict[str, str]:  # noqa: N802 - beside the constants that it belongs to
    return {"digest": variant(version).digest, "version": version, "run_id": "r1"}


def begin(script: Scripted, to: str) -> None:
    """From version 1 on its way to another: what is read, and what is made before the update."""
    script.endpoint("1")
    script.current("1")
    script.described("1")  # whether it needs another fleet
    script.not_scaled()
    script.new_configuration(to)


def test_stubbed_a_new_version_comes_blue_green_by_canary_with_alarms(tmp_path: Path) -> None:
    target = open_target(tmp_path, **GUARDS)
    script, told = Scripted(target), []
    begin(script, "2")
    script.add("update_endpoint", {"EndpointArn": ARN}, EndpointName="shop-production",
               EndpointConfigName=script.configuration("2"), DeploymentConfig=CANARY)  # fmt: skip
    script.endpoint("1", "Updating")
    script.endpoint("2")
    script.endpoint("2")
    script.described("2")
    script.add("list_endpoint_configs", {"EndpointConfigs": [
        {"EndpointConfigName": script.configuration(v), "EndpointConfigArn": ARN, "CreationTime": "2026-01-01"} for v in "12"
    ]}, NameContains="shop-production")  # fmt: skip
    script.add("delete_endpoint_config", EndpointConfigName=script.configuration("1"))
    script.add("list_models", {"Models": [
        {"ModelName": name, "ModelArn": MODEL_ARN, "CreationTime": "2026-01-01"}
        for name in (script.name("1"), script.name("2"), "shop-production-champion-else")
    ]}, NameContains="shop-production")  # fmt: skip
    script.add("delete_model", ModelName=script.name("1"))
    target.apply(wanted("2"), told.append)
    script.done()
    assert told == ["updates endpoint shop-production: canary", "serves: champion 100 %"]


def test_stubbed_an_update_that_an_alarm_took_back_is_told(tmp_path: Path) -> None:
    target = open_target(tmp_path, **GUARDS)
    script, told = Scripted(target), []
    begin(script, "2")
    script.add("update_endpoint", {"EndpointArn": ARN}, EndpointName="shop-production",
               EndpointConfigName=script.configuration("2"), DeploymentConfig=CANARY)  # fmt: skip
    script.endpoint("1", "Updating")
    script.endpoint("1", "RollingBack")
    script.endpoint("1", FailureReason="alarm errors went off")
    script.endpoint("1")  # what is there to restore: the weights
    desired = [{"VariantName": CHAMPION, "DesiredWeight": 100.0, "DesiredInstanceCount": 1}]
    script.add("update_endpoint_weights_and_capacities", {"EndpointArn": ARN}, EndpointName="shop-production",
               DesiredWeightsAndCapacities=desired)  # fmt: skip
    script.endpoint("1")
    with pytest.raises(RolloutError, match="SageMaker took the update of shop-production back: alarm errors went off"):
        target.apply(wanted("2"), told.append)
    script.done()
    assert told[-1] == "restored what ran before"


def test_stubbed_a_version_that_fails_its_trial_is_replaced_by_the_former(tmp_path: Path) -> None:
    def refuses(variant: Variant, ask: Ask) -> None:
        raise RolloutError("predicts otherwise")

    target = open_target(tmp_path, refuses, **GUARDS)
    script, told = Scripted(target), []
    begin(script, "2")
    for version, more in (("2", {"DeploymentConfig": CANARY}), ("1", {})):
        script.add("update_endpoint", {"EndpointArn": ARN}, EndpointName="shop-production",
                   EndpointConfigName=script.configuration(version), **more)  # fmt: skip
        script.endpoint(version)
        if version == "2":
            script.endpoint("2")
            script.not_scaled()
    script.add("update_endpoint_weights_and_capacities", {"EndpointArn": ARN}, EndpointName="shop-production",
               DesiredWeightsAndCapacities=[{"VariantName": CHAMPION, "DesiredWeight": 100.0, "DesiredInstanceCount": 1}])  # fmt: skip
    script.endpoint("1")
    with pytest.raises(RolloutError, match="predicts otherwise"):
        target.apply(wanted("2"), told.append)
    script.done()
    assert told[-1] == "restored what ran before"


def test_stubbed_fleets_of_other_variants_change_all_at_once(tmp_path: Path) -> None:
    """SageMaker moves requests in steps only between fleets of the same variants."""
    target = open_target(tmp_path, **GUARDS)
    assert target._guarded(wanted("1"), wanted("2"))
    assert not target._guarded(wanted("1"), wanted("1", "2", 10))
    assert target._guarded(wanted("1", "2", 10), wanted("1", "3", 10))


def test_stubbed_what_takes_too_long_ends_with_what_to_do(tmp_path: Path) -> None:
    target = open_target(tmp_path)
    target.endpoint.settings = replace(target.settings, timeout_s=1e-9)
    script = Scripted(target)
    script.endpoint("1", "Updating")
    with pytest.raises(RolloutError, match="is still Updating after 1e-09 s; SageMaker goes on with it"):
        target.endpoint.wait(None)


@pytest.mark.parametrize(
    ("code", "advice"),
    [("AccessDeniedException", "docs/sagemaker.md"), ("ResourceLimitExceeded", "higher quota"), ("ExpiredTokenException", "get new ones"),
     ("ThrottlingException", "run this again later"), ("ValidationException", "change the setting")],
)  # fmt: skip
def test_stubbed_what_aws_refuses_is_said_with_what_to_do(tmp_path: Path, code: str, advice: str) -> None:
    target = open_target(tmp_path)
    script = Scripted(target)
    script.stubs["sagemaker"].add_client_error("describe_endpoint", code, "no")
    with pytest.raises(ServiceError, match=f"sagemaker: endpoint shop-production: no; .*{advice}"):
        target.current()


@pytest.mark.parametrize("shift", ["linear", "at_once"])
def test_the_steps_are_ones_that_the_service_takes(tmp_path: Path, shift: str) -> None:
    from botocore.session import Session
    from botocore.validate import ParamValidator

    shape = Session().get_service_model("sagemaker").operation_model("UpdateEndpoint").input_shape
    target = open_target(tmp_path, shift=shift, shift_percent=3)
    sent = {"EndpointName": "e", "EndpointConfigName": "c", "DeploymentConfig": target.endpoint._steps()}
    assert not ParamValidator().validate(sent, shape).has_errors()
    routing = sent["DeploymentConfig"]["BlueGreenUpdatePolicy"]["TrafficRoutingConfiguration"]
    assert routing.get("LinearStepSize", {"Value": 10})["Value"] == 10  # the least that SageMaker takes
    assert Aws("eu-west-1").sagemaker.meta.region_name == "eu-west-1"


def test_the_image_speaks_sagemakers_contract(
    flights_bundle_sklearn: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """SageMaker starts a container with `serve`, asks GET /ping and sends requests to POST /invocations on port 8080."""
    from tests.serving.asking import app, ask

    from model_ci.serving.__main__ import main
    from model_ci.serving.settings import Settings

    served = app(flights_bundle_sklearn)
    assert ask(served, "GET", "/ping").status == 200
    assert ask(served, "POST", "/invocations", {"nonsense": 1}).status != 404
    assert Settings().port == 8080
    monkeypatch.setenv("MODEL_CI_MANIFEST", str(tmp_path / "absent.json"))
    for arguments, why in ((["serve"], "absent.json"), ([], "absent.json"), (["train"], "Got 'train'")):
        assert main(arguments) == 2
        assert why in capsys.readouterr().err
