"""What converts answers as scikit-learn does, to the last bit where it is ours; what does not, goes through scikit-learn."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor, RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler
from sklearn.svm import SVC
from tests.serving.models import table, target
from threadpoolctl import threadpool_limits

from model_ci.serving import engine
from model_ci.serving.comparison import Answers
from model_ci.serving.onnx_engine import OnnxEngine
from model_ci.serving.signature import Column, Rows, Signature
from model_ci.serving.sklearn_engine import ARRAY, SklearnEngine
from model_ci.stages.build_image import onnx, parity
from model_ci.stages.build_image.converters import UnconvertibleError

KINDS = {"size": "double", "count": "long", "kind": "string", "grade": "double", "open": "boolean"}
CODES = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=np.nan)
BOOST = {"max_iter": 12, "min_samples_leaf": 5, "random_state": 0}


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Threads that wait for each other on a busy machine take a hundred times as long."""
    with threadpool_limits(1):
        yield


def signature(rows: pd.DataFrame) -> Signature:
    return Signature([Column(name=n, type=KINDS[n], required=True) for n in rows.columns])


def as_rows(rows: pd.DataFrame) -> Rows:
    given = {n: [None if pd.isna(v) else v for v in rows[n].tolist()] for n in rows.columns}
    return signature(rows).rows(given, len(rows))


def labels(rows: pd.DataFrame, kind: str) -> Any:
    yes = target(rows)
    three = yes.astype(int) + (rows["count"] > 25)
    return {"bool": yes, "int": yes.astype(int), "three": np.array(["low", "mid", "top"])[three], "number": rows["count"] * 0.7 + yes}[kind]  # fmt: skip


def boosting(kind: str, **more: Any) -> Any:
    """Categories as categories, one of them not text, as the example project has them."""
    model = HistGradientBoostingRegressor if kind == "number" else HistGradientBoostingClassifier
    columns = make_column_transformer((CODES, ["kind", "grade"]), remainder="passthrough")
    return make_pipeline(columns, model(**BOOST, categorical_features=[0, 1], **more))


def reference(estimator: Any, asked: Rows, known: Signature) -> parity.Reference:
    itself = SklearnEngine(estimator, known)
    answers = Answers.of(engine.ask(itself, asked))
    return parity.Reference(
        rows=asked, answers=answers, engine=itself, columns=known.columns, classes=hasattr(estimator, "classes_")
    )


def compared(estimator: Any, rows: pd.DataFrame, kind: str) -> tuple[parity.Parity, parity.Parity]:
    """Return the parity of the graph, and that of the arrays."""
    known = signature(rows)
    classes = [] if kind == "number" else estimator.classes_.tolist()
    graph = OnnxEngine(onnx.convert(estimator, known.columns), known, classes, 1)
    arrays = SklearnEngine(estimator, known, ARRAY)
    model = reference(estimator, as_rows(table(200, seed=1)[list(rows.columns)]), known)
    return model.compare(graph, 1e-12), model.compare(arrays, 1e-12)


@pytest.mark.parametrize("kind", ["bool", "int", "three", "number"])
def test_boosting_with_categories_and_gaps_is_the_same_to_the_last_digits(kind: str) -> None:
    rows = table()
    estimator = boosting(kind).fit(rows, labels(rows, kind))
    for found in compared(estimator, rows, kind):
        assert found.holds, found
        assert found.rows > 200


@pytest.mark.parametrize("kind", ["int", "three", "number"])
def test_boosting_on_numbers_alone(kind: str) -> None:
    rows = table()[["size", "count", "grade"]]
    model = HistGradientBoostingRegressor if kind == "number" else HistGradientBoostingClassifier
    estimator = model(**BOOST).fit(rows, labels(table(), kind))
    for found in compared(estimator, rows, kind):
        assert found.holds, found


