"""All objects of a deployment, in the order in which they are made, and as files for tools that apply them themselves."""

from collections.abc import Mapping, Sequence

from model_ci.config import Environment
from model_ci.targets.deployment import Deployment, Variant
from model_ci.targets.kubernetes import kserve, network, workload
from model_ci.targets.kubernetes.names import Names
from model_ci.targets.kubernetes.offer import Offer
from model_ci.targets.kubernetes.split import counts
from model_ci.types import Document

Manifest = Document


class Manifests:
    """What a deployment comes to on a cluster that offers what `offer` says."""

    def __init__(self, names: Names, settings: Environment, offer: Offer) -> None:
        self.names, self.settings, self.offer = names, settings, offer

    def all(self, desired: Deployment, live: Mapping[str, int] | None = None) -> list[Manifest]:
        """Return everything; `live` is how many pods the scaled variants have now, None when nobody knows."""
        return [*self.workloads(desired, live), *self.routing(desired)]

    def workloads(self, desired: Deployment, live: Mapping[str, int] | None = None) -> list[Manifest]:
        """Return what must be up before requests come."""
        if self.settings.kubernetes.output == "kserve":
            return []
        made = [network.policy(self.names, self.settings)]
        for variant in desired.variants:
            made += [
                workload.disruption_budget(self.names, variant, self.offer),
                workload.deployment(self.names, variant, self.settings, self.pods(desired, variant, live)),
                network.variant_service(self.names, variant.name),
            ]
        return made

    def routing(self, desired: Deployment) -> list[Manifest]:
        """Return what brings the requests to it, and scales it by them."""
        if self.settings.kubernetes.output == "kserve":
            return [kserve.inference_service(self.names, desired, self.settings, self.offer)]
        scaled = [variant for variant in desired.variants if self.scales(desired)]
        return [
            *(workload.autoscaler(self.names, variant, self.settings, self.offer) for variant in scaled),
            network.entrance(self.names, desired, self.settings),
            *network.routes(self.names, desired, self.settings, self.offer),
        ]

    def scales(self, desired: Deployment) -> bool:
        """Tell whether load decides how many pods there are; where their numbers are the weights it cannot."""
        shared = sum(variant.weight > 0 for variant in desired.variants) > 1
        by_numbers = network.routing(self.settings) == network.REPLICAS
        return self.settings.kubernetes.autoscaling.max_replicas is not None and not (shared and by_numbers)

    def pods(self, desired: Deployment, variant: Variant, live: Mapping[str, int] | None) -> int | None:
        """Return the number of pods to ask for; None leaves it to the autoscaler."""
        if not self.scales(desired):
            by_numbers = network.routing(self.settings) == network.REPLICAS
            return counts(desired, self.settings.kubernetes.most_pods)[variant.name] if by_numbers else variant.replicas
        if live is None:
            return None
        most = self.settings.kubernetes.autoscaling.max_replicas or variant.replicas
        return min(max(live.get(variant.name, 0), variant.replicas), most)


def files(manifests: Sequence[Manifest]) -> Mapping[str, str]:
    """Return a file an object, and the kustomization that names them all."""
    import yaml

    named = {
        f"{each['kind'].lower()}-{each['metadata']['name']}.yaml": yaml.safe_dump(each, sort_keys=False)
        for each in manifests
    }
    listed = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": sorted(named),
    }
    return {**named, "kustomization.yaml": yaml.safe_dump(listed, sort_keys=False)}
