"""What a model answers, as it stands in its own order of classes."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from model_ci.frozen import dataclass

if TYPE_CHECKING:
    from model_ci.types import Array


@dataclass(frozen=True, kw_only=True)
class Answers:
    """Answers to n rows: the model's own labels or numbers, and the probabilities of its classes where it gives any."""

    labels: "Array"  # n
    probabilities: "Array | None"  # n x classes, in the model's order

    def drawn(self, index: Sequence[int]) -> "Answers":
        """Return the answers to some of the rows."""
        chances = None if self.probabilities is None else self.probabilities[index]
        return Answers(labels=self.labels[index], probabilities=chances)
