"""The one way to explain a model: exactly where its structure allows it, and by asking it where not."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from model_ci.explanation import answers, exact, sampled
from model_ci.explanation.attributions import Attributions
from model_ci.explanation.lineage import UnknownLineageError

if TYPE_CHECKING:
    import pandas as pd
    from sklearn.base import BaseEstimator

    from model_ci.types import Array, Label

BACKGROUND_ROWS: Final = 200


@dataclass(frozen=True, kw_only=True)
class Terms:
    """What is explained, and how exactly; `classes` are in the order of the probabilities, and none for a number.

    `positive` is the position of the class that is explained among two.
    """

    task: str
    classes: "Sequence[Label]"
    seed: int
    tolerance: float
    positive: int | None = None


def explain(
    model: "BaseEstimator",
    rows: "pd.DataFrame",
    background: "pd.DataFrame",
    terms: Terms,
) -> Attributions:
    """Attribute the model's output on `rows`, its input columns, to those columns.

    `background` are training rows with the same columns. When the model has to be asked, only the first rows are
    explained, as many as a bounded number of questions allows.
    """
    attributions = _of_last_class(model, rows, background, terms)
    return attributions.mirrored() if terms.positive == 0 else attributions


def _of_last_class(
    model: "BaseEstimator", rows: "pd.DataFrame", background: "pd.DataFrame", terms: Terms
) -> Attributions:
    why = "the model is no scikit-learn estimator"
    if hasattr(model, "get_params"):
        try:
            return exact.attribute(model, rows, background, terms.task, terms.tolerance)
        except (exact.UnexplainedError, UnknownLineageError) as error:
            why = str(error)
    some = rows.iloc[: sampled.affordable_rows(rows.shape[1])]
    scale = answers.scale(model, terms.task, terms.classes, some)

    def ask(asked: "pd.DataFrame") -> "Array":
        return answers.ask(model, terms.task, terms.classes, scale, asked)

    attributions = sampled.attribute(ask, some, background, terms.seed)
    return replace(attributions, scale=scale, note="; ".join(filter(None, [why, attributions.note])))


def background(training_rows: "pd.DataFrame", seed: int) -> "pd.DataFrame":
    """Draw the training rows that stand for a column whose value is not known."""
    return draw(training_rows, BACKGROUND_ROWS, seed)


def draw(rows: "pd.DataFrame", many: int, seed: int) -> "pd.DataFrame":
    """Draw at most `many` rows; the same rows and seed give the same."""
    return rows if len(rows) <= many else rows.sample(n=many, random_state=seed)
