"""Kubernetes: a Deployment a variant, or a KServe InferenceService, by server-side apply on whatever the cluster offers."""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Final

from model_ci import web
from model_ci.config import Config, Environment
from model_ci.errors import ConfigError, ServiceError
from model_ci.targets.deployment import Ask, Deployment, Trial, Variant
from model_ci.targets.kubernetes import lease, network
from model_ci.targets.kubernetes.api import Cluster, Manifest, values
from model_ci.targets.kubernetes.manifests import Manifests, files
from model_ci.targets.kubernetes.names import Names
from model_ci.targets.kubernetes.offer import Offer
from model_ci.targets.kubernetes.ownership import differences
from model_ci.targets.kubernetes.pod import PORT
from model_ci.targets.kubernetes.rollout import Rollout
from model_ci.targets.kubernetes.split import counts, shares
from model_ci.targets.kubernetes.state import State, key

_REACHED_WITHIN_S: Final = 60.0
_MANIFEST: Final = "/srv/manifest.json"


def open(  # noqa: A001 - each target has it
    config: Config, environment: str, settings: Environment, trial: Trial | None
) -> "KubernetesTarget":
    """Return the environment on the cluster of KUBECONFIG."""
    options = settings.kubernetes
    names = Names.of(config.model.name, environment, options.namespace)
    return KubernetesTarget(Cluster(options.context, options.namespace), names, environment, settings, trial)


