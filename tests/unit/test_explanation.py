"""Attributions on input columns: exact where the structure allows it, sampled where not, and always adding up."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import make_column_transformer
from sklearn.decomposition import PCA
from sklearn.ensemble import GradientBoostingClassifier, HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.feature_selection import SelectKBest, VarianceThreshold
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, PoissonRegressor, Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline, make_union
from sklearn.preprocessing import (
    FunctionTransformer,
    KBinsDiscretizer,
    Normalizer,
    OneHotEncoder,
    OrdinalEncoder,
    StandardScaler,
    TargetEncoder,
)
from sklearn.svm import SVC

from model_ci.explanation import sampled
from model_ci.explanation.attributions import Attributions
from model_ci.explanation.explainer import Terms, draw, explain
from model_ci.explanation.lineage import UnknownLineageError, trace
from model_ci.stages.explain import figures, gate
from model_ci.stages.explain.importance import ColumnImportance, changes, importance

TOLERANCE = 1e-3


def table(rows: int = 400, seed: int = 0) -> pd.DataFrame:
    """`size` and `kind` decide, `age` has gaps, `flat` never changes, `text` is noise."""
    random = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "size": random.normal(size=rows),
            "age": random.integers(1, 90, rows).astype(float),
            "kind": random.choice(["a", "b", "c"], rows),
            "flat": 1.0,
            "text": random.choice(["red car", "blue car", "red boat"], rows),
        }
    )
    frame.loc[::9, "age"] = np.nan
    return frame


def label(frame: pd.DataFrame) -> np.ndarray:
    return (frame["size"] + (frame["kind"] == "a") > 0.4).to_numpy().astype(int)


def encoded(final: Any) -> Any:
    """A pipeline with one of each that is met in practice."""
    return make_pipeline(
        make_column_transformer(
            (OneHotEncoder(handle_unknown="ignore"), ["kind"]),
            (make_pipeline(SimpleImputer(add_indicator=True), StandardScaler()), ["size", "age", "flat"]),
            (TfidfVectorizer(), "text"),
        ),
        final,
    )


def attributed(model: Any, task: str, rows: pd.DataFrame, classes: list[Any]) -> Attributions:
    return explain(model, rows, table(200, 7), Terms(task=task, classes=classes, seed=0, tolerance=TOLERANCE))


def shares(found: Attributions) -> dict[str, float | None]:
    return {column.name: column.share for column in importance(found)}


BINARY = [
    (encoded(LogisticRegression()), "linear", "log-odds"),
    (encoded(RandomForestClassifier(20, random_state=0)), "tree", "probability"),
    (
        make_pipeline(
            make_column_transformer((OrdinalEncoder(), ["kind", "text"]), remainder="passthrough"),
            HistGradientBoostingClassifier(max_iter=20),
        ),
        "tree",
        "log-odds",
    ),
    (encoded(GradientBoostingClassifier(n_estimators=10)), "tree", "log-odds"),
    (encoded(GridSearchCV(LogisticRegression(), {"C": [0.1, 1]}, cv=2)), "linear", "log-odds"),
    (encoded(SVC()), "sampled", "margin"),
]


@pytest.mark.parametrize(("model", "explainer", "scale"), BINARY, ids=lambda value: str(value)[:12])
def test_attributions_of_input_columns_add_up_to_the_output(model: Any, explainer: str, scale: str) -> None:
    train, rows = table(), table(40, 1)
    model.fit(train, label(train))
    found = attributed(model, "binary", rows, [0, 1])
    assert (found.explainer, found.scale) == (explainer, scale)
    assert list(found.columns) == list(rows.columns)
    assert found.values.shape == (40, 5, 1)
    asked = model.predict_proba(rows)[:, 1] if scale == "probability" else model.decision_function(rows)
    assert found.values.sum(axis=(1, 2)) + found.base[0] == pytest.approx(asked, abs=1e-6)
    ranked = importance(found)
    assert {ranked[0].name, ranked[1].name} == {"size", "kind"}
    assert sum(column.share or 0 for column in ranked) == pytest.approx(1)
    assert shares(found)["flat"] == pytest.approx(0, abs=1e-12)


def test_one_hot_parts_are_summed_back_as_by_hand() -> None:
    train, rows = table(), table(30, 1)
    model = make_pipeline(
        make_column_transformer((OneHotEncoder(), ["kind"]), ("passthrough", ["size"])), LogisticRegression()
    ).fit(train[["size", "kind"]], label(train))
    background = table(200, 7)
    found = attributed(model, "binary", rows[["size", "kind"]], [0, 1])
    weights = model[-1].coef_[0]
    parts = weights * (model[:-1].transform(rows) - model[:-1].transform(background).mean(axis=0))
    assert found.values[:, list(found.columns).index("kind"), 0] == pytest.approx(parts[:, :3].sum(axis=1))
    assert found.values[:, list(found.columns).index("size"), 0] == pytest.approx(parts[:, 3])


def test_a_number_is_explained_as_it_is() -> None:
    train, rows = table(), table(30, 1)
    model = encoded(Ridge()).fit(train, 1000 * train["size"] + 5)
    found = attributed(model, "regression", rows, [])
    assert (found.explainer, found.scale) == ("linear", "output")
    assert found.values.sum(axis=(1, 2)) + found.base[0] == pytest.approx(model.predict(rows))
    assert (shares(found)["size"] or 0) > 0.9


def test_several_classes_have_an_attribution_each() -> None:
    train, rows = table(), table(30, 1)
    target = train["kind"].map({"a": "x", "b": "y", "c": "z"})
    for final, scale in ((LogisticRegression(), "log-odds"), (RandomForestClassifier(10, random_state=0), "probability")):  # fmt: skip
        model = encoded(final).fit(train, target)
        found = attributed(model, "multiclass", rows, list(model.classes_))
        assert found.scale == scale
        assert found.values.shape == (30, 5, 3)
        assert found.holds(TOLERANCE)
        assert importance(found)[0].name == "kind"


def test_what_does_not_add_up_is_sampled_and_says_why() -> None:
    train, rows = table(), table(20, 1)
    model = encoded(PoissonRegressor()).fit(train, np.exp(train["size"]))
    found = attributed(model, "regression", rows, [])
    assert found.explainer == "sampled"
    assert "miss the model's output" in str(found.note)
    assert found.error < 1e-9


def test_columns_that_are_mixed_are_not_summed_back() -> None:
    train, rows = table(), table(20, 1)
    mixed = make_pipeline(make_column_transformer((PCA(1), ["size", "flat"])), LogisticRegression())
    found = attributed(mixed.fit(train, label(train)), "binary", rows, [0, 1])
    assert (found.explainer, found.note) == ("sampled", "PCA may mix its columns")
    assert shares(found)["kind"] == 0
    assert (shares(found)["size"] or 0) == pytest.approx(1)


class Constant:
    """No estimator of scikit-learn: it has `predict`, and that is all."""

    def predict(self, rows: pd.DataFrame) -> np.ndarray:
        assert set(rows["kind"]) <= {"a", "b", "c"}, "text must stay text"
        return np.full(len(rows), 3.0)


def test_any_model_with_predict_is_explained_by_asking() -> None:
    found = attributed(Constant(), "regression", table(25), [])
    assert found.explainer == "sampled"
    assert [column.share for column in importance(found)] == [0.0] * 5
    assert found.base.tolist() == [3.0]


def test_labels_are_explained_where_there_is_nothing_else() -> None:
    class Labels:
        def predict(self, rows: pd.DataFrame) -> np.ndarray:
            return np.where(rows["kind"] == "a", "yes", "no")

    found = attributed(Labels(), "binary", table(25), ["no", "yes"])
    assert found.scale == "label"
    assert shares(found) == {"kind": 1.0, "size": 0.0, "age": 0.0, "flat": 0.0, "text": 0.0}


def test_sampling_comes_to_what_shap_finds_by_trying_everything() -> None:
    import shap

    def ask(points: Any) -> np.ndarray:
        at = np.asarray(points, dtype=float)
        return at[:, 0] * at[:, 1] + at[:, 2]

    rows = pd.DataFrame(np.random.default_rng(0).normal(size=(20, 3)), columns=list("abc"))
    behind = pd.DataFrame(np.random.default_rng(1).normal(size=(sampled.PERMUTATIONS, 3)), columns=list("abc"))
    exact = shap.KernelExplainer(ask, behind.to_numpy()).shap_values(rows.to_numpy(), silent=True)
    found = sampled.attribute(lambda points: ask(points)[:, None], rows, behind, 0)
    # A product of two columns is halved between them by each permutation and its reverse: nothing is left to chance.
    assert found.values[:, :, 0] == pytest.approx(exact, abs=1e-6)


def test_the_same_seed_gives_the_same() -> None:
    train, rows = table(), table(20, 1)
    model = encoded(SVC()).fit(train, label(train))
    first, second = (attributed(model, "binary", rows, [0, 1]) for _ in range(2))
    assert (first.values == second.values).all()
    assert draw(train, 10, 3).index.tolist() == draw(train, 10, 3).index.tolist()


def test_a_slow_model_is_explained_by_fewer_permutations_and_says_so() -> None:
    found = sampled.attribute(lambda points: np.zeros((len(points), 1)), table(20), table(5, 1), 0, limit_s=0.0)
    assert found.permutations == 2
    assert found.note == "stopped after 1 of 16 permutations, because the model is slow"


def test_wide_tables_are_bounded() -> None:
    assert sampled.affordable_rows(10) == 284
    assert sampled.affordable_rows(5000) == 20


def test_nan_is_no_attribution() -> None:
    class Nan:
        def predict(self, rows: pd.DataFrame) -> np.ndarray:
            return np.full(len(rows), np.nan)

    found = attributed(Nan(), "regression", table(25), [])
    assert not found.holds(TOLERANCE)
    assert [column.share for column in importance(found)] == [None] * 5


@pytest.mark.parametrize(
    ("transformer", "columns", "expected"),
    [
        (StandardScaler(), ["size", "flat"], [0, 1]),
        (OneHotEncoder(), ["kind", "text"], [0, 0, 0, 1, 1, 1]),
        (OneHotEncoder(drop="first"), ["kind", "text"], [0, 0, 1, 1]),
        (OneHotEncoder(min_frequency=1000), ["kind", "text"], [0, 1]),
        (SimpleImputer(add_indicator=True), ["size", "age"], [0, 1, 1]),
        (KBinsDiscretizer(3, quantile_method="averaged_inverted_cdf"), ["size", "flat"], None),
        (TargetEncoder(), ["kind", "text"], [0, 1]),
        (VarianceThreshold(), ["size", "flat"], [0]),
        (SelectKBest(k=1), ["flat", "size"], [1]),
        (FunctionTransformer(np.abs), ["size", "flat"], [0, 1]),
        (make_union(StandardScaler(), "passthrough"), ["size", "flat"], [0, 1, 0, 1]),
        (make_pipeline(OneHotEncoder(sparse_output=False), PCA(2)), ["kind"], [0, 0]),
        (make_column_transformer((StandardScaler(), ["flat"]), remainder="passthrough"), ["size", "flat"], [1, 0]),
        (make_column_transformer(("drop", ["size"]), remainder=StandardScaler()), ["size", "flat"], [1]),
    ],
    ids=lambda value: type(value).__name__,
)
@pytest.mark.filterwarnings("ignore")
def test_where_encoded_columns_come_from(transformer: Any, columns: list[str], expected: list[int] | None) -> None:
    frame = table()
    made = transformer.fit(frame[columns], label(frame)).transform(frame[columns])
    found = trace(transformer, range(len(columns)), made.shape[1])
    assert len(found) == made.shape[1]
    assert expected is None or found == expected
    for name in columns:  # what is traced to a column changes with that column alone
        other = frame[columns].assign(**{name: frame[name].to_numpy()[::-1]})
        moved = abs(np.asarray(_dense(transformer.transform(other)) - _dense(made))).max(axis=0) > 0
        assert {found[i] for i in moved.nonzero()[0]} <= {columns.index(name)}


def _dense(table: Any) -> Any:
    return table.toarray() if hasattr(table, "toarray") else np.asarray(table)


@pytest.mark.parametrize("mixing", [Normalizer(), PCA(2), FunctionTransformer(lambda x: x)])
def test_a_transformer_that_may_mix_columns_is_not_trusted(mixing: Any) -> None:
    with pytest.raises(UnknownLineageError):
        trace(mixing.fit(table()[["size", "flat"]]), [0, 1], 2)


def column(name: str, share: float | None) -> ColumnImportance:
    return ColumnImportance(name=name, share=share, mean_abs=share)


def test_a_share_is_judged_and_what_the_model_does_not_see_has_none() -> None:
    limits = {"leak": 0.3, "kind": 0.5, "never": 0.0}
    outcomes = gate.judge_shares(limits, [column("leak", 0.8), column("kind", 0.2)], None)
    assert [outcome.state for outcome in outcomes] == ["failed", "passed", "passed"]
    assert outcomes[0].reason == "leak has 80.0% of the attribution, 30.0% allowed"
    assert gate.verdict(outcomes, None, broken=False)[0] == "failed"


def test_attributions_that_cannot_be_relied_on_pass_no_gate() -> None:
    outcomes = gate.judge_shares({"kind": 1.0}, [column("kind", 0.2)], "they do not add up")
    assert gate.verdict(outcomes, "they do not add up", broken=False) == ("failed", "they do not add up")
    assert gate.judge_shares({"kind": 1.0}, [column("kind", None)], None)[0].state == "failed"
    assert gate.verdict([], "no numbers", broken=True)[0] == "failed"
    assert gate.verdict([], None, broken=False)[0] == "done"


def test_a_shift_is_judged_against_a_champion_that_was_explained() -> None:
    moved = changes([column("a", 0.7), column("b", 0.3)], [column("b", 0.9), column("c", 0.1)])
    assert [(c.name, round(c.shift, 6), c.rank, c.champion_rank) for c in moved] == [
        ("a", 0.7, 1, None), ("b", -0.6, 2, 1), ("c", -0.1, None, 2),
    ]  # fmt: skip
    assert gate.judge_shift(0.5, moved, None, None)[0].state == "failed"
    assert gate.judge_shift(0.7, moved, None, None)[0].state == "passed"
    assert gate.judge_shift(0.5, None, None, None)[0].state == "no champion"
    assert gate.judge_shift(0.5, None, None, "cannot be explained")[0].state == "failed"
    assert gate.judge_shift(None, moved, None, None) == []
    assert changes([column("a", None)], [column("a", 1.0)]) == []


@pytest.mark.slow
def test_figures_are_drawn_of_whatever_there_is(tmp_path: Path) -> None:
    rows = table(60).assign(when=pd.Timestamp("2024-01-01"), yes=True)
    rows["$x^2$\n<b>"] = [f"name {i}" for i in range(60)]
    values = np.random.default_rng(0).normal(size=(60, rows.shape[1], 3))
    found = Attributions(
        explainer="tree", scale="log-odds", columns=list(rows.columns), values=values, base=np.zeros(3),
        outputs=values.sum(axis=1),
    )  # fmt: skip
    columns: list[ColumnImportance] = importance(found)
    figures.draw(tmp_path, found, rows, columns, [ColumnImportance(name="size", share=1.0, mean_abs=1.0)])
    names = [f"{name}.{kind}" for name in ("dependence", "importance", "summary") for kind in ("png", "svg")]
    assert sorted(file.name for file in tmp_path.iterdir()) == names
    assert "&lt;b&gt;" in (tmp_path / "importance.svg").read_text()
    assert all(file.stat().st_size < 300_000 for file in tmp_path.iterdir())
    first = (tmp_path / "summary.svg").read_bytes()
    figures.draw(tmp_path, found, rows, columns, None)
    assert (tmp_path / "summary.svg").read_bytes() == first
