"""What the objects of an environment are called, and the labels that they are found by."""

import json
from typing import Final

from model_ci.frozen import dataclass
from model_ci.targets import names
from model_ci.targets.deployment import Variant
from model_ci.types import Document

MANAGER: Final = "model-ci"  # of the fields that are applied
INSTANCE: Final = "app.kubernetes.io/instance"
COMPONENT: Final = "app.kubernetes.io/component"
ROLE: Final = "model-ci.role"
REPLICA: Final = "replica"
TRIAL: Final = "trial"
VARIANT: Final = "model-ci.variant"  # annotation: what a pod runs
SHARE: Final = "model-ci.share"  # annotation: the weight and the replicas that were asked for


@dataclass(frozen=True, kw_only=True)
class Names:
    """One environment of one model in a namespace; `base` names the Service that callers use."""

    base: str
    namespace: str

    @classmethod
    def of(cls, model: str, environment: str, namespace: str) -> "Names":
        """Name the objects."""
        return cls(base=names.service(model, environment), namespace=namespace)

    def variant(self, name: str) -> str:
        """Return the name of what belongs to a variant."""
        return f"{self.base}-{name}"

    @property
    def selector(self) -> str:
        """Return the label selector of all that is there."""
        return f"{INSTANCE}={self.base}"

    def pods(self, variant: str | None = None) -> dict[str, str]:
        """Return the labels that the replicas are selected by, of a variant or of all."""
        return {INSTANCE: self.base, ROLE: REPLICA} | ({COMPONENT: variant} if variant else {})

    def labels(self, variant: str | None = None) -> dict[str, str]:
        """Return the labels of an object."""
        named = {"app.kubernetes.io/name": "model", INSTANCE: self.base, "app.kubernetes.io/managed-by": MANAGER}
        return named | ({COMPONENT: variant} if variant else {})

    def metadata(self, name: str, variant: str | None = None, **annotations: str) -> Document:
        """Return an object's metadata."""
        made: Document = {"name": name, "namespace": self.namespace, "labels": self.labels(variant)}
        return made | ({"annotations": annotations} if annotations else {})


def described(variant: Variant) -> str:
    """Write down what a pod runs; the same for every weight, so that a new weight starts no new pods."""
    return json.dumps(
        {"name": variant.name, "image": variant.image, "digest": variant.digest, "version": variant.version,
         "run_id": variant.run_id},
        sort_keys=True,
    )  # fmt: skip
