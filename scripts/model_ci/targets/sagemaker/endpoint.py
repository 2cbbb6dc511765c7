"""The endpoint: made, given another fleet, given other weights, and waited for."""

import time
from collections.abc import Sequence
from typing import Final

from model_ci.config import Environment
from model_ci.targets.deployment import Answer, Deployment, RolloutError
from model_ci.targets.sagemaker.aws import Aws, AwsError, translated
from model_ci.types import Document

IN_SERVICE: Final = "InService"
_FAILED: Final = ("Failed", "UpdateRollbackFailed", "OutOfService")
_BUSY: Final = ("Creating", "Updating", "SystemUpdating", "RollingBack", "Deleting")
_ROUTING: Final = {"canary": "CANARY", "linear": "LINEAR", "at_once": "ALL_AT_ONCE"}
_STEP: Final = {"canary": "CanarySize", "linear": "LinearStepSize"}
_LEAST_LINEAR: Final = 10
_EXECUTION_S: Final = (600, 28800)  # what SageMaker takes for the time of a deployment
_SPARE_S: Final = 600.0  # for SageMaker to undo what took too long


class Endpoint:
    """An endpoint by its name."""

    def __init__(self, aws: Aws, name: str, settings: Environment) -> None:
        self.aws, self.name, self.settings = aws, name, settings
        self.poll_s = 10.0

    def described(self) -> Document | None:
        """Return the endpoint, None when there is none."""
        try:
            with translated(f"endpoint {self.name}"):
                return dict(self.aws.sagemaker.describe_endpoint(EndpointName=self.name))
        except AwsError as error:
            if error.absent:
                return None
            raise

    def create(self, configuration: str, tags: Sequence[dict[str, str]]) -> None:
        """Make it and wait until it serves."""
        with translated(f"endpoint {self.name}"):
            self.aws.sagemaker.create_endpoint(
                EndpointName=self.name, EndpointConfigName=configuration, Tags=list(tags)
            )
        self.wait(configuration)

    def update(self, configuration: str, *, guarded: bool) -> None:
        """Give it another fleet and wait; `guarded`: in steps that the alarms watch, undone by SageMaker itself."""
        more = {"DeploymentConfig": self._steps()} if guarded else {}
        with translated(f"endpoint {self.name}"):
            self.aws.sagemaker.update_endpoint(EndpointName=self.name, EndpointConfigName=configuration, **more)
        self.wait(configuration)

    def weigh(self, goal: Deployment, *, counted: bool) -> None:
        """Give the variants other weights, and their numbers of machines when nothing else decides them."""
        desired = [
            {"VariantName": variant.name, "DesiredWeight": float(variant.weight)}
            | ({"DesiredInstanceCount": variant.replicas} if counted else {})
            for variant in goal.variants
        ]
        with translated(f"endpoint {self.name}"):
            self.aws.sagemaker.update_endpoint_weights_and_capacities(
                EndpointName=self.name, DesiredWeightsAndCapacities=desired
            )
        self.wait(None)

    def wait(self, configuration: str | None) -> None:
        """Wait until it serves by a configuration; raise RolloutError when it does by another, or not in time."""
        limit_s = self.settings.timeout_s if configuration is None else self._longest_s() + _SPARE_S
        deadline = time.monotonic() + limit_s
        while (existing := self.described() or {}).get("EndpointStatus") in _BUSY:
            if time.monotonic() > deadline:
                raise RolloutError(
                    f"sagemaker: endpoint {self.name} is still {existing['EndpointStatus']} after {limit_s:g} s; "
                    "SageMaker goes on with it: look at the endpoint, and run this again when it is in service"
                )
            time.sleep(self.poll_s)
        status, why = existing.get("EndpointStatus", "gone"), existing.get("FailureReason", "it gives no reason")
        if status != IN_SERVICE:
            raise RolloutError(f"sagemaker: endpoint {self.name} is {status}: {why}; see its log in CloudWatch")
        if configuration is not None and existing["EndpointConfigName"] != configuration:
            raise RolloutError(
                f"sagemaker: SageMaker took the update of {self.name} back: {why}; see its log in CloudWatch"
            )

    def delete(self) -> None:
        """Delete it; one that is gone is no error."""
        try:
            with translated(f"endpoint {self.name}"):
                self.aws.sagemaker.delete_endpoint(EndpointName=self.name)
        except AwsError as error:
            if not error.absent:
                raise

    def ask(self, variant: str | None, path: str, body: bytes | None) -> Answer:
        """Send a request to a variant; an endpoint has the one route /invocations, others are not found."""
        if path != "/invocations" or body is None:
            return Answer(status=404, body=b"an endpoint of SageMaker has /invocations alone", seconds=0.0)
        begin = time.perf_counter()
        to = {"TargetVariant": variant} if variant else {}
        try:
            with translated(f"asking {self.name}"):
                response = self.aws.runtime.invoke_endpoint(
                    EndpointName=self.name, Body=body, ContentType="application/json", **to
                )
        except AwsError as error:
            if error.code != "ModelError":
                raise
            return Answer(status=424, body=error.message.encode(), seconds=time.perf_counter() - begin)
        return Answer(status=200, body=response["Body"].read(), seconds=time.perf_counter() - begin)

    def _steps(self) -> Document:
        """Return how the requests move to the new fleet, and what undoes it."""
        options = self.settings.sagemaker
        routing: Document = {"Type": _ROUTING[options.shift], "WaitIntervalInSeconds": options.shift_wait_s}
        if options.shift in _STEP:
            least = _LEAST_LINEAR if options.shift == "linear" else 1
            routing[_STEP[options.shift]] = {"Type": "CAPACITY_PERCENT", "Value": max(options.shift_percent, least)}
        policy = {
            "TrafficRoutingConfiguration": routing,
            "TerminationWaitInSeconds": 0,
            "MaximumExecutionTimeoutInSeconds": round(self._longest_s()),
        }
        alarms = [{"AlarmName": name} for name in options.alarms]
        watched = {"AutoRollbackConfiguration": {"Alarms": alarms}} if alarms else {}
        return {"BlueGreenUpdatePolicy": policy, **watched}

    def _longest_s(self) -> float:
        """Return how long a deployment may take: to start, and all its steps."""
        options = self.settings.sagemaker
        steps = {"canary": 2, "linear": -(-100 // max(options.shift_percent, _LEAST_LINEAR)), "at_once": 1}[
            options.shift
        ]
        low, high = _EXECUTION_S
        return min(max(self.settings.timeout_s + steps * options.shift_wait_s, low), high)
