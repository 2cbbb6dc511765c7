"""The bundle: everything that goes into the image, in one folder: the model, its manifest, and the service's code."""

import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from model_ci.errors import ConfigError
from model_ci.files import write_atomically
from model_ci.frozen import dataclass
from model_ci.model.probe import spread
from model_ci.model.saved import CATEGORIES
from model_ci.serving import engine
from model_ci.serving.comparison import Answers
from model_ci.serving.manifest import EXPLAIN, FOLDER, ONNX, ONNX_FILE, SKLEARN, VERSION, digest
from model_ci.serving.refusal import Refusal
from model_ci.serving.signature import TYPES, Column, Rows, Signature
from model_ci.serving.sklearn_engine import ARRAY, TABLE, SklearnEngine
from model_ci.stages.build_image import parity
from model_ci.stages.build_image.converters import UnconvertibleError
from model_ci.types import Document

if TYPE_CHECKING:
    import pandas as pd
    from sklearn.base import BaseEstimator

    from model_ci.types import Label, Series

MANIFEST: Final = "manifest.json"
CODE: Final = "app"  # holds the package, and is on the path of the process
PROBE_ROWS: Final = 32
PARITY_ROWS: Final = 2000
TOLERANCE: Final = 1e-6
_SAME: Final = 1e-9  # the same library on another machine
_PLAIN_OBJECTS: Final = ("string", "boolean", "integer", "floating", "mixed-integer-float", "empty")
_NEVER: Final = {"mlflow", "mlflow-skinny"}  # the service opens the model itself
_SERVER: Final = ("httptools", "numpy", "orjson", "prometheus-client", "uvicorn", "uvloop")


@dataclass(frozen=True, kw_only=True)
class Source:
    """A trained model with what its run's record says of it.

    `files` are the SHA-256 of the files below `folder` as recorded; `estimator` was loaded from them.
    """

    folder: Path
    files: Mapping[str, str]
    estimator: "BaseEstimator"
    columns: Sequence[str]
    classes: "Sequence[Label]"
    name: str
    task: str
    run_id: str
    version: str | None = None
    positive: "Label | None" = None  # the declared positive class of a binary task


@dataclass(frozen=True, kw_only=True)
class Explain:
    """What /explain needs besides the model: training rows that stand for a column unknown, and the stage's terms."""

    background: "pd.DataFrame"
    seed: int
    tolerance: float


@dataclass(frozen=True, kw_only=True)
class Bundle:
    """What was made: `folder` holds model/, manifest.json and app/; `requirements` are exact, direct requirements."""

    folder: Path
    manifest: Mapping[str, Any]
    requirements: Sequence[str]


