"""Whether a model is too good to be true: columns that give away the target put all rows in the right order."""

import math
from typing import TYPE_CHECKING, Final

from model_ci.gates.outputs import Outputs

if TYPE_CHECKING:
    from model_ci.types import Array

_MOST_ROWS: Final = 20_000  # more would not make the share any surer


def share_in_order(outputs: Outputs, task: str) -> float | None:
    """Return the share of pairs of rows with different truths that the answers put in the right order, ties counted half.

    For two classes this is the area under the ROC curve, for several the mean of one class against the others, for numbers the
    concordance index. None where there is no such pair, or an answer is no number.
    """
    import numpy as np

    few = slice(None, None, max(1, len(outputs.truth) // _MOST_ROWS))
    truth, labels = outputs.truth[few], outputs.labels[few]
    answers = labels if outputs.probabilities is None else outputs.probabilities[few]
    if not np.isfinite(answers).all() or len(np.unique(truth)) < 2:
        return None
    if task == "regression":
        return _concordance(truth, labels)
    of_class = {k: labels == k if answers.ndim == 1 else answers[:, k] for k in np.unique(truth) if _known(k, answers)}
    if task == "binary":
        of_class.pop(0, None)
    shares = [_area(truth == k, scores) for k, scores in of_class.items()]
    return math.fsum(shares) / len(shares) if shares else None


def _known(position: int, answers: "Array") -> bool:
    return answers.ndim == 1 or position < answers.shape[1]


def _area(truth: "Array", scores: "Array") -> float:
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(truth, scores))


def _concordance(truth: "Array", predicted: "Array") -> float:
    """Turn Kendall's tau-b, which leaves out the ties of both sides, into the share of pairs with different truths."""
    from scipy.stats import kendalltau

    if predicted.min() == predicted.max():
        return 0.5
    return 0.5 + float(kendalltau(truth, predicted).statistic) * math.sqrt(_untied(predicted) / _untied(truth)) / 2


def _untied(values: "Array") -> float:
    import numpy as np

    counts = np.unique(values, return_counts=True)[1].astype(float)
    return float(len(values) * (len(values) - 1) - (counts * (counts - 1)).sum())
