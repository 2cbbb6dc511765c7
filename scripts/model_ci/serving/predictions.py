"""What a model answers."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from model_ci.serving.types import Value

if TYPE_CHECKING:
    from model_ci.serving.types import Array


@dataclass(frozen=True, slots=True, kw_only=True)
class Predictions:
    """For each row the label or number, and for a classifier the probability of each class where the model has them."""

    labels: "Array"  # n
    probabilities: "Array | None"  # n x classes

    @property
    def listed(self) -> list[Value]:
        """Return the labels as JSON has them."""
        return self.labels.tolist()  # type: ignore[no-any-return]

    def parts(self, counts: Sequence[int]) -> "Iterator[Predictions]":
        """Yield the first of the rows, the next, and so on: as many as each count says."""
        begin = 0
        for count in counts:
            rows, begin = slice(begin, begin + count), begin + count
            chances = None if self.probabilities is None else self.probabilities[rows]
            yield Predictions(labels=self.labels[rows], probabilities=chances)

    def same(self, other: "Predictions") -> bool:
        """Tell whether both say the same to the bit."""
        import numpy as np

        pairs = ((self.labels, other.labels), (self.probabilities, other.probabilities))
        return all(a is b or (a is not None and b is not None and np.array_equal(a, b)) for a, b in pairs)


def one_column(values: "Array") -> "Array":
    """Return values of shape (rows, 1) as (rows,); any other shape is left for whoever checks it."""
    return values[:, 0] if values.ndim == 2 and values.shape[1] == 1 else values
