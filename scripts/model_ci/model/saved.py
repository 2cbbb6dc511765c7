"""A trained model as an MLflow model folder: written, hashed and described."""

import functools
import hashlib
import json
import logging
import os
import sys
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from model_ci.data.categories import Categories
from model_ci.errors import ConfigError, first_line
from model_ci.model import own_code
from model_ci.serving import sklearn_engine

if TYPE_CHECKING:
    import pandas as pd
    from sklearn.base import BaseEstimator

FOLDER: Final = "model"  # of the run
CATEGORIES: Final = "model_ci.categories"  # in the metadata of the MLmodel file
_EXAMPLE_ROWS: Final = 100


def save(
    estimator: "BaseEstimator", folder: Path, rows: "pd.DataFrame", code: Mapping[str, Path] | None = None
) -> None:
    """Write a fitted scikit-learn estimator as an MLflow model with signature and input example.

    Stored as skops, which names every type it will build on loading; where that cannot hold the estimator (a lambda
    in a FunctionTransformer, say), as cloudpickle. `code` are the user's modules and packages, by their
    names; all are stored where one of its types comes from them, or where a pickle may need them.
    """
    with quiet_mlflow():
        import mlflow.sklearn
        from mlflow.models import infer_signature

        telling = _telling_rows(rows)
        keywords: dict[str, Any] = {
            "signature": infer_signature(telling, estimator.predict(telling)),
            "input_example": telling.head(5),
        }
        if known := _categories(rows):
            keywords["metadata"] = {CATEGORIES: known}
        trusted = _types(estimator)
        if trusted is None:
            keywords |= {"serialization_format": "cloudpickle"}
        else:
            keywords |= {"serialization_format": "skops", "skops_trusted_types": trusted}
        needed = code if code and (trusted is None or any(t.partition(".")[0] in code for t in trusted)) else {}
        keywords |= {"pip_requirements": _requirements(estimator, needed)}
        with tempfile.TemporaryDirectory() as copied:
            own_code.copy(needed, Path(copied))
            mlflow.sklearn.save_model(
                estimator, str(folder), **keywords, code_paths=[str(p) for p in sorted(Path(copied).iterdir())] or None
            )


def categories(folder: Path) -> dict[str, Categories]:
    """Return the categorical columns that a model was trained on."""
    known = (stated(folder).get("metadata") or {}).get(CATEGORIES) or {}
    return {name: Categories(values=tuple(c["values"]), ordered=c["ordered"]) for name, c in known.items()}


def _categories(rows: "pd.DataFrame") -> dict[str, Any]:
    import pandas as pd

    kinds = {str(name): kind for name, kind in rows.dtypes.items() if isinstance(kind, pd.CategoricalDtype)}
    return {name: {"values": kind.categories.tolist(), "ordered": bool(kind.ordered)} for name, kind in kinds.items()}


def types_of(estimator: "BaseEstimator") -> list[str]:
    """Return the modules that the types and functions of an estimator and its parameters come from."""
    parts = [estimator, *estimator.get_params(deep=True).values()]
    names = (getattr(part, "__module__", None) or type(part).__module__ for part in parts)
    return sorted({name for name in names if isinstance(name, str)})


