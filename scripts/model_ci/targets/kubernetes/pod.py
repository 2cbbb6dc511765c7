"""The pod: the service, its probes, what it may use, and everything that it may not do."""

from typing import Final

from model_ci.config import Environment
from model_ci.targets.deployment import Variant
from model_ci.targets.kubernetes.names import COMPONENT, INSTANCE, REPLICA, ROLE, VARIANT, Names, described
from model_ci.types import Document

PORT: Final = 8080
CONTAINER: Final = "model"
_USER: Final = 10001
_LOG_FOLDER: Final = "/var/log/model-ci"
_STARTUP_PERIOD_S: Final = 2
_LONGEST_ANSWER_S: Final = 60


def template(names: Names, variant: Variant, settings: Environment, role: str = REPLICA) -> Document:
    """Return the template of a variant's pods."""
    return {
        "metadata": {
            "labels": names.labels(variant.name) | {ROLE: role},
            "annotations": {
                VARIANT: described(variant),
                "prometheus.io/scrape": "true",
                "prometheus.io/port": str(PORT),
                "prometheus.io/path": "/metrics",
            },
        },
        "spec": _spec(names, variant, settings),
    }


def _spec(names: Names, variant: Variant, settings: Environment) -> Document:
    options = settings.kubernetes
    named: Document = {}
    if options.service_account:
        named["serviceAccountName"] = options.service_account
    if options.pull_secret:
        named["imagePullSecrets"] = [{"name": options.pull_secret}]
    return named | {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        # The pause, the service's own drain, and then the longest answer that is under way.
        "terminationGracePeriodSeconds": 2 * options.drain_s + _LONGEST_ANSWER_S,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": _USER,
            "runAsGroup": _USER,
            "fsGroup": _USER,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "topologySpreadConstraints": [
            {
                "maxSkew": 1,
                "topologyKey": key,
                "whenUnsatisfiable": "ScheduleAnyway",
                "labelSelector": {"matchLabels": {INSTANCE: names.base, COMPONENT: variant.name}},
            }
            for key in ("topology.kubernetes.io/zone", "kubernetes.io/hostname")
        ],
        "containers": [container(variant, settings)],
        "volumes": _volumes(settings),
    }


def container(variant: Variant, settings: Environment, name: str = CONTAINER) -> Document:
    """Return the container of the service."""
    options = settings.kubernetes
    limits = {"memory": options.memory} | ({"cpu": options.cpu_limit} if options.cpu_limit else {})
    made: Document = {
        "name": name,
        "image": variant.image,
        "ports": [{"name": "http", "containerPort": PORT, "protocol": "TCP"}],
        "env": _variables(variant, settings),
        "resources": {"requests": {"cpu": options.cpu, "memory": options.memory}, "limits": limits},
        "startupProbe": _probe("/readyz", _STARTUP_PERIOD_S, max(1, round(settings.timeout_s / _STARTUP_PERIOD_S))),
        "readinessProbe": _probe("/readyz", 2, 2),
        "livenessProbe": _probe("/livez", 10, 3),
        # The pod goes on answering while the cluster takes it out of the Service, then it is told to end.
        "lifecycle": {
            "preStop": {"exec": {"command": ["python3", "-c", f"import time; time.sleep({options.drain_s})"]}}
        },
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}, {"name": "log", "mountPath": _LOG_FOLDER}],  # noqa: S108
    }
    if options.secret:
        made["envFrom"] = [{"secretRef": {"name": options.secret}}]
    return made


def _variables(variant: Variant, settings: Environment) -> list[dict[str, str]]:
    options = settings.kubernetes
    variables = {
        "MODEL_CI_VARIANT": variant.name,
        "MODEL_CI_PREDICTION_LOG": _LOG_FOLDER if options.prediction_log else "",
        "MODEL_CI_DRAIN_S": str(options.drain_s),
    }
    return [{"name": name, "value": value} for name, value in {**variables, **options.variables}.items()]


def _volumes(settings: Environment) -> list[Document]:
    claim = settings.kubernetes.prediction_log
    log: Document = {"persistentVolumeClaim": {"claimName": claim}} if claim else {"emptyDir": {}}
    return [{"name": "tmp", "emptyDir": {}}, {"name": "log", **log}]


def _probe(path: str, period_s: int, failures: int) -> Document:
    return {
        "httpGet": {"path": path, "port": "http"},
        "periodSeconds": period_s,
        "timeoutSeconds": 2,
        "failureThreshold": failures,
    }
