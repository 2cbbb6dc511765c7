"""What really runs: read from the pods that are ready and from what shares the requests between them."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Final

from model_ci.frozen import dataclass
from model_ci.targets.deployment import CHALLENGER, CHAMPION, Deployment, Variant
from model_ci.targets.kubernetes.api import Cluster, Manifest, values
from model_ci.targets.kubernetes.names import COMPONENT, REPLICA, ROLE, SHARE, VARIANT, Names
from model_ci.targets.kubernetes.network import CANARY_WEIGHT
from model_ci.targets.kubernetes.split import shares
from model_ci.types import Document

# Kinds that a deployment consists of, in the order in which they are removed.
_KINDS: Final = (
    ("gateway.networking.k8s.io", "HTTPRoute"),
    ("networking.k8s.io", "Ingress"),
    ("serving.kserve.io", "InferenceService"),
    ("autoscaling", "HorizontalPodAutoscaler"),
    ("", "Service"),
    ("apps", "Deployment"),
    ("policy", "PodDisruptionBudget"),
    ("networking.k8s.io/v1", "NetworkPolicy"),
)
Key = tuple[str, str]


def key(manifest: Manifest) -> Key:
    """Identify an object within the namespace."""
    return manifest["kind"], manifest["metadata"]["name"]


@dataclass(frozen=True, kw_only=True)
class State:
    """All objects of an environment at one time."""

    objects: Mapping[Key, Manifest]
    pods: tuple[Manifest, ...]
    base: str

    @classmethod
    def read(cls, cluster: Cluster, names: Names) -> "State":
        """Ask the cluster."""
        existing = [
            each for version, kind in _versions(cluster) for each in cluster.find(version, kind, names.selector)
        ]
        pods = cluster.find("v1", "Pod", f"{names.selector},{ROLE}={REPLICA}")
        return cls(objects={key(each): each for each in existing}, pods=tuple(pods), base=names.base)

    def of(self, kind: str) -> list[Manifest]:
        """Return the objects of a kind."""
        return [each for (its, _), each in self.objects.items() if its == kind]

    def counts(self) -> dict[str, int]:
        """Return how many pods each variant's Deployment asks for."""
        return {_component(each): each["spec"].get("replicas", 1) for each in self.of("Deployment")}

    def ready(self, digest: str) -> list[Manifest]:
        """Return the pods that are ready and run an image."""
        up = (pod for pod in self.pods if _ready(pod))
        return [pod for pod in up if json.loads(values(pod, "metadata", "annotations", VARIANT))["digest"] == digest]

    def deployment(self, environment: str) -> Deployment | None:
        """Return what serves; None when nothing is behind the name that callers use."""
        served = self.objects.get(("InferenceService", self.base))
        if served:
            return _of_kserve(served)
        if ("Service", self.base) not in self.objects:
            return None
        weights = {
            name: weight
            for name, weight in self._weights().items()
            if ("Deployment", f"{self.base}-{name}") in self.objects
        }
        missing = 100 - sum(weights.values())
        if not weights:
            return None
        weights[max(weights, key=lambda name: weights[name])] += missing
        variants = (self._variant(name, weight) for name, weight in weights.items())
        return Deployment(environment=environment, variants=tuple(sorted(variants, key=lambda v: v.name != CHAMPION)))

    def _variant(self, name: str, weight: int) -> Variant:
        live = self.objects["Deployment", f"{self.base}-{name}"]
        running = self._running(live, name)
        return Variant(**running, weight=weight, replicas=self._replicas(live, name))

    def _running(self, live: Manifest, name: str) -> Document:
        """Return what most of the ready pods run; while none is ready, what they are meant to."""
        ready = [pod for pod in self.pods if _component(pod) == name and _ready(pod)]
        texts = Counter(values(pod, "metadata", "annotations", VARIANT) for pod in ready)
        meant = live["spec"]["template"]["metadata"]["annotations"][VARIANT]
        text = texts.most_common(1)[0][0] if texts else meant
        return {**json.loads(text), "name": name}

    def _replicas(self, live: Manifest, name: str) -> int:
        scaler = self.objects.get(("HorizontalPodAutoscaler", f"{self.base}-{name}"))
        if scaler:
            return int(scaler["spec"].get("minReplicas", 1))
        asked = _share(live)
        return int(asked["replicas"] if self._weighed() else live["spec"].get("replicas", 1))

    def _weighed(self) -> bool:
        """Tell whether the numbers of the pods are the weights."""
        selector = self.objects["Service", self.base]["spec"]["selector"]
        return COMPONENT not in selector

    def _weights(self) -> dict[str, int]:
        """Return the weights that are in force."""
        route = self.objects.get(("HTTPRoute", self.base))
        names = [_component(each) for each in self.of("Deployment")]
        if route:
            backends = route["spec"]["rules"][0]["backendRefs"]
            return {n: b.get("weight", 1) for n in names for b in backends if b["name"] == f"{self.base}-{n}"}
        canary = self.objects.get(("Ingress", f"{self.base}-{CHALLENGER}"))
        if canary:
            weight = int(canary["metadata"]["annotations"][CANARY_WEIGHT])
            return {CHAMPION: 100 - weight, CHALLENGER: weight}
        if not self._weighed():
            chosen = self.objects["Service", self.base]["spec"]["selector"][COMPONENT]
            return {name: 100 * (name == chosen) for name in names}
        return self._by_numbers()

    def _by_numbers(self) -> dict[str, int]:
        """Return the weights that were asked for, as long as the numbers of the pods are the ones made for them."""
        live = {_component(each): each for each in self.of("Deployment")}
        counts = {name: each["spec"].get("replicas", 1) for name, each in live.items()}
        asked = {name: int(_share(each)["weight"]) for name, each in live.items()}
        made = all(_share(each).get("pods") == counts[name] for name, each in live.items())
        return asked if made and sum(asked.values()) == 100 else dict(shares(counts))


def _versions(cluster: Cluster) -> Iterator[tuple[str, str]]:
    for group, kind in _KINDS:
        if group in ("", "apps", "networking.k8s.io/v1"):
            yield {"": "v1", "apps": "apps/v1"}.get(group, group), kind
        elif version := cluster.offer.version(group):
            yield version, kind


def _component(manifest: Manifest) -> str:
    return str(manifest["metadata"]["labels"].get(COMPONENT, ""))


def _share(live: Manifest) -> Document:
    return json.loads(values(live, "metadata", "annotations", SHARE) or '{"weight": 100, "replicas": 1}')  # type: ignore[no-any-return]


def _ready(pod: Manifest) -> bool:
    if values(pod, "metadata", "deletionTimestamp"):
        return False
    return any(
        each["type"] == "Ready" and each["status"] == "True" for each in values(pod, "status", "conditions") or ()
    )


def _of_kserve(live: Manifest) -> Deployment:
    """Return what was applied last, with the share that its newest revision has now."""
    recorded = Deployment.from_record(json.loads(live["metadata"]["annotations"][SHARE]))
    share = values(live, "spec", "predictor", "canaryTrafficPercent")
    if share is None or len(recorded.variants) == 1:
        return recorded
    weighed = (replace(v, weight=share if v.name == CHALLENGER else 100 - share) for v in recorded.variants)
    return replace(recorded, variants=tuple(weighed))