class KubernetesTarget:
    """One environment in a namespace; what runs is read from its objects and its pods."""

    def __init__(
        self, cluster: Cluster, names: Names, environment: str, settings: Environment, trial: Trial | None
    ) -> None:
        self.cluster, self.names = cluster, names
        self.environment, self.settings, self.trial = environment, settings, trial

    def current(self) -> Deployment | None:
        """Return what gets requests now; None when nothing does."""
        return State.read(self.cluster, self.names).deployment(self.environment)

    def plan(self, desired: Deployment) -> Sequence[str]:
        """Say what apply would do, as the API server finds it in a dry run."""
        self._require_offer()
        state = State.read(self.cluster, self.names)
        manifests = self._manifests().all(desired, state.counts())
        steps = [step for manifest in manifests for step in self._step(manifest, state)]
        kept = {key(manifest) for manifest in manifests}
        steps += [f"delete {kind} {name}" for kind, name in state.objects if (kind, name) not in kept]
        return [*steps, *self._remarks(desired)] if steps else []

    def apply(self, desired: Deployment, say: Callable[[str], None]) -> None:
        """Try what is new, roll it out, share the requests anew, and remove the rest; on failure restore what was."""
        self._require_offer()
        for remark in self._remarks(desired):
            say(remark)
        before = State.read(self.cluster, self.names)
        Rollout(self.cluster, self.names, self.settings, self._manifests(), self.trial).go(desired, before, say)
        if ("Service", self.names.base) not in before.objects:
            self._until_reached(say)

    def address(self) -> str | None:
        """Return where callers find the service, where the configuration or the load balancer tells."""
        options = self.settings.kubernetes
        if options.address:
            return options.address.rstrip("/")
        existing = (
            self.cluster.get("v1", "Service", self.names.base) if options.service_type == "LoadBalancer" else None
        )
        for entry in values(existing or {}, "status", "loadBalancer", "ingress") or ():
            return f"http://{entry.get('hostname') or entry['ip']}"
        return None

    def asking(self, deployment: Deployment) -> Ask | None:
        """Return what asks a ready pod of the largest variant, through the API server."""
        largest = max(deployment.variants, key=lambda variant: variant.weight)
        ready = State.read(self.cluster, self.names).ready(largest.digest)
        if not ready:
            return None
        pod = ready[0]["metadata"]["name"]
        return lambda path, body: self.cluster.proxied(pod, PORT, path, body)

    def lock(self, owner: str) -> AbstractContextManager[None]:
        """Hold the environment's Lease."""
        return lease.held(self.cluster, self.names, owner)

    def remove(self) -> None:
        """Delete all objects of the environment."""
        for manifest in State.read(self.cluster, self.names).objects.values():
            self.cluster.delete(manifest)

    def render(self, desired: Deployment) -> Mapping[str, str]:
        """Return each object as a file of its own, for a cluster of today; no cluster is asked."""
        return files(Manifests(self.names, self.settings, Offer.newest()).all(desired))

    def _until_reached(self, say: Callable[[str], None]) -> None:
        """Wait until a new address answers: the nodes and the balancer learn of it a moment after the API server."""
        address = self.address()
        deadline = time.monotonic() + min(_REACHED_WITHIN_S, self.settings.timeout_s)
        while address and not _answers(address):
            if time.monotonic() > deadline:
                say(f"{address} does not answer yet, though the pods are ready")
                return
            time.sleep(0.5)

    def manifest(self, variant: Variant) -> bytes | None:
        """Return the manifest inside a variant's image, None when the variant does not run."""
        state = State.read(self.cluster, self.names)
        for each in state.ready(variant.digest):
            container = each["spec"]["containers"][0]["name"]
            return self.cluster.file(each["metadata"]["name"], container, _MANIFEST)
        return None

    def _manifests(self) -> Manifests:
        return Manifests(self.names, self.settings, self.cluster.offer)

    def _step(self, manifest: Manifest, state: State) -> Sequence[str]:
        kind, name = key(manifest)
        live = state.objects.get((kind, name))
        if live is None:
            return [f"create {kind} {name}"]
        then = self.cluster.apply(manifest, dry_run=True)
        changes = list(differences(_comparable(live), _comparable(then)))
        return [f"change {kind} {name}: {change}" for change in changes]

    def _remarks(self, desired: Deployment) -> Sequence[str]:
        """Say where what is asked for is met only nearly, or not at all."""
        scaling, remarks = self.settings.kubernetes.autoscaling, []
        manifests = self._manifests()
        takers = {variant.name for variant in desired.variants if variant.weight}
        if network.routing(self.settings) == network.REPLICAS and len(takers) > 1:
            pods = {
                name: many
                for name, many in counts(desired, self.settings.kubernetes.most_pods).items()
                if name in takers
            }
            real = ", ".join(f"{name} {share} % by {pods[name]} pods" for name, share in shares(pods).items())
            remarks.append(f"the numbers of the pods share the requests: {real}")
        if scaling.max_replicas is not None and not manifests.scales(desired):
            remarks.append("nothing is scaled by load while the numbers of the pods are the weights")
        if (
            scaling.max_replicas is not None
            and scaling.requests_per_second is not None
            and not self.cluster.offer.custom_metrics
        ):
            remarks.append("the cluster serves no custom metrics: the cpu alone decides how many pods there are")
        return remarks

    def _require_offer(self) -> None:
        """Refuse what needs a kind that the cluster does not have."""
        options = self.settings.kubernetes
        needed = {"gateway.networking.k8s.io": network.routing(self.settings) == network.GATEWAY}
        needed["serving.kserve.io"] = options.output == "kserve"
        for group, need in needed.items():
            if need and not self.cluster.offer.version(group):
                raise ConfigError(
                    f"kubernetes: the cluster has no {group}; install it, or choose another routing or output "
                    f"in deploy.environments.{self.environment}.kubernetes"
                )


def _answers(address: str) -> bool:
    try:
        return web.Client(tries=1, timeout_s=5).ask("GET", f"{address}/readyz", {}).status == 200
    except ServiceError:
        return False


def _comparable(manifest: Manifest) -> Manifest:
    """Return what an object says of itself, without what the cluster notes of it."""
    noted = ("managedFields", "resourceVersion", "generation", "creationTimestamp", "uid", "selfLink")
    metadata = {name: value for name, value in manifest["metadata"].items() if name not in noted}
    return {key: value for key, value in manifest.items() if key != "status"} | {"metadata": metadata}
