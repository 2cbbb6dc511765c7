"""How many machines a variant has by its load: a scalable target and a policy that keeps requests a machine."""

from typing import Final

from model_ci.config import Environment
from model_ci.targets.deployment import Deployment
from model_ci.targets.sagemaker.aws import Aws, translated
from model_ci.types import Document

_SCALED: Final[Document] = {
    "ServiceNamespace": "sagemaker",
    "ScalableDimension": "sagemaker:variant:DesiredInstanceCount",
}


class Scaling:
    """The scaling of an endpoint's variants."""

    def __init__(self, aws: Aws, name: str, settings: Environment) -> None:
        self.aws, self.name, self.settings = aws, name, settings

    @property
    def enabled(self) -> bool:
        """Whether load decides how many machines there are."""
        return self.settings.sagemaker.autoscaling.max_replicas is not None

    def least(self) -> dict[str, int]:
        """Return the least machines of each variant that is scaled."""
        with translated("scalable targets"):
            pages = self.aws.scaling.get_paginator("describe_scalable_targets").paginate(ServiceNamespace="sagemaker")
            scalable = [each for page in pages for each in page["ScalableTargets"]]
        prefix = f"endpoint/{self.name}/variant/"
        return {
            each["ResourceId"].removeprefix(prefix): each["MinCapacity"]
            for each in scalable
            if each["ResourceId"].startswith(prefix)
        }

    def stop(self, variants: "set[str] | None" = None) -> None:
        """Scale these variants, or all, no longer: a fleet that is replaced or removed may not be scaled meanwhile."""
        for variant in self.least():
            if variants is None or variant in variants:
                with translated(f"scaling of {variant}"):
                    self.aws.scaling.deregister_scalable_target(ResourceId=self._resource(variant), **_SCALED)

    def start(self, desired: Deployment) -> None:
        """Scale each variant as the configuration says."""
        scaling = self.settings.sagemaker.autoscaling
        if scaling.max_replicas is None:
            return
        for variant in desired.variants:
            where = {"ResourceId": self._resource(variant.name), **_SCALED}
            measured = {"PredefinedMetricType": "SageMakerVariantInvocationsPerInstance"}
            policy = {"TargetValue": scaling.requests_per_minute, "PredefinedMetricSpecification": measured}
            with translated(f"scaling of {variant.name}"):
                self.aws.scaling.register_scalable_target(
                    MinCapacity=variant.replicas, MaxCapacity=scaling.max_replicas, **where
                )
                self.aws.scaling.put_scaling_policy(
                    PolicyName=f"{self.name}-{variant.name}-requests",
                    PolicyType="TargetTrackingScaling",
                    TargetTrackingScalingPolicyConfiguration=policy,
                    **where,
                )

    def _resource(self, variant: str) -> str:
        return f"endpoint/{self.name}/variant/{variant}"
