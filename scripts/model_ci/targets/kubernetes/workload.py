"""What runs a variant: its Deployment, how far it scales, and how much of it may be away at once."""

import json

from model_ci.config import Environment
from model_ci.targets.deployment import Variant
from model_ci.targets.kubernetes import pod
from model_ci.targets.kubernetes.names import SHARE, Names
from model_ci.targets.kubernetes.offer import Offer
from model_ci.types import Document


def deployment(names: Names, variant: Variant, settings: Environment, replicas: int | None) -> Document:
    """Return the Deployment; without `replicas`, load decides how many pods there are."""
    asked = {"weight": variant.weight, "replicas": variant.replicas, "pods": replicas}
    share = json.dumps(asked, sort_keys=True)
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": names.metadata(names.variant(variant.name), variant.name, **{SHARE: share}),
        "spec": ({} if replicas is None else {"replicas": replicas})
        | {
            "selector": {"matchLabels": names.pods(variant.name)},
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": 0}},
            "minReadySeconds": 2,
            "progressDeadlineSeconds": max(1, round(settings.timeout_s)),
            "revisionHistoryLimit": 3,
            "template": pod.template(names, variant, settings),
        },
    }


def autoscaler(names: Names, variant: Variant, settings: Environment, offer: Offer) -> Document:
    """Return the HorizontalPodAutoscaler, by what the cluster can measure."""
    scaling, name = settings.kubernetes.autoscaling, names.variant(variant.name)
    version = offer.version("autoscaling") or "autoscaling/v1"
    spec: Document = {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": name},
        "minReplicas": variant.replicas,
        "maxReplicas": scaling.max_replicas,
    }
    if version == "autoscaling/v1":
        spec["targetCPUUtilizationPercentage"] = scaling.cpu_percent
    else:
        spec["metrics"] = _metrics(settings, offer)
    return {
        "apiVersion": version,
        "kind": "HorizontalPodAutoscaler",
        "metadata": names.metadata(name, variant.name),
        "spec": spec,
    }


def _metrics(settings: Environment, offer: Offer) -> list[Document]:
    scaling = settings.kubernetes.autoscaling
    target = {"type": "Utilization", "averageUtilization": scaling.cpu_percent}
    metrics: list[Document] = [{"type": "Resource", "resource": {"name": "cpu", "target": target}}]
    if scaling.requests_per_second is not None and offer.custom_metrics:
        average = {"type": "AverageValue", "averageValue": f"{round(1000 * scaling.requests_per_second)}m"}
        metrics.append({"type": "Pods", "pods": {"metric": {"name": scaling.requests_metric}, "target": average}})
    return metrics


def disruption_budget(names: Names, variant: Variant, offer: Offer) -> Document:
    """Return the PodDisruptionBudget: nodes may be emptied, one pod of the variant at a time."""
    return {
        "apiVersion": offer.version("policy") or "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": names.metadata(names.variant(variant.name), variant.name),
        "spec": {"maxUnavailable": 1, "selector": {"matchLabels": names.pods(variant.name)}},
    }