def hash_files(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of every file below `folder`, by its relative path."""
    files = sorted(f for f in folder.rglob("*") if f.is_file() and "__pycache__" not in f.parts)
    return {f.relative_to(folder).as_posix(): hashlib.sha256(f.read_bytes()).hexdigest() for f in files}


def size_mb(folder: Path) -> float:
    """Return the size of the files below `folder` in MiB."""
    return sum(f.stat().st_size for f in folder.rglob("*") if f.is_file()) / 2**20


def check(folder: Path, files: Mapping[str, str]) -> None:
    """Raise ConfigError when a file differs from `files` (relative path -> SHA-256), is missing or is not among them."""
    present = hash_files(folder)
    if present != dict(files):
        wrong = sorted(n for n in present.keys() | files.keys() if present.get(n) != files.get(n))
        raise ConfigError(
            f"{folder}: {', '.join(wrong)} not as recorded when the model was trained; train again, or fetch it anew"
        )


def stated(folder: Path) -> dict[str, Any]:
    """Return the MLmodel file."""
    import yaml

    try:
        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        read = yaml.load((folder / "MLmodel").read_text(encoding="utf-8"), Loader=loader)  # noqa: S506 - both are safe
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise ConfigError(f"{folder / 'MLmodel'}: cannot be read: {first_line(error)}; train again") from None
    return dict(read)


def code_folder(folder: Path) -> Path | None:
    """Return the folder with the user's code that was saved with a model, None where there is none."""
    flavors = stated(folder).get("flavors", {})
    name = flavors.get("python_function", {}).get("code") or flavors.get("sklearn", {}).get("code")
    return folder / name if name else None


def columns(folder: Path) -> list[str]:
    """Return the names of the input columns by the signature; none where it names none."""
    inputs = json.loads((stated(folder).get("signature") or {}).get("inputs") or "[]")
    return [column["name"] for column in inputs] if all("name" in column for column in inputs) else []


def load(folder: Path) -> Any:
    """Load what was saved: a scikit-learn estimator as it is, any other flavour behind MLflow's `predict`."""
    flavors = stated(folder).get("flavors", {})
    flavor = flavors.get("sklearn")
    if flavor and flavor.get("serialization_format") in sklearn_engine.FORMATS:
        trusted = flavor.get("skops_trusted_types") or []
        return sklearn_engine.read(folder / flavor["pickled_model"], flavor["serialization_format"], trusted)
    with quiet_mlflow():
        import mlflow.pyfunc
        import mlflow.sklearn

        return (mlflow.sklearn if flavor else mlflow.pyfunc).load_model(str(folder))


def describe(folder: Path) -> dict[str, Any]:
    """Return flavour, format and signature as the MLmodel file states them."""
    content = stated(folder)
    flavors = content.get("flavors", {})
    return {
        "flavor": next((f for f in flavors if f != "python_function"), "python_function"),
        "format": flavors.get("sklearn", {}).get("serialization_format"),
        "signature": content.get("signature") is not None,
    }


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


def _types(estimator: "BaseEstimator") -> list[str] | None:
    """Return the types that skops must be told to trust for our own estimator, or None when it cannot hold it."""
    import skops.io

    try:
        dumped = skops.io.dumps(estimator)
        trusted: list[str] = skops.io.get_untrusted_types(data=dumped)
        skops.io.loads(dumped, trusted=trusted)
    except Exception:  # noqa: BLE001 - whatever skops cannot hold, cloudpickle may
        return None
    return trusted


def _requirements(estimator: "BaseEstimator", code: Mapping[str, Path]) -> list[str]:
    """Pin what the estimator and the user's code come from, instead of MLflow's search, which takes ten seconds."""
    from importlib.metadata import version

    modules = [*types_of(estimator), *own_code.imports(code), "sklearn", "skops", "numpy", "pandas"]
    roots = {module.partition(".")[0] for module in modules} - code.keys() - sys.stdlib_module_names
    names = sorted(filter(None, map(_distribution, sorted(roots))))
    return [f"{name}=={version(name)}" for name in names]


def _distribution(package: str) -> str | None:
    """Return the distribution that a package comes from; None for the user's own modules."""
    from importlib.metadata import distribution

    guess = {"sklearn": "scikit-learn"}.get(package, package)
    try:
        return str(distribution(guess).metadata["Name"])
    except (ModuleNotFoundError, ValueError):
        if find_spec(package) is None:
            return None  # imported where it is there, and not needed where it is not
        return next(iter(_distributions().get(package, [])), None)


@functools.cache
def _distributions() -> Mapping[str, list[str]]:
    """Return the distributions of each package: reads the list of files of everything that is installed, so once."""
    from importlib.metadata import packages_distributions

    return packages_distributions()
