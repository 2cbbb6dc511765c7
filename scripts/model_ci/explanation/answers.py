"""What a model answers, as numbers that attributions can add up to."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from model_ci.errors import ConfigError

if TYPE_CHECKING:
    import pandas as pd
    from sklearn.base import BaseEstimator

    from model_ci.types import Array, Label


def scales(model: "BaseEstimator", rows: "pd.DataFrame", task: str) -> "Iterator[tuple[str, Array]]":
    """Yield each way in which an estimator's answers can be counted, with the answers, rows x outputs."""
    import numpy as np

    if task == "regression":
        yield "output", _columns(model.predict(rows))
        return
    chances = _columns(model.predict_proba(rows)) if hasattr(model, "predict_proba") else None
    if hasattr(model, "decision_function"):
        margins = _columns(model.decision_function(rows))
        yield ("log-odds" if _are_log_odds(margins, chances) else "margin"), margins
    if chances is not None:
        yield "probability", _second(chances, task)
        if task == "binary" and not hasattr(model, "decision_function"):
            with np.errstate(divide="ignore", invalid="ignore"):
                chance = _second(chances, task)
                yield "log-odds", np.log(chance) - np.log1p(-chance)


def scale(model: "BaseEstimator", task: str, classes: "Sequence[Label]", rows: "pd.DataFrame") -> str:
    """Name the one scale in which any model, whatever its flavour, can be asked."""
    if task == "regression":
        return "output"
    if hasattr(model, "predict_proba"):
        return "probability"
    if hasattr(model, "decision_function"):
        return "margin"
    answer = _columns(model.predict(rows))
    if answer.dtype.kind != "f":
        return "label"
    return "probability" if task == "binary" or answer.shape[1] == len(classes) else "label"


def ask(model: "BaseEstimator", task: str, classes: "Sequence[Label]", scale: str, rows: "pd.DataFrame") -> "Array":
    """Return the answers in that scale, rows x outputs; a label is 1 for the class that was named and 0 for others."""
    import numpy as np

    match scale:
        case "probability":
            return _second(_columns(getattr(model, "predict_proba", model.predict)(rows)), task)
        case "margin":
            return _columns(model.decision_function(rows))
        case "output":
            return _columns(model.predict(rows)).astype(float)
    if not classes:
        raise ConfigError("explain: the model names labels, but the run's record knows no classes; train again")
    named = np.asarray(model.predict(rows)).ravel()
    counted = classes[-1:] if task == "binary" else classes
    return np.column_stack([named == value for value in counted]).astype(float)


def _columns(answers: "Array") -> "Array":
    import numpy as np

    columns = np.asarray(answers)
    return columns.reshape(-1, 1) if columns.ndim == 1 else columns


def _second(chances: "Array", task: str) -> "Array":
    return chances[:, -1:].astype(float) if task == "binary" else chances.astype(float)


def _are_log_odds(margins: "Array", chances: "Array | None") -> bool:
    import numpy as np
    from scipy.special import expit, softmax

    if chances is None:
        return False
    implied = expit(margins) if margins.shape[1] == 1 else softmax(margins, axis=1)
    there = chances[:, -1:] if margins.shape[1] == 1 else chances
    return implied.shape == there.shape and bool(np.allclose(implied, there, atol=1e-6))
