"""A loaded model, asked in one way whatever its flavour."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import field
from pathlib import Path
from typing import TYPE_CHECKING

from model_ci.data import categories
from model_ci.data.categories import Categories
from model_ci.errors import ConfigError, UserCodeError
from model_ci.frozen import dataclass
from model_ci.gates.outputs import Outputs
from model_ci.model import probe, saved
from model_ci.model.answers import Answers
from model_ci.serving import classes as naming
from model_ci.types import Label

if TYPE_CHECKING:
    import pandas as pd
    from sklearn.base import BaseEstimator

    from model_ci.types import Array, Series


@dataclass(frozen=True, kw_only=True)
class Predictor:
    """A loaded model that answers in one way, whatever its flavour.

    `classes` are the target's values in the order of the probabilities' columns; empty for regression. `positive` is
    the declared positive class of a binary task, None for the default.
    """

    model: "BaseEstimator"
    columns: Sequence[str]
    classes: Sequence[Label]
    positive: Label | None = None
    categories: Mapping[str, Categories] = field(default_factory=dict)

    def outputs(self, frame: "pd.DataFrame", target: str, task: str) -> Outputs:
        """Ask the model for every row of `frame`, and return its answers as metrics take them."""
        return outputs(self.answers(frame), frame[target], self.classes, task, self.positive)

    def answers(self, frame: "pd.DataFrame") -> Answers:
        """Ask the model for labels and probabilities.

        A model without predict_proba whose numbers are no classes answers with probabilities; its label is the class of
        the highest one.
        """
        import numpy as np

        answered = self.predict(frame)
        if hasattr(self.model, "predict_proba"):
            with warnings.catch_warnings(action="ignore"):
                chances = np.asarray(self.model.predict_proba(self._given(frame)), dtype=float)
            return self._checked(Answers(labels=answered.ravel(), probabilities=chances), len(frame))
        if self.classes and answered.dtype.kind == "f":
            given = self._as_probabilities(answered, len(frame))
            if given is not None:
                return Answers(labels=np.asarray(self.classes)[given.argmax(axis=1)], probabilities=given)
        return self._checked(Answers(labels=answered.ravel(), probabilities=None), len(frame))

    def predict(self, frame: "pd.DataFrame") -> "Array":
        """Return the answer of the model's own `predict`."""
        import numpy as np

        missing = [c for c in self.columns if c not in frame.columns]
        if missing:
            raise ConfigError(f"data: the model needs the columns {', '.join(missing)}, which the data no longer has")
        with warnings.catch_warnings(action="ignore"):
            return np.asarray(self.model.predict(self._given(frame)))

    def _given(self, frame: "pd.DataFrame") -> "pd.DataFrame":
        """Return the columns that the model takes, of the types that it was trained on."""
        return categories.apply(frame[list(self.columns)], self.categories)

    def _checked(self, answers: Answers, rows: int) -> Answers:
        """Return answers of the right shape; raise UserCodeError for others."""
        if len(answers.labels) != rows:
            raise UserCodeError(f"the model answers {len(answers.labels)} times for {rows} rows; answer each row once")
        chances, classes = answers.probabilities, len(self.classes)
        if chances is not None and chances.shape != (rows, classes or chances.shape[-1]):
            shape = " x ".join(map(str, chances.shape))
            raise UserCodeError(
                f"predict_proba gives {shape} probabilities for {rows} rows and {classes} classes; give each row one of each"
            )
        return answers

    def _as_probabilities(self, answered: "Array", rows: int) -> "Array | None":
        import numpy as np

        if answered.ndim == 2 and answered.shape[1] == len(self.classes):
            return answered.astype(float)
        flat = answered.ravel()
        labels = (naming.codes(np.unique(flat), self.classes) >= 0).all()
        if not labels and len(self.classes) == 2 and len(flat) == rows and ((flat >= 0) & (flat <= 1)).all():
            return np.column_stack([1 - flat, flat])
        return None


def outputs(answers: Answers, truth: "Series", classes: Sequence[Label], task: str, positive: Label | None) -> Outputs:
    """Return answers beside the truth as metrics take them: of two classes, the positive one is the last.

    Labels are what the model's own `predict` answers: with a tuned threshold they are not those of the highest
    probability. Raises ConfigError where it is not known which of two classes is positive.
    """
    import numpy as np

    if task == "regression":
        numbers = np.asarray(answers.labels, dtype=float)
        return Outputs(truth=truth.to_numpy(dtype=float), labels=numbers, probabilities=None)
    positions = class_order(classes, task, positive)
    known = [classes[place] for place in positions]
    return Outputs(
        truth=naming.codes(truth, known, absent=len(known)),
        labels=naming.codes(answers.labels, known),
        probabilities=None if answers.probabilities is None else answers.probabilities[:, positions],
    )


def class_order(classes: Sequence[Label], task: str, positive: Label | None) -> list[int]:
    """Return the positions of a model's classes as metrics take them: of two, the positive one is the last."""
    if task != "binary" or len(classes) != 2:
        return list(range(len(classes)))
    place = naming.positive(classes, positive)
    if place is None:
        known = " and ".join(repr(value) for value in classes)
        declared = "is not set" if positive is None else f"is {positive!r}"
        raise ConfigError(f"model.positive: {declared}, and the model's classes are {known}; name one of them")
    return [1 - place, place]


def load(
    folder: Path, positive: Label | None = None, classes: Sequence[Label] = (), features: Sequence[str] = ()
) -> Predictor:
    """Load a saved model whose files have been checked, from its folder alone.

    `classes` and `features` are those of a model that does not name them itself and has no probe yet.
    """
    model = saved.load(folder)
    known = getattr(model, "classes_", None)
    if known is None:
        probed = None if classes else probe.read(folder)
        known = probed.classes if probed else classes
    columns = saved.columns(folder) or list(features) or list(getattr(model, "feature_names_in_", ()))
    return Predictor(
        model=model, columns=columns, classes=list(known), positive=positive, categories=saved.categories(folder)
    )
