"""What a cluster offers: API groups with their versions, the newest that we speak chosen."""

from collections.abc import Mapping, Sequence
from typing import Final

from model_ci.frozen import dataclass

# Groups and their versions that we write, best first.
_SPOKEN: Final[Mapping[str, Sequence[str]]] = {
    "autoscaling": ("v2", "v2beta2", "v1"),
    "policy": ("v1", "v1beta1"),
    "networking.k8s.io": ("v1", "v1beta1"),
    "gateway.networking.k8s.io": ("v1", "v1beta1"),
    "serving.kserve.io": ("v1beta1",),
}
_CUSTOM_METRICS: Final = "custom.metrics.k8s.io"


@dataclass(frozen=True, kw_only=True)
class Offer:
    """The groups of a cluster, each with its versions."""

    groups: Mapping[str, Sequence[str]]

    @classmethod
    def newest(cls) -> "Offer":
        """Return what a cluster of today offers, for files that are written without one."""
        return cls(groups={**_SPOKEN, _CUSTOM_METRICS: ("v1beta2",)})

    def version(self, group: str) -> str | None:
        """Return `group/version` in the best version that both sides speak; None when there is none."""
        there = self.groups.get(group, ())
        return next((f"{group}/{version}" for version in _SPOKEN[group] if version in there), None)

    @property
    def custom_metrics(self) -> bool:
        """Whether pods can be scaled by metrics of their own."""
        return bool(self.groups.get(_CUSTOM_METRICS)) and self.version("autoscaling") != "autoscaling/v1"
