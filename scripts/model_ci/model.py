"""A trained model: an MLflow model folder, written, hashed, loaded only when its hashes are vouched for, and asked."""

import hashlib
import logging
import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from model_ci.errors import ConfigError
from model_ci.gates.outputs import Outputs

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

FOLDER: Final = "model"  # of the run
PROBE_ROWS: Final = 32
_EXAMPLE_ROWS: Final = 100


def save(estimator: Any, folder: Path, rows: "pd.DataFrame", code: Sequence[Path] = ()) -> None:
    """Write a fitted scikit-learn estimator as an MLflow model with signature and input example.

    Stored as skops, which names every type it will build on loading; where that cannot hold the estimator (a lambda
    in a FunctionTransformer, say), as cloudpickle. `code` holds the user's modules that its types come from.
    """
    with quiet_mlflow():
        import mlflow.sklearn
        from mlflow.models import infer_signature

        telling = _telling_rows(rows)
        keywords: dict[str, Any] = {
            "signature": infer_signature(telling, estimator.predict(telling)),
            "input_example": telling.head(5),
            "pip_requirements": _requirements(estimator),
        }
        trusted = _types(estimator)
        if trusted is None:
            keywords |= {"serialization_format": "cloudpickle"}
        else:
            keywords |= {"serialization_format": "skops", "skops_trusted_types": trusted}
        if trusted is None or any(_stem(t) in {f.stem for f in code} for t in trusted):
            keywords |= {"code_paths": [str(f) for f in code] or None}
        mlflow.sklearn.save_model(estimator, str(folder), **keywords)