def create(  # noqa: PLR0913 - the last three have defaults
    source: Source,
    rows: "pd.DataFrame",
    into: Path,
    *,
    engine: str = "auto",
    tolerance: float = TOLERANCE,
    explain: Explain | None = None,
) -> Bundle:
    """Make the bundle in the empty folder `into`; `rows` are real rows, of the holdout, to compare and to probe with.

    `wanted` is auto, onnx or sklearn. Raises ConfigError when the files are not as recorded, when the flavour is not
    scikit-learn's, or when ONNX is wanted and the model does not convert or answers differently.
    """
    from threadpoolctl import threadpool_limits

    stated = _stated(source.folder)
    _copy(source, into / FOLDER)
    signature = Signature(_columns(stated, rows[list(source.columns)]))
    every = -(-len(rows) // PARITY_ROWS) or 1  # over the whole holdout, not its first days
    trained_on = rows[list(source.columns)].iloc[::every]
    real, kept = _rows(trained_on, signature)
    with threadpool_limits(1):  # a row is too little to share, and sums come out the same
        trained_on = trained_on.iloc[kept]
        reference = _reference(source, signature, real, trained_on)
        onnx, why = None, "engine: sklearn is asked for"
        if engine != SKLEARN:
            onnx, why = _onnx(source, signature, reference, into, tolerance)
        given = _given(source, signature, reference)
        probe = _probe(reference, trained_on, signature, _SAME if onnx is None else tolerance)
    if onnx is None and engine == ONNX:
        raise ConfigError(f"build-image.engine: onnx cannot be had: {why}; write engine: auto or sklearn")
    name = SKLEARN if onnx is None else ONNX
    explained = _background(explain, signature, into) if explain else None
    files = _hashes(into)
    manifest: Document = {
        "schema_version": VERSION, "name": source.name, "version": source.version, "run_id": source.run_id,
        "task": source.task, "classes": [_plain(c) for c in source.classes], "positive": source.positive,
        "features": signature.names, "signature": [_described(column) for column in signature.columns],
        "engine": name, "why": why, "onnx": onnx, "sklearn": {**_how(stated), "given": given}, "explain": explained,
        "probe": probe, "files": files, "digest": digest(files),
    }  # fmt: skip
    write_atomically(into / MANIFEST, json.dumps(manifest, indent=1, allow_nan=False).encode() + b"\n")
    _copy_code(into / CODE, explains=explain is not None)
    needed = requirements(name, source.folder, explains=explain is not None)
    return Bundle(folder=into, manifest=manifest, requirements=needed)


def requirements(engine_name: str, folder: Path, *, explains: bool = False) -> list[str]:
    """Return what the engine needs, each pinned: the server's as installed here, the model's as its own file says."""
    from importlib.metadata import version

    names = {*_SERVER, *(("onnxruntime",) if engine_name == ONNX else ()), *(("shap",) if explains else ())}
    pinned = {name: f"{name}=={version(name)}" for name in names}
    if engine_name == SKLEARN or explains:
        lines = (folder / "requirements.txt").read_text(encoding="utf-8").splitlines()
        kept = [line.strip() for line in lines if line.strip() and not line.strip().startswith(("#", "-"))]
        pinned |= {_name(line): line for line in kept if _name(line) not in _NEVER}
    return sorted(pinned.values())


def _name(requirement: str) -> str:
    import re

    return re.split(r"[\s\[<>=!~;@]", requirement, maxsplit=1)[0].lower().replace("_", "-")


def _stated(folder: Path) -> Document:
    """Return the MLmodel file; raise ConfigError for a flavour that is not served."""
    import yaml

    stated: Document = yaml.safe_load((folder / "MLmodel").read_text(encoding="utf-8"))
    if "sklearn" not in stated.get("flavors", {}):
        named = ", ".join(stated.get("flavors", {})) or "none"
        raise ConfigError(
            f"build-image: the model's flavour is {named}, and the service runs scikit-learn's; save it with mlflow.sklearn"
        )
    return stated


def _copy(source: Source, target: Path) -> None:
    """Copy the model's files; raise ConfigError when one is not as recorded."""
    shutil.copytree(source.folder, target, ignore=shutil.ignore_patterns("__pycache__"))
    hashes = _hashes(target.parent)
    expected = {f"{FOLDER}/{name}": sha256 for name, sha256 in source.files.items()}
    if hashes != expected:
        wrong = sorted(n for n in hashes.keys() | expected.keys() if hashes.get(n) != expected.get(n))
        raise ConfigError(
            f"{source.folder}: {', '.join(wrong)} not as recorded when the model was trained; train again"
        )


def _hashes(root: Path) -> dict[str, str]:
    files = sorted(f for folder in (FOLDER, EXPLAIN) for f in (root / folder).rglob("*") if f.is_file())
    return {f.relative_to(root).as_posix(): hashlib.sha256(f.read_bytes()).hexdigest() for f in files}


def _columns(stated: Mapping[str, Any], rows: "pd.DataFrame") -> list[Column]:
    """Return the signature's columns; where the model has none that names columns, those of the rows."""
    inputs = json.loads((stated.get("signature") or {}).get("inputs") or "[]")
    if not inputs or not all("name" in column and column["type"] in TYPES for column in inputs):
        inputs = _inferred(rows)
    dtypes = {name: _dtype(rows[name]) for name in rows.columns}
    categorical = (stated.get("metadata") or {}).get(CATEGORIES) or {}
    known = {name: {"categories": c["values"], "ordered": c["ordered"]} for name, c in categorical.items()}
    odd = [
        f"{c['name']} ({dtypes.get(c['name'], c['type'])})"
        for c in inputs
        if c["type"] not in TYPES or dtypes.get(c["name"]) not in (None, *_PLAIN_OBJECTS, str(rows[c["name"]].dtype))
    ]
    if odd:
        raise ConfigError(
            f"build-image: JSON cannot carry the columns {', '.join(odd)} as the model was trained on them; "
            "make them numbers, text, booleans or times in the data, or exclude them"
        )
    return [
        Column(
            name=c["name"], type=c["type"], required=bool(c.get("required", True)),
            dtype=dtypes.get(c["name"], "") if c["type"] == "datetime" else "",
            **known.get(c["name"], {}),
        )
        for c in inputs
    ]  # fmt: skip


def _dtype(column: "Series") -> str:
    """Return the type of a column; of objects, the kind of the objects."""
    import pandas as pd

    return pd.api.types.infer_dtype(column, skipna=True) if column.dtype == object else str(column.dtype)


def _inferred(rows: "pd.DataFrame") -> list[Document]:
    from mlflow.models import infer_signature

    inputs: list[Document] = infer_signature(rows).inputs.to_dict()
    return [{"name": name, **column} for name, column in zip(rows.columns, inputs, strict=True)]


def _described(column: Column) -> Document:
    described: Document = {"name": column.name, "type": column.type, "required": column.required}
    if column.categories is not None:
        described |= {"categories": list(column.categories), "ordered": column.ordered}
    return {**described, "dtype": column.dtype} if column.dtype else described


def _rows(frame: "pd.DataFrame", signature: Signature) -> tuple[Rows, list[int]]:
    """Return the rows that are by the signature, as a request would bring them, and their places in the frame.

    JSON has no word for infinity.
    """
    import numpy as np

    finite = ~np.isinf(frame.select_dtypes("number").to_numpy(dtype=float, na_value=np.nan)).any(axis=1)
    places = np.flatnonzero(finite).tolist()
    frame = frame.iloc[places]
    given = {name: [_sent(v) for v in frame[name].astype(object)] for name in signature.names if name in frame}
    count = len(frame)
    try:
        return signature.rows(given, count), places
    except Refusal as refusal:
        bad = {problem.row for problem in refusal.problems}
        kept = [] if None in bad else [row for row in range(count) if row not in bad]
        if not kept:
            raise ConfigError(
                f"build-image: no row of the data is by the model's signature: {refusal.message}"
            ) from None
    rows = signature.rows({name: [values[row] for row in kept] for name, values in given.items()}, len(kept))
    return rows, [places[row] for row in kept]


def _sent(value: Any) -> Any:
    import pandas as pd

    if pd.isna(value):
        return None
    return value.isoformat() if hasattr(value, "isoformat") else _plain(value)


def _plain(value: Any) -> Any:
    return value.item() if hasattr(value, "item") else value


def _reference(source: Source, signature: Signature, rows: Rows, trained_on: "pd.DataFrame") -> parity.Reference:
    """Ask the model about rows of the table that it was trained on, and hold what a request makes of them to its answers.

    Raises ConfigError when it does not answer each row, or answers otherwise once the rows went through a request.
    """
    asked = SklearnEngine(source.estimator, signature)
    try:
        expected = asked.answers(trained_on)
        labels = expected.labels.tolist()
        chances = len(source.classes) if expected.probabilities is not None else 0
        engine.Form(type=type(labels[0]) if labels else object, classes=chances).check(expected, rows.count)
    except (engine.NoAnswerError, engine.MalformedAnswerError) as error:
        raise ConfigError(
            f"build-image: a service needs one finite answer for each row, and of {rows.count} rows of the data: {error}; "
            "let predict keep every row, and impute what is missing"
        ) from None
    reference = parity.Reference(
        rows=rows, answers=Answers.of(expected), engine=asked, columns=signature.columns, classes=bool(source.classes)
    )
    if problem := reference.compare_rows(asked, _SAME).problem:
        dtypes = ", ".join(f"{name} {trained_on[name].dtype}" for name in trained_on.columns)
        raise ConfigError(
            f"build-image: the model answers otherwise once its rows were sent as JSON: {problem}; make its columns numbers, "
            f"text, booleans or times in the data. They are {dtypes}."
        )
    return reference


def _onnx(
    source: Source, signature: Signature, reference: parity.Reference, into: Path, tolerance: float
) -> tuple[Document | None, str]:
    """Convert and compare; write the graph only when it agrees. Return the record and why."""
    from model_ci.serving.onnx_engine import OnnxEngine
    from model_ci.stages.build_image import onnx

    try:
        graph = onnx.convert(source.estimator, signature.columns)
        loaded = OnnxEngine(graph, signature, [_plain(c) for c in source.classes], 1)
        comparison = reference.compare(loaded, tolerance)
    except UnconvertibleError as error:
        return None, str(error)
    except Exception as error:  # noqa: BLE001 - a graph that ONNX Runtime does not take
        return None, f"ONNX Runtime cannot run it: {' '.join(str(error).split())[:200]}"
    if comparison.problem:
        return None, f"on {comparison.rows} rows the graph answers otherwise than the model: {comparison.problem}"
    (into / ONNX_FILE).write_bytes(graph)
    return {"parity": comparison.as_record()}, "it converts, and answers alike"


def _given(source: Source, signature: Signature, reference: parity.Reference) -> str:
    """Tell whether the pipeline may be asked with arrays: they cost less, where the answers are the same."""
    try:
        unrolled = SklearnEngine(source.estimator, signature, ARRAY)
        same = reference.compare(unrolled, _SAME).holds
    except Exception:  # noqa: BLE001 - whatever it needs its table for
        same = False
    return ARRAY if same else TABLE


def _background(explain: Explain, signature: Signature, into: Path) -> Document:
    rows, _ = _rows(explain.background[signature.names], signature)
    stored = {"columns": signature.names, "data": [list(row) for row in zip(*rows.values, strict=True)]}
    file = into / EXPLAIN / "background.json"
    file.parent.mkdir()
    file.write_text(json.dumps(stored, allow_nan=False), encoding="utf-8")
    return {"background": f"{EXPLAIN}/{file.name}", "seed": explain.seed, "tolerance": explain.tolerance}


def _how(stated: Mapping[str, Any]) -> Document:
    flavor = stated["flavors"]["sklearn"]
    return {
        "file": f"{FOLDER}/{flavor['pickled_model']}", "format": flavor["serialization_format"],
        "trusted_types": list(flavor.get("skops_trusted_types") or []),
    }  # fmt: skip


def _probe(reference: parity.Reference, trained_on: "pd.DataFrame", signature: Signature, tolerance: float) -> Document:
    """Return rows with the answers of the model itself, spread over the rows and over the classes that it predicts.

    It is asked about these rows alone: the answers of some models depend on the rows beside.
    """
    labels = reference.answers.labels
    chosen = spread(labels if reference.classes else [None] * len(labels), PROBE_ROWS)
    columns = [[values[row] for row in chosen] for values in reference.rows.values]
    answers = Answers.of(reference.engine.answers(trained_on.iloc[chosen]))
    return {
        "inputs": {"columns": signature.names, "data": [list(row) for row in zip(*columns, strict=True)]},
        "outputs": answers.labels, "probabilities": answers.probabilities, "tolerance": tolerance,
    }  # fmt: skip


def _copy_code(target: Path, *, explains: bool) -> None:
    """Copy what runs in the image: the service, and of the rest only what explains, where that is wanted."""
    package = Path(__file__).parents[2]
    copied = target / package.name
    copied.mkdir(parents=True)
    for name in ("__init__.py", *(("errors.py",) if explains else ())):
        shutil.copyfile(package / name, copied / name)
    for name in ("serving", *(("explanation",) if explains else ())):
        shutil.copytree(package / name, copied / name, ignore=shutil.ignore_patterns("__pycache__"))
