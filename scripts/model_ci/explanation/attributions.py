"""What each input column adds to each output of each row."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from model_ci.types import Array


@dataclass(frozen=True, kw_only=True)
class Attributions:
    """Attributions of n rows, c columns and k outputs, with the outputs that they should add up to.

    k is the number of classes for several classes, and 1 otherwise: the number predicted, or the positive class.
    `scale` says in what the outputs are counted: output, probability, log-odds, margin or label.
    """

    explainer: str  # tree, linear or sampled
    scale: str
    columns: Sequence[str]
    values: "Array"  # n x c x k
    base: "Array"  # k
    outputs: "Array"  # n x k
    background: int = 0  # training rows that stand for a column unknown
    permutations: int = 0
    note: str | None = None

    def mirrored(self) -> "Attributions":
        """Return the same for the other of two classes."""
        whole = 1.0 if self.scale in ("probability", "label") else 0.0
        return replace(self, values=-self.values, base=whole - self.base, outputs=whole - self.outputs)

    @property
    def rows(self) -> int:
        """Return how many rows were explained."""
        return int(self.values.shape[0])

    @property
    def error(self) -> float:
        """Return by how much the sum of a row's attributions and the base misses its output, at worst."""
        import numpy as np

        missed = np.abs(self.values.sum(axis=1) + self.base - self.outputs)
        return float(missed.max()) if missed.size else float("nan")

    @property
    def largest(self) -> float:
        """Return the largest output there is, whatever its sign, that the error is compared with."""
        import numpy as np

        return float(np.abs(self.outputs).max()) if self.outputs.size else float("nan")

    def holds(self, tolerance: float) -> bool:
        """Tell whether the attributions add up, to within `tolerance` of the largest output; never when one is no number."""
        return self.error <= max(tolerance * self.largest, 1e-9)
