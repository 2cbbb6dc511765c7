"""Whether a metric can tell a good model from a bad one: by its task, and by the classes that the rows have."""

import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from model_ci.frozen import dataclass
from model_ci.gates.outputs import Outputs, class_count, class_name
from model_ci.gates.weighted import Weighted

if TYPE_CHECKING:
    from model_ci.types import Array

_OF_EVERY_CLASS: Final = ("balanced_accuracy", "roc_auc", "average_precision")
_OF_BOTH_CLASSES: Final = (
    *("f1", "precision", "jaccard", "matthews_corrcoef", "d2_brier_score", "d2_log_loss_score"),
    *("positive_likelihood_ratio", "negative_likelihood_ratio"),
)


class NoValueError(ValueError):
    """A metric that has no value on some rows; the message says why."""


@dataclass(frozen=True, kw_only=True)
class NeededClasses:
    """The classes that rows must have for a metric to mean something: every one, or of two the positive one alone."""

    every: bool

    def of(self, outputs: Outputs) -> "Array":
        """Return their positions."""
        import numpy as np

        return np.arange(class_count(outputs)) if self.every else np.array([1])

    def absent(self, outputs: Outputs) -> str | None:
        """Return which class no row has; None where none is absent."""
        needed = self.of(outputs)
        lacking = sorted(set(needed.tolist()) - set(outputs.truth.tolist()))
        if not lacking:
            return None
        return f"means nothing on rows without {class_name(lacking[0], class_count(outputs))}"

    def only(self, outputs: Outputs, values: Weighted) -> Weighted:
        """Return the metric of resamples, NaN for those that lack one of the classes."""
        import numpy as np

        members = (outputs.truth[:, None] == self.of(outputs)[None, :]).astype(float)

        def known(weights: "Array") -> "Array":
            return np.where((weights @ members > 0).all(axis=1), values(weights), np.nan)

        return known


def needed_classes(name: str, task: str) -> NeededClasses | None:
    """Return what scikit-learn's metric needs; None where it means something on rows of any classes."""
    if task == "regression":
        return None
    if name.startswith(_OF_EVERY_CLASS) or name.endswith("_macro") or (task == "binary" and name in _OF_BOTH_CLASSES):
        return NeededClasses(every=True)
    return NeededClasses(every=False) if (name, task) == ("recall", "binary") else None


def one_class(outputs: Outputs) -> str | None:
    """Return why no metric of classes means anything on rows of a single class; None where there are several."""
    import numpy as np

    present = np.unique(outputs.truth)
    if len(present) > 1:
        return None
    only = class_name(int(present[0]), class_count(outputs)) if len(present) else "no class"
    return f"means nothing on rows of one class: all are of {only}, and a constant answer would be right"


def unfit(function: Callable[[Outputs], float], greater_is_better: bool | None, task: str) -> str | None:
    """Return why a metric does not judge models of this task; None where it does. It is tried on a few made-up rows."""
    good, bad = _made_up(task)
    try:
        with warnings.catch_warnings(action="ignore"):
            best, worst = function(good), function(bad)
    except Exception as error:  # noqa: BLE001 - whatever it raises, it has no value for this task
        return f"cannot be computed for {task}: {str(error).splitlines()[0]}"
    if best == worst:
        return f"is {best:g} for {task} whatever the model answers; choose another metric"
    if greater_is_better is not None and (best > worst) != greater_is_better:
        return f"is better for worse answers to {task}; choose another metric"
    return None


def _made_up(task: str) -> tuple[Outputs, Outputs]:
    """Return the answers of a model that is right but for one row of each class, and of one that is wrong but for one."""
    import numpy as np

    if task == "regression":
        numbers = np.arange(1.0, 13.0)
        return Outputs(truth=numbers, labels=numbers + 0.1, probabilities=None), Outputs(
            truth=numbers, labels=numbers[::-1].copy(), probabilities=None
        )
    classes = 2 if task == "binary" else 3
    truth = np.arange(12) % classes
    nearly, wrong = truth.copy(), (truth + 1) % classes
    nearly[:classes], wrong[-classes:] = wrong[:classes], truth[-classes:]
    return _answers(truth, nearly, classes), _answers(truth, wrong, classes)


def _answers(truth: "Array", labels: "Array", classes: int) -> Outputs:
    import numpy as np

    ramp = np.linspace(0.5, 0.1, classes)  # the label is the likeliest, and the class before it the least likely
    probabilities = np.stack([ramp[(np.arange(classes) - label) % classes] for label in labels])
    return Outputs(truth=truth, labels=labels, probabilities=probabilities / probabilities.sum(axis=1, keepdims=True))
