"""What a model said, and what it scored: the values that metrics and gates hand to each other."""

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from model_ci.frozen import dataclass

if TYPE_CHECKING:
    from model_ci.types import Array

_SAME: Final = 1e-9  # as the answers to the probe


def read_only(array: "Array") -> "Array":
    """Return a copy that cannot be written into; a view could be made writable again."""
    copy = array.copy()
    copy.setflags(write=False)
    return copy


@dataclass(frozen=True, kw_only=True)
class Outputs:
    """What a model said of n rows, beside the truth.

    For classes, `truth` and `labels` are whole numbers, the positions in the sorted list of classes, and
    `probabilities` is (n, classes) or None when the model gives none; for numbers, `labels` are the predictions.
    """

    truth: "Array"
    labels: "Array"
    probabilities: "Array | None"

    def frozen(self) -> "Outputs":
        """Return the same in arrays of their own, which nobody can write into."""
        probabilities = None if self.probabilities is None else read_only(self.probabilities)
        return replace(self, truth=read_only(self.truth), labels=read_only(self.labels), probabilities=probabilities)

    def drawn(self, index: "Array") -> "Outputs":
        """Return some of the rows, each as often as `index` names it."""
        probabilities = None if self.probabilities is None else self.probabilities[index]
        return replace(self, truth=self.truth[index], labels=self.labels[index], probabilities=probabilities)

    def same_as(self, other: "Outputs") -> bool:
        """Whether another model gives each of these rows the same numbers within 1e-9: rows cannot tell the two apart.

        Labels of classes alone are no such numbers: different models often agree on them.
        """
        import numpy as np

        if not np.array_equal(self.labels, other.labels) and self.labels.dtype.kind != "f":
            return False
        mine, theirs = (
            (self.labels, other.labels) if self.probabilities is None else (self.probabilities, other.probabilities)
        )
        if theirs is None or mine.shape != theirs.shape or mine.dtype.kind != "f" or theirs.dtype.kind != "f":
            return False
        return bool(np.allclose(mine, theirs, rtol=_SAME, atol=_SAME))


@dataclass(frozen=True, kw_only=True)
class Scores:
    """One model's metrics; where a value is None, `reasons` tells why.

    `incomparable` says why no other model is compared with this one on the rows, although it could answer.
    """

    values: Mapping[str, float | None]
    reasons: Mapping[str, str]
    incomparable: str | None = None


def class_count(outputs: Outputs) -> int:
    """Return how many classes there are: those that the model has a probability of, or that truth and labels name."""
    import numpy as np

    known = 2 if outputs.probabilities is None else int(outputs.probabilities.shape[1])
    named = (np.nan_to_num(positions).max(initial=0) for positions in (outputs.truth, outputs.labels))
    return max(known, *(int(highest) + 1 for highest in named))


def class_name(position: int, classes: int) -> str:
    """Return what a message calls a class."""
    if classes == 2:
        return "the positive class" if position else "the negative class"
    return f"class {position + 1} of {classes}"