@pytest.mark.parametrize("loss", ["absolute_error", "poisson", "gamma", "quantile"])
def test_boosting_with_another_loss(loss: str) -> None:
    rows = table()
    more = {"loss": loss} | ({"quantile": 0.3} if loss == "quantile" else {})
    for found in compared(boosting("number", **more).fit(rows, labels(rows, "number") + 1), rows, "number"):
        assert found.holds, found


def test_trees_of_one_leaf() -> None:
    rows = table(30)
    estimator = boosting("int").fit(rows, np.r_[np.zeros(15), np.ones(15)].astype(int))
    estimator.set_params(histgradientboostingclassifier__min_samples_leaf=20).fit(rows, np.arange(30) % 2)
    for found in compared(estimator, rows, "int"):
        assert found.holds, found


def test_a_linear_model_behind_encoders_agrees_on_what_it_refuses_too() -> None:
    rows = table().dropna()[["size", "count", "kind"]]
    encode = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore"), ["kind"]), (StandardScaler(), ["size", "count"])
    )
    estimator = make_pipeline(encode, LogisticRegression()).fit(rows, labels(rows.assign(grade=1.0), "int"))
    known = signature(rows)
    graph = OnnxEngine(onnx.convert(estimator, known.columns), known, [0, 1], 1)
    asked = as_rows(table(200, seed=1)[list(rows.columns)].dropna())
    found = reference(estimator, asked, known).compare(graph, 1e-6)
    assert found.labels_equal
    assert found.max_abs_difference < 1e-6


def test_a_graph_that_answers_what_the_model_refuses_is_no_parity() -> None:
    rows = table()[["size", "count"]].dropna()
    estimator = Ridge().fit(rows, rows["size"])
    known = signature(rows)

    class Lenient(SklearnEngine):
        def predict(self, rows: Rows) -> Any:
            return super().predict(Rows(count=rows.count, values=[[v or 0.0 for v in c] for c in rows.values]))

    found = reference(estimator, as_rows(rows), known).compare(Lenient(estimator, known), 1e-6)
    assert not found.refused_alike
    assert not found.holds


def test_another_model_is_no_parity() -> None:
    rows = table()[["size", "count"]]
    one, other = (HistGradientBoostingClassifier(max_iter=n).fit(rows, labels(table(), "int")) for n in (1, 20))
    known = signature(rows)
    found = reference(other, as_rows(rows), known).compare(SklearnEngine(one, known), 1e-6)
    assert not found.holds


@pytest.mark.parametrize(
    ("estimator", "why"),
    [
        (make_pipeline(make_column_transformer((OrdinalEncoder(), ["kind"]), remainder="drop"), Ridge()), "unknown"),
        (HistGradientBoostingClassifier(max_iter=2, categorical_features="from_dtype"), "text"),
    ],
)
def test_what_cannot_be_converted_says_why(estimator: Any, why: str) -> None:
    rows = table()[["size", "kind"]].dropna()
    if isinstance(estimator, HistGradientBoostingClassifier):
        rows = rows.assign(kind=rows["kind"].astype("category"))
    estimator.fit(rows, rows["size"] > 0)
    with pytest.raises(UnconvertibleError) as refused:
        onnx.convert(estimator, signature(rows).columns)
    assert why in str(refused.value)


def test_a_column_of_times_is_not_for_onnx() -> None:
    with pytest.raises(UnconvertibleError, match="at"):
        onnx.convert(Ridge(), [Column(name="at", type="datetime", required=True)])


@pytest.mark.parametrize("estimator", [RandomForestClassifier(n_estimators=5, random_state=0), SVC(), SimpleImputer()])
def test_arrays_are_taken_only_where_they_answer_alike(estimator: Any) -> None:
    rows = table()[["size", "count"]].fillna(0.0)
    known = signature(rows)
    final = SVC() if isinstance(estimator, SimpleImputer) else estimator
    steps = [estimator, final] if final is not estimator else [final]
    fitted = make_pipeline(*steps).fit(rows, labels(table(), "int"))
    found = reference(fitted, as_rows(rows), known).compare(SklearnEngine(fitted, known, ARRAY), 1e-12)
    assert found.holds
