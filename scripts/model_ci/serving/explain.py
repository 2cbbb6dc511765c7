"""/explain: what each column adds to the model's output for the rows sent, by the very code of the explain stage.

That code is a package beside this one, and with scikit-learn and shap in the image only when it was built with
`build-image.explain: true`. Nothing of it is loaded before the first question.
"""

import threading
from typing import TYPE_CHECKING, Final

from model_ci.serving.refusal import Refusal
from model_ci.serving.service import Service
from model_ci.serving.signature import Rows
from model_ci.serving.types import Document, Value

if TYPE_CHECKING:
    import pandas as pd

    from model_ci.serving.sklearn_engine import SklearnEngine

MOST_ROWS: Final = 100
WAITING: Final = 4  # questions at once; an explanation takes long, and the predictions come first
_ABSENT: Final = "explanations are not in this image; build it with build-image.explain: true"


class Explainer:
    """Explains rows; the estimator is opened, beside the one that predicts, at the first question."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._engine: SklearnEngine | None = None
        self._background: pd.DataFrame | None = None
        self._free = threading.BoundedSemaphore(WAITING)

    @property
    def there(self) -> bool:
        """Whether the image can explain."""
        return self._service.manifest.values.get("explain") is not None

    def require(self) -> None:
        """Raise Refusal 501 when the image cannot explain."""
        if not self.there:
            raise Refusal(501, "explain", _ABSENT)

    def __enter__(self) -> None:
        if not self._free.acquire(blocking=False):
            raise Refusal(503, "busy", f"{WAITING} explanations are being made; ask again in a moment")

    def __exit__(self, *_: object) -> None:
        self._free.release()

    def explain(self, rows: Rows) -> Document:
        """Return attributions as JSON: for each row a list with a number for each column, or one for each class."""
        try:
            from model_ci.explanation import explainer
            from model_ci.serving.sklearn_engine import SklearnEngine, open_estimator
        except ImportError as error:
            raise Refusal(501, "explain", f"{_ABSENT} ({error})") from None
        service, settings = self._service, self._service.manifest["explain"]
        if self._engine is None or self._background is None:
            service.require_loaded()
            self._engine = SklearnEngine(open_estimator(service.manifest), service.signature)
            self._background = self._engine.table(_background(service))
        manifest = service.manifest
        terms = explainer.Terms(
            task=manifest["task"], classes=manifest.classes, seed=settings["seed"], tolerance=settings["tolerance"],
            positive=manifest.positive,
        )  # fmt: skip
        attributions = _explained(self._engine, rows, self._background, terms)
        if not attributions.holds(settings["tolerance"]):
            missed = f"the attributions miss the model's output by {attributions.error:.3g}"
            raise Refusal(
                422, "explain", f"{missed}, more than {settings['tolerance']:g} of it; these rows are not explained"
            )
        of_class = None if manifest.positive is None else manifest.classes[manifest.positive]
        return _record(attributions, of_class, manifest.classes)


def _background(service: Service) -> Rows:
    import json

    file = service.manifest.root / service.manifest["explain"]["background"]
    stored = json.loads(file.read_bytes())
    given = dict(zip(stored["columns"], zip(*stored["data"], strict=True), strict=True))
    return service.signature.rows(given, len(stored["data"]))


def _explained(engine: "SklearnEngine", rows: Rows, background: "pd.DataFrame", terms: Value) -> Value:
    import warnings

    from model_ci.explanation import explainer

    try:
        with warnings.catch_warnings(action="ignore"):
            return explainer.explain(engine.estimator, engine.table(rows), background, terms)
    except Exception as error:
        first = " ".join((str(error) or type(error).__name__).split())[:300]
        raise Refusal(422, "explain", f"the model cannot be asked about these rows: {first}") from error


def _record(attributions: Value, of_class: Value, classes: Value) -> Document:
    one = attributions.values.shape[2] == 1
    return {
        "explainer": attributions.explainer,
        "scale": attributions.scale,
        "of_class": of_class,
        "classes": None if one else list(classes),
        "columns": list(attributions.columns),
        "base": attributions.base[0] if one else attributions.base,
        "outputs": attributions.outputs[:, 0].tolist() if one else attributions.outputs.tolist(),
        "attributions": attributions.values[:, :, 0].tolist() if one else attributions.values.tolist(),
        "rows": attributions.rows,
        "note": attributions.note,
    }
