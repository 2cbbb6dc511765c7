"""From what runs to what is wanted, and back when what is new will not do.

A new variant is tried in a pod of its own first. Then the Deployments roll, never with fewer ready pods than before;
then the requests are shared anew; last what is not wanted any more is removed. Whatever fails before that last step,
the objects become again what they were.
"""

import time
from collections.abc import Callable, Sequence
from typing import Any, Final

from model_ci.config import Environment
from model_ci.errors import ServiceError
from model_ci.targets import names as calling
from model_ci.targets.deployment import Deployment, RolloutError, Trial, Variant
from model_ci.targets.kubernetes import health, trial
from model_ci.targets.kubernetes.api import Cluster, Manifest, values
from model_ci.targets.kubernetes.manifests import Manifests
from model_ci.targets.kubernetes.names import VARIANT, Names, described
from model_ci.targets.kubernetes.ownership import applied
from model_ci.targets.kubernetes.state import State, key

_POLL_S: Final = 0.5
_SPARE_S: Final = 15.0  # for Kubernetes to notice its own deadline


class Rollout:
    """One way from what runs to what is wanted."""

    def __init__(
        self, cluster: Cluster, names: Names, settings: Environment, manifests: Manifests, tries: Trial | None
    ) -> None:
        self.cluster, self.names, self.settings = cluster, names, settings
        self.manifests, self.tries = manifests, tries

    def go(self, desired: Deployment, before: State, say: Callable[[str], None]) -> None:
        """Do it; raise RolloutError, with everything as it was, when what is new will not do."""
        workloads = self.manifests.workloads(desired, before.counts())
        routing = self.manifests.routing(desired)
        surplus = [each for its, each in before.objects.items() if its not in {key(m) for m in (*workloads, *routing)}]
        touched: list[Manifest] = []
        for manifest in (*workloads, *routing):
            self.cluster.apply(manifest, dry_run=True)  # what the cluster would refuse, before anything changes
        try:
            self._try(desired, workloads, before, say)
            for each in surplus:
                if each["kind"] == "HorizontalPodAutoscaler":  # it would work against the new numbers
                    self._remove(each, touched)
            self._apply(workloads, touched)
            for variant in desired.variants:
                self._until_rolled_out(variant, say)
            self._apply(routing, touched)
            self._until_served(desired, say)
        except BaseException as error:
            self._undo(touched, before, say)
            if isinstance(error, ServiceError) and touched:
                raise RolloutError(*error.problems) from None
            raise
        say(f"serves: {', '.join(f'{variant.name} {variant.weight} %' for variant in desired.variants)}")
        for each in surplus:
            say(f"removes {each['kind']} {each['metadata']['name']}")
            self.cluster.delete(each)

    def _try(
        self, desired: Deployment, workloads: Sequence[Manifest], before: State, say: Callable[[str], None]
    ) -> None:
        """Try what is new or has new settings."""
        named = {each["metadata"]["name"]: each for each in workloads if each["kind"] == "Deployment"}
        tried = set()
        for variant in desired.variants:
            manifest = named.get(self.names.variant(variant.name))
            if self.tries and variant.digest not in tried and self._starts_pods(variant, manifest, before):
                tried.add(variant.digest)
                say(f"tries {variant.name}, {calling.version(variant)}")
                trial.hold(self.cluster, self.names, self.settings, variant, self.tries)

    def _starts_pods(self, variant: Variant, manifest: Manifest | None, before: State) -> bool:
        """Tell whether there will be pods unlike those that answer now."""
        live = before.objects.get(key(manifest)) if manifest else None
        if (
            manifest is None
            or live is None
            or not any(health.ready(each) and _of(each, variant) for each in before.pods)
        ):
            return True
        then = self.cluster.apply(manifest, dry_run=True)
        return bool(then["spec"]["template"] != live["spec"]["template"])

    def _apply(self, manifests: Sequence[Manifest], touched: list[Manifest]) -> None:
        for manifest in manifests:
            touched.append(manifest)
            self.cluster.apply(manifest)

    def _remove(self, manifest: Manifest, touched: list[Manifest]) -> None:
        touched.append(manifest)
        self.cluster.delete(manifest)

    def _until_rolled_out(self, variant: Variant, say: Callable[[str], None]) -> None:
        if self.settings.kubernetes.output == "kserve":
            return
        name = self.names.variant(variant.name)
        say(f"rolls out {variant.name}, {calling.version(variant)}")
        deadline = time.monotonic() + self.settings.timeout_s + _SPARE_S
        while not _rolled_out(existing := self._deployment(name)):
            pods = [each for each in self._pods(variant.name) if _of(each, variant)]
            if why := health.hopeless(self.cluster, pods):
                raise RolloutError(f"kubernetes: {calling.version(variant)} does not come up: {why}")
            if _out_of_time(existing) or time.monotonic() > deadline:
                why = health.late(self.cluster, pods)
                raise RolloutError(
                    f"kubernetes: {calling.version(variant)} was not rolled out within {self.settings.timeout_s:g} s: {why}"
                )
            time.sleep(_POLL_S)

    def _until_served(self, desired: Deployment, say: Callable[[str], None]) -> None:
        """Wait until KServe says that the newest revision is ready; elsewhere ready pods are all there is to wait for."""
        if self.settings.kubernetes.output != "kserve":
            return
        version = self.manifests.offer.version("serving.kserve.io") or ""
        say(f"waits for InferenceService {self.names.base}")
        deadline = time.monotonic() + self.settings.timeout_s
        while not _served(existing := self.cluster.get(version, "InferenceService", self.names.base) or {}):
            if time.monotonic() > deadline:
                conditions = [
                    c.get("message") or c["type"]
                    for c in values(existing, "status", "conditions") or ()
                    if c["status"] != "True"
                ]
                why = "; ".join(conditions) or "KServe has said nothing of it; see that its controller runs"
                raise RolloutError(
                    f"kubernetes: InferenceService {self.names.base} was not ready within {self.settings.timeout_s:g} s: {why}"
                )
            time.sleep(_POLL_S)

    def _undo(self, touched: Sequence[Manifest], before: State, say: Callable[[str], None]) -> None:
        """Apply again what was applied before, and delete what was not there; an error here is told, not raised."""
        for manifest in reversed(touched):
            former = before.objects.get(key(manifest))
            try:
                if former is not None:
                    self.cluster.apply(applied(former))
                else:
                    self.cluster.delete(manifest)
            except ServiceError as error:
                say(f"could not restore {manifest['kind']} {manifest['metadata']['name']}: {error}")
        if touched:
            say("restored what ran before" if before.objects else "removed what was begun")

    def _deployment(self, name: str) -> Manifest:
        existing = self.cluster.get("apps/v1", "Deployment", name)
        if existing is None:
            raise RolloutError(f"kubernetes: Deployment {name} was deleted while it was rolled out; run this again")
        return existing

    def _pods(self, variant: str) -> list[Manifest]:
        labels = ",".join(f"{name}={value}" for name, value in self.names.pods(variant).items())
        return self.cluster.find("v1", "Pod", labels)


def _of(live: Manifest, variant: Variant) -> bool:
    """Tell whether a pod, not one that is ending, runs a variant's version."""
    mine = values(live, "metadata", "annotations", VARIANT) == described(variant)
    return mine and not values(live, "metadata", "deletionTimestamp")


def _rolled_out(live: Manifest) -> bool:
    """Tell whether all pods are of the newest template and available, and none is left of an older one."""
    status, many = live.get("status", {}), live["spec"].get("replicas", 1)
    seen = status.get("observedGeneration", 0) >= live["metadata"]["generation"]
    numbers = [status.get(name, 0) for name in ("replicas", "updatedReplicas", "availableReplicas")]
    return bool(seen) and numbers == [many] * 3


def _out_of_time(live: Manifest) -> bool:
    conditions: Any = values(live, "status", "conditions") or ()
    seen = values(live, "status", "observedGeneration") or 0
    late = any(each.get("reason") == "ProgressDeadlineExceeded" for each in conditions)
    return late and seen >= live["metadata"]["generation"]


def _served(live: Manifest) -> bool:
    seen = (values(live, "status", "observedGeneration") or 0) >= (values(live, "metadata", "generation") or 1)
    conditions: Any = values(live, "status", "conditions") or ()
    return seen and any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)
