"""The two ways to run a model: through ONNX Runtime, or through scikit-learn."""

from typing import Final, Protocol

from model_ci.serving.manifest import ONNX, ONNX_FILE, Manifest
from model_ci.serving.predictions import Predictions
from model_ci.serving.refusal import Problem
from model_ci.serving.signature import Rows, Signature, refused

ALONE: Final = 64  # rows that are asked one by one to tell which of them the model refuses


class Engine(Protocol):
    """A loaded model."""

    def predict(self, rows: Rows) -> Predictions:
        """Answer rows that are by the signature; whatever it raises means that the model refuses them."""


def load(manifest: Manifest, signature: Signature, threads: int) -> Engine:
    """Load the model that the manifest names; its files have been checked."""
    if manifest["engine"] == ONNX:
        from model_ci.serving.onnx_engine import OnnxEngine

        return OnnxEngine((manifest.root / ONNX_FILE).read_bytes(), signature, manifest.classes, threads)
    from model_ci.serving.sklearn_engine import SklearnEngine, open_estimator

    return SklearnEngine(open_estimator(manifest), signature, manifest["sklearn"]["given"])


def ask(engine: Engine, rows: Rows) -> Predictions:
    """Predict; raise Refusal 422 for rows that the model refuses or has no number for, naming them where they are few."""
    try:
        answers = engine.predict(rows)
    except MemoryError:
        raise
    except Exception as error:  # noqa: BLE001 - the model is the user's, and so are its reasons
        raise refused(_which(engine, rows, error)) from None
    if not finite(answers):
        raise refused(_without_number(answers))
    return answers


def finite(answers: Predictions) -> bool:
    """Tell whether every answer is a number, where they are numbers at all."""
    import math

    numbers = answers.labels if answers.probabilities is None else answers.probabilities
    return numbers.dtype.kind != "f" or math.isfinite(numbers.sum())


def _without_number(answers: Predictions) -> list[Problem]:
    import numpy as np

    numbers = answers.labels if answers.probabilities is None else answers.probabilities
    bad = ~np.isfinite(numbers.reshape(len(numbers), -1)).all(axis=1)
    where: list[int | None] = [*np.flatnonzero(bad).tolist()] or [None]  # the sum may overflow where no number does
    return [Problem(row=row, reason="the model gives no number for this row") for row in where]


def _which(engine: Engine, rows: Rows, error: Exception) -> list[Problem]:
    if rows.count > ALONE:
        return [Problem(reason=_reason(error))]
    found = []
    for place, row in enumerate(rows.singles()):
        try:
            engine.predict(row)
        except Exception as alone:  # noqa: BLE001 - as above
            found.append(Problem(row=place, reason=_reason(alone)))
    return found or [Problem(reason=_reason(error))]


def _reason(error: Exception) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return f"the model refuses it: {text[:300]}"