def hash_files(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of every file below `folder`, by its relative path."""
    files = sorted(f for f in folder.rglob("*") if f.is_file() and "__pycache__" not in f.parts)
    return {f.relative_to(folder).as_posix(): hashlib.sha256(f.read_bytes()).hexdigest() for f in files}


def size_mb(folder: Path) -> float:
    """Return the size of the files below `folder` in MiB."""
    return sum(f.stat().st_size for f in folder.rglob("*") if f.is_file()) / 2**20


def describe(folder: Path) -> dict[str, Any]:
    """Return flavour, format and signature as the MLmodel file states them."""
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    stated = yaml.load((folder / "MLmodel").read_text(encoding="utf-8"), Loader=loader)  # noqa: S506 - both are safe
    flavors = stated.get("flavors", {})
    return {
        "flavor": next((f for f in flavors if f != "python_function"), "python_function"),
        "format": flavors.get("sklearn", {}).get("serialization_format"),
        "signature": stated.get("signature") is not None,
    }


@dataclass(frozen=True, kw_only=True)
class Predictor:
    """A loaded model that answers in one way, whatever its flavour.

    `classes` are the target's values in the order of the probabilities' columns; empty for regression.
    """

    model: Any
    columns: Sequence[str]
    classes: Sequence[Any]

    @classmethod
    def load(
        cls, folder: Path, files: Mapping[str, str], classes: Sequence[Any], features: Sequence[str]
    ) -> "Predictor":
        """Load an MLflow model after checking every file against `files` (relative path -> SHA-256).

        Raises ConfigError when a file differs, is missing or is not vouched for; nothing is loaded then.
        """
        found = hash_files(folder)
        if found != dict(files):
            wrong = sorted(n for n in found.keys() | files.keys() if found.get(n) != files.get(n))
            raise ConfigError(
                f"{folder}: {', '.join(wrong)} not as recorded when the model was trained; train again, or fetch it anew"
            )
        with quiet_mlflow():
            import mlflow.pyfunc
            import mlflow.sklearn

            signature = mlflow.models.get_model_info(str(folder)).signature
            named = signature.inputs.input_names() if signature and signature.inputs else []
            columns = named if named and all(isinstance(n, str) for n in named) else list(features)
            if describe(folder)["flavor"] == "sklearn":
                estimator = mlflow.sklearn.load_model(str(folder))
                return cls(model=estimator, columns=columns, classes=list(getattr(estimator, "classes_", classes)))
            return cls(model=mlflow.pyfunc.load_model(str(folder)), columns=columns, classes=list(classes))

    def outputs(self, frame: "pd.DataFrame", target: str, task: str) -> Outputs:
        """Ask the model for every row of `frame`; raise ConfigError when a column it was trained on is not there."""
        import numpy as np

        answers = self.predict(frame)
        if task == "regression":
            return Outputs(
                truth=frame[target].to_numpy(dtype=float),
                labels=np.asarray(answers, dtype=float).ravel(),
                probabilities=None,
            )
        truth = self._places(frame[target], absent=len(self.classes))
        probabilities = self._probabilities(frame, answers)
        if probabilities is not None and answers.dtype.kind == "f":
            labels = probabilities.argmax(axis=1)
        else:
            labels = self._places(answers.ravel(), absent=-1)
        return Outputs(truth=truth, labels=labels, probabilities=probabilities)

    def predict(self, frame: "pd.DataFrame") -> "NDArray[Any]":
        """Return what the model's own `predict` says."""
        import numpy as np

        missing = [c for c in self.columns if c not in frame.columns]
        if missing:
            raise ConfigError(f"data: the model needs the columns {', '.join(missing)}, which the data no longer has")
        with warnings.catch_warnings(action="ignore"):
            return np.asarray(self.model.predict(frame[list(self.columns)]))

    def _places(self, values: "NDArray[Any] | pd.Series[Any]", absent: int) -> "NDArray[Any]":
        """Return the place of each value among the classes; `absent` for one that is no class."""
        import numpy as np
        import pandas as pd

        index = {value: i for i, value in enumerate(self.classes)}
        codes, distinct = pd.factorize(values)
        places = np.array([*(index.get(value, absent) for value in distinct.tolist()), absent])
        return places[codes]

    def _probabilities(self, frame: "pd.DataFrame", answers: "NDArray[Any]") -> "NDArray[Any] | None":
        """Take predict_proba where there is one, else an answer that is a probability itself."""
        import numpy as np

        if hasattr(self.model, "predict_proba"):
            with warnings.catch_warnings(action="ignore"):
                return np.asarray(self.model.predict_proba(frame[list(self.columns)]), dtype=float)
        if answers.dtype.kind != "f":
            return None
        if answers.ndim == 2 and answers.shape[1] == len(self.classes):
            return answers.astype(float)
        flat = answers.ravel()
        if len(self.classes) == 2 and len(flat) == len(frame) and ((flat >= 0) & (flat <= 1)).all():
            return np.column_stack([1 - flat, flat])
        return None


def probe(predictor: Predictor, frame: "pd.DataFrame") -> str:
    """Return the SHA-256 of the predictions on the first rows of `frame`: equal for equal models, whatever the file.

    Numbers count to nine digits: threads that add up in another order change the last ones.
    """
    answers = predictor.predict(frame.head(PROBE_ROWS)).ravel().tolist()
    text = " ".join(f"{a:.9g}" if isinstance(a, float) else str(a) for a in answers)
    return hashlib.sha256(text.encode()).hexdigest()


@contextmanager
def quiet_mlflow() -> Iterator[None]:
    """Keep MLflow's telemetry off and its warnings and log lines, which the user can do nothing about, from the console."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("DO_NOT_TRACK", "true")
    with warnings.catch_warnings(action="ignore"):
        import mlflow  # noqa: F401 - it sets its logger up when it is first imported, and would undo what follows

    logger = logging.getLogger("mlflow")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(action="ignore"):
            yield
    finally:
        logger.setLevel(level)


def _telling_rows(rows: "pd.DataFrame") -> "pd.DataFrame":
    """Take few rows that tell the columns' types, and for each column with gaps one that has one: it is optional then."""
    first = list(range(min(_EXAMPLE_ROWS, len(rows))))
    gaps = rows.isna()
    with_gap = [int(gaps[name].to_numpy().argmax()) for name in rows.columns if gaps[name].any()]
    return rows.iloc[first + [i for i in dict.fromkeys(with_gap) if i >= len(first)]]


def _types(estimator: Any) -> list[str] | None:
    """Return the types that skops must be told to trust for our own estimator, or None when it cannot hold it."""
    import skops.io

    try:
        dumped = skops.io.dumps(estimator)
        trusted: list[str] = skops.io.get_untrusted_types(data=dumped)
        skops.io.loads(dumped, trusted=trusted)
    except Exception:  # noqa: BLE001 - whatever skops cannot hold, cloudpickle may
        return None
    return trusted


def _requirements(estimator: Any) -> list[str]:
    """Pin what the estimator's classes come from, instead of MLflow's search, which takes ten seconds."""
    from importlib.metadata import version

    steps = [estimator, *(v for v in estimator.get_params(deep=True).values() if hasattr(v, "get_params"))]
    roots = {type(step).__module__.partition(".")[0] for step in steps} | {"sklearn", "skops", "numpy", "pandas"}
    names = sorted(filter(None, map(_distribution, roots)))
    return [f"{name}=={version(name)}" for name in names]


def _distribution(package: str) -> str | None:
    """Return the distribution that a package comes from; None for the user's own modules."""
    from importlib.metadata import distribution, packages_distributions

    guess = {"sklearn": "scikit-learn"}.get(package, package)
    try:
        return str(distribution(guess).metadata["Name"])
    except ModuleNotFoundError:
        return next(iter(packages_distributions().get(package, [])), None)


def _stem(type_name: str) -> str:
    return type_name.rpartition(".")[0].rpartition(".")[2]
