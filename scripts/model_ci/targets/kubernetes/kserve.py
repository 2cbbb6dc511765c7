"""KServe: one InferenceService, whose newest revision is the challenger or, without one, the champion."""

import json
from typing import Final

from model_ci.config import Environment
from model_ci.targets.deployment import CHALLENGER, Deployment
from model_ci.targets.kubernetes import pod
from model_ci.targets.kubernetes.names import SHARE, Names
from model_ci.targets.kubernetes.offer import Offer
from model_ci.types import Document

_CONTAINER: Final = "kserve-container"  # the name that KServe looks for
_TAKEN: Final = ("automountServiceAccountToken", "imagePullSecrets", "serviceAccountName", "volumes")


def inference_service(names: Names, desired: Deployment, settings: Environment, offer: Offer) -> Document:
    """Return the InferenceService; the revision before the newest keeps the rest of the requests."""
    newest = desired.variant(CHALLENGER) or desired.variants[0]
    scaling = settings.kubernetes.autoscaling
    template = pod.template(names, newest, settings)
    container = pod.container(newest, settings, _CONTAINER)
    # KServe and Knative give the container its probes' and its port's names, and end it as they see fit.
    for key in ("startupProbe", "lifecycle"):
        del container[key]
    identity = {key: value for key, value in template["spec"]["securityContext"].items() if key != "fsGroup"}
    container["securityContext"] |= identity  # Knative takes it there, and not of the pod
    container["ports"] = [{"containerPort": pod.PORT, "protocol": "TCP"}]
    for probe in ("readinessProbe", "livenessProbe"):
        container[probe]["httpGet"]["port"] = pod.PORT
    predictor: Document = {
        "minReplicas": newest.replicas,
        "maxReplicas": max(newest.replicas, scaling.max_replicas or 0),
        "labels": template["metadata"]["labels"],
        "annotations": template["metadata"]["annotations"],
        **{key: template["spec"][key] for key in _TAKEN if key in template["spec"]},
        "containers": [container],
    }
    if scaling.max_replicas:
        predictor |= {"scaleMetric": "cpu", "scaleTarget": scaling.cpu_percent}
    if len(desired.variants) > 1:
        predictor["canaryTrafficPercent"] = newest.weight
    return {
        "apiVersion": offer.version("serving.kserve.io") or "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": names.metadata(names.base, **{SHARE: json.dumps(desired.as_record(), sort_keys=True)}),
        "spec": {"predictor": predictor},
    }
