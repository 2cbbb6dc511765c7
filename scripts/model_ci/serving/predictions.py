"""What a model answers."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Predictions:
    """For each row the label or number, and for a classifier the probability of each class where the model has them."""

    labels: "NDArray[Any]"  # n
    probabilities: "NDArray[Any] | None"  # n x classes

    @property
    def listed(self) -> list[Any]:
        """Return the labels as JSON has them."""
        return self.labels.tolist()  # type: ignore[no-any-return]
