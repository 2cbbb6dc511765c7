"""Whether pods come up, and if not, why: what Kubernetes says of them and what they printed."""

from collections.abc import Sequence
from typing import Final

from model_ci.targets.kubernetes.api import Cluster, Manifest, values

# Waiting for these is in vain.
_HOPELESS: Final = frozenset(
    ("ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "CreateContainerConfigError",
     "CreateContainerError", "RunContainerError", "CrashLoopBackOff")
)  # fmt: skip
_LOG_LINES: Final = 5


def ready(pod: Manifest) -> bool:
    """Tell whether a pod is ready to answer."""
    return any(
        each["type"] == "Ready" and each["status"] == "True" for each in values(pod, "status", "conditions") or ()
    )


def hopeless(cluster: Cluster, pods: Sequence[Manifest]) -> str | None:
    """Return why one of the pods will never be ready, None while all may be."""
    for pod in pods:
        for status in values(pod, "status", "containerStatuses") or ():
            waiting = values(status, "state", "waiting") or {}
            ended = values(status, "state", "terminated")
            if waiting.get("reason") in _HOPELESS:
                return _problem(cluster, pod, f"{waiting['reason']}: {waiting.get('message', '')}".rstrip(": "))
            if ended or status.get("restartCount", 0) > 0:
                code = (ended or values(status, "lastState", "terminated") or {}).get("exitCode", "?")
                return _problem(cluster, pod, f"it ended by itself ({code})")
        if values(pod, "status", "phase") == "Failed":
            return _problem(cluster, pod, str(values(pod, "status", "message") or "it failed"))
    return None


def late(cluster: Cluster, pods: Sequence[Manifest]) -> str:
    """Return what keeps the first of the pods that is not ready."""
    for pod in pods:
        if ready(pod):
            continue
        for condition in values(pod, "status", "conditions") or ():
            if condition["status"] == "False" and condition.get("message"):
                return _problem(cluster, pod, condition["message"])
        return _problem(cluster, pod, "it does not say why")
    return "there are fewer pods than there should be; see the events of the ReplicaSet, and the quota of the namespace"


def _problem(cluster: Cluster, pod: Manifest, why: str) -> str:
    printed = cluster.log(pod["metadata"]["name"], _LOG_LINES)
    output = " | ".join(line.strip() for line in printed.splitlines() if line.strip())
    return f"pod {pod['metadata']['name']}: {why}" + (f"; it said: {output}" if output else "")
