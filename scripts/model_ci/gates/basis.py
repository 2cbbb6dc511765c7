"""What a metric rests on: the rows without which it has no value, and what each row adds to it."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from model_ci.frozen import dataclass
from model_ci.gates.outputs import Outputs, class_count, class_name

if TYPE_CHECKING:
    from model_ci.types import Array

Groups = Callable[[Outputs], "Mapping[str, Array]"]
_OF_ROWS: Final = ("accuracy", "top_k_accuracy")
_OF_POSITIVES: Final = ("recall",)
_OF_PREDICTED: Final = ("precision",)
_OF_BOTH: Final = ("f1", "jaccard")


@dataclass(frozen=True, kw_only=True)
class Basis:
    """The kinds of rows that a metric rests on; it is as sure as the rarest of them lets it be.

    `influence` is what each row adds to the metric, up to a constant, where it is a mean of rows, or near enough. `hits` are the
    rows that a share counts, and those among them that are right; None where the metric is no such share. `bounded`: its values
    are from 0 to 1.
    """

    groups: Groups
    influence: "Callable[[Outputs], Array | None]" = lambda _: None
    hits: "Callable[[Outputs], tuple[Array, Array]] | None" = None
    bounded: bool = False

    def reach(self, influences: "Sequence[Array | None]") -> float | None:
        """Return by how much all rows together may change the metric: the range of what rows add, or 1 of a bounded one."""
        import numpy as np

        known = [influence for influence in influences if influence is not None]
        if known:
            return float(np.max(known) - np.min(known))
        return 1.0 if self.bounded else None

    def support(self, sides: Sequence[Outputs], blocks: "Array | None") -> tuple[int, str]:
        """Return how many independent rows, or blocks, of the rarest kind there are, and what they are."""
        kinds = [
            (_units(rows, blocks), name if blocks is None else f"blocks with {name}")
            for side in sides
            for name, rows in self.groups(side).items()
        ]
        return min(kinds, key=lambda kind: kind[0])


def basis(name: str, task: str, influence: "Callable[[Outputs], Array | None]") -> Basis:
    """Return what a metric of this name rests on. Of one that is not known, each class of a binary task counts."""
    if task == "regression":
        return Basis(groups=_all, influence=influence)
    if name in _OF_ROWS or (task != "binary" and not name.startswith(_OF_CLASSES) and not name.endswith("_macro")):
        return Basis(groups=_all, influence=influence, hits=_right if name == "accuracy" else None)
    if task != "binary":
        return Basis(groups=_predicted_classes if name.startswith("precision") else _classes, influence=influence)
    if name in _OF_POSITIVES:
        return Basis(groups=_positives, hits=lambda o: (o.truth == 1, o.labels == 1))
    if name in _OF_PREDICTED:
        return Basis(groups=_predicted, hits=lambda o: (o.labels == 1, o.truth == 1))
    if name in _OF_BOTH:
        return Basis(groups=lambda o: {**_positives(o), **_predicted(o)})
    return Basis(groups=_classes, influence=influence, bounded=name in _OF_CLASSES)


_OF_CLASSES: Final = ("balanced_accuracy", "roc_auc", "average_precision")


def _units(rows: "Array", blocks: "Array | None") -> int:
    return int(rows.sum()) if blocks is None else len(set(blocks[rows].tolist()))


def _all(outputs: Outputs) -> "Mapping[str, Array]":
    import numpy as np

    return {"rows": np.ones(len(outputs.truth), dtype=bool)}


def _right(outputs: Outputs) -> "tuple[Array, Array]":
    return _all(outputs)["rows"], outputs.truth == outputs.labels


def _positives(outputs: Outputs) -> "Mapping[str, Array]":
    return {"rows of the positive class": outputs.truth == 1}


def _predicted(outputs: Outputs) -> "Mapping[str, Array]":
    return {"rows predicted positive": outputs.labels == 1}


def _classes(outputs: Outputs) -> "Mapping[str, Array]":
    many = class_count(outputs)
    return {f"rows of {class_name(k, many)}": outputs.truth == k for k in range(many)}


def _predicted_classes(outputs: Outputs) -> "Mapping[str, Array]":
    many = class_count(outputs)
    return {f"rows predicted {class_name(k, many)}": outputs.labels == k for k in range(many)}
