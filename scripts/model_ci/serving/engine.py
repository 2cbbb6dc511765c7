"""The two ways to run a model, through ONNX Runtime or through scikit-learn, and the border that answers must pass."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from model_ci.serving.manifest import ONNX, ONNX_FILE, Manifest
from model_ci.serving.predictions import Predictions
from model_ci.serving.refusal import Problem, Refusal
from model_ci.serving.signature import Rows, Signature, refused
from model_ci.serving.types import Record

if TYPE_CHECKING:
    from model_ci.serving.types import Array

ALONE: Final = 64  # rows that are asked one by one to tell which of them the model refuses
_KINDS: Final[dict[type, str]] = {
    bool: "b",
    int: "iu",
    float: "f",
    str: "U",
}  # of a NumPy array; objects are looked into


class Engine(Protocol):
    """A loaded model."""

    def predict(self, rows: Rows) -> Predictions:
        """Answer rows that are by the signature; whatever it raises means that the model refuses them."""


class NoAnswerError(Exception):
    """The model gives no answer, or no number, for some of the rows."""

    def __init__(self, *problems: Problem) -> None:
        super().__init__(problems[0].reason)
        self.problems = problems


class MalformedAnswerError(Exception):
    """The model's answer has another form than it had when the image was built."""


@dataclass(frozen=True, kw_only=True)
class Form:
    """What an answer must look like: labels of `type`, and a probability for each of so many classes, or none."""

    type: type
    classes: int

    @classmethod
    def of(cls, manifest: Record) -> "Form":
        """Take the form from the answers to the probe rows."""
        probe = manifest["probe"]
        probabilities = probe.get("probabilities") is not None
        return cls(type=type(probe["outputs"][0]), classes=len(manifest["classes"]) if probabilities else 0)

    def check(self, answers: Predictions, count: int) -> None:
        """Raise NoAnswerError or MalformedAnswerError unless there is one finite answer of this form for each row."""
        labels, probabilities = answers.labels, answers.probabilities
        if labels.ndim != 1 or (probabilities is None) != (self.classes == 0):
            raise MalformedAnswerError(
                f"predictions of shape {labels.shape}, probabilities: {probabilities is not None}"
            )
        for values in (labels, probabilities):
            if values is not None and len(values) != count:
                raise NoAnswerError(
                    Problem(reason=f"the model gives {len(values)} predictions for {count} row{'s' * (count != 1)}")
                )
        if labels.dtype.kind not in _KINDS.get(self.type, "") and not self._holds(labels):
            raise MalformedAnswerError(f"predictions of type {labels.dtype} where {self.type.__name__} is expected")
        if probabilities is None:
            _require_finite(labels)
            return
        if probabilities.shape != (count, self.classes) or probabilities.dtype.kind != "f":
            raise MalformedAnswerError(
                f"probabilities of shape {probabilities.shape} and type {probabilities.dtype} for {self.classes} classes"
            )
        _require_finite(probabilities)

    def _holds(self, labels: "Array") -> bool:
        return labels.dtype.kind == "O" and all(isinstance(label, self.type) for label in labels.tolist())


class CheckedEngine:
    """An engine whose answers nobody sees before they were checked."""

    def __init__(self, engine: Engine, form: Form) -> None:
        self._predict = engine.predict
        self._check = form.check

    def predict(self, rows: Rows) -> Predictions:
        """Answer; raise NoAnswerError or MalformedAnswerError besides what the model raises."""
        answers = self._predict(rows)
        self._check(answers, rows.count)
        return answers


def load(manifest: Manifest, signature: Signature, threads: int) -> Engine:
    """Load the model that the manifest names; its files have been checked."""
    if manifest["engine"] == ONNX:
        from model_ci.serving.onnx_engine import OnnxEngine

        return OnnxEngine((manifest.root / ONNX_FILE).read_bytes(), signature, manifest.classes, threads)
    from model_ci.serving.sklearn_engine import SklearnEngine, open_estimator

    return SklearnEngine(open_estimator(manifest), signature, manifest["sklearn"]["given"])


def ask(engine: Engine, rows: Rows) -> Predictions:
    """Predict; raise Refusal 422 for rows that the model refuses or does not answer, naming them where they are few.

    Raises Refusal 500 for answers of another form than the model gave when the image was built.
    """
    try:
        return engine.predict(rows)
    except MemoryError:
        raise
    except MalformedAnswerError as error:
        raise Refusal(500, "model", f"the model gave a malformed answer: {error}; build the image again") from None
    except Exception as error:  # noqa: BLE001 - the model is the user's, and so are its reasons
        raise refused(_problems(engine, rows, error)) from None


def _require_finite(values: "Array") -> None:
    if values.dtype.kind != "f" or math.isfinite(values.sum()):
        return
    import numpy as np

    bad = ~np.isfinite(values.reshape(len(values), -1)).all(axis=1)
    if bad.any():  # the sum may overflow where no number does
        raise NoAnswerError(
            *(Problem(row=row, reason="the model gives no number for this row") for row in np.flatnonzero(bad).tolist())
        )


def _problems(engine: Engine, rows: Rows, error: Exception) -> list[Problem]:
    if isinstance(error, NoAnswerError) and error.problems[0].row is not None:
        return [*error.problems]
    together = [Problem(reason=_reason(error))]
    if rows.count > ALONE:
        return together
    alone = []
    for place, row in enumerate(rows.singles()):
        try:
            engine.predict(row)
        except Exception as reason:  # noqa: BLE001 - as above
            alone.append(Problem(row=place, reason=_reason(reason)))
    return alone or together


def _reason(error: Exception) -> str:
    if isinstance(error, NoAnswerError):
        return str(error)
    text = " ".join(str(error).split()) or type(error).__name__
    return f"the model refuses it: {text[:300]}"
