"""Going on from a fitted model, and which rows are learnt from."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier

from model_ci.config import Sample
from model_ci.errors import ConfigError
from model_ci.stages.train import boosting, change, sample

DRAW = np.random.default_rng


def wanted(**keys: Any) -> Sample:
    return Sample(**({"rows": 500, "by": "stratified", "half_life": None, "max_distance": None} | keys))


def frame(count: int = 4000, seed: int = 0) -> pd.DataFrame:
    draw = DRAW(seed)
    return pd.DataFrame(
        {
            "t": pd.Timestamp("2024-01-01") + pd.to_timedelta(np.arange(count) // 40, "D"),
            "x": draw.normal(size=count),
            "kind": draw.choice(["a", "b", None], count),
            "y": (draw.random(count) < 0.03).astype(int),
        }
    )


def boosted(shift: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    draw = DRAW(seed)
    x = draw.normal(shift, 1 + shift, size=(3000, 2))
    return x, (np.sin(x[:, 0]) + 0.3 * draw.normal(size=3000) > 0).astype(int)


def test_boosting_asks_its_trees_about_the_new_rows_rightly() -> None:
    rows, (new, _) = boosted(0, 1), boosted(4, 2)
    model = HistGradientBoostingClassifier(max_iter=5, early_stopping=False, random_state=0).fit(*rows)
    said = model.decision_function(new)
    with boosting.going_on(model):
        inside = model._raw_predict(model._bin_data(new, None, True), n_threads=1)
        by_bins = type(model)._predict_iterations
        asked = np.zeros_like(inside) + model._baseline_prediction
        by_bins(model, model._bin_mapper.transform(new), model._predictors, asked, is_binned=True, n_threads=1)
    assert np.allclose(inside.ravel(), said)
    assert not np.allclose(asked.ravel(), said, atol=0.1)  # as scikit-learn asks them
    assert not {"_bin_data", "_raw_predict", "_preprocess_X"} & set(vars(model))


def test_a_category_keeps_its_code_when_others_are_absent() -> None:
    kinds = np.repeat(np.arange(8.0), 200)[:, None]
    answers = (kinds[:, 0] % 2 == 0).astype(int)
    model = HistGradientBoostingClassifier(
        max_iter=20, early_stopping=False, random_state=0, categorical_features=[0], min_samples_leaf=5
    ).fit(kinds, answers)
    model.set_params(warm_start=True, max_iter=22)
    with boosting.going_on(model):
        model.fit(kinds[1000:], answers[1000:])
    assert (model.predict(kinds) == answers).all()


@pytest.mark.parametrize("at", [60, 180, 320])
def test_a_change_is_found_where_it_is(at: int) -> None:
    draw = DRAW(at)
    values = np.where(np.arange(365) < at, 0.2, 0.35) + draw.normal(0, 0.08, 365)
    (found,) = change.find({"loss": values}, np.arange(365), 0.95)
    assert abs(found.row - at) <= 10


def test_where_nothing_changes_none_is_found() -> None:
    alarms = [change.find({"x": DRAW(i).beta(2, 8, 365)}, np.arange(365), 0.95) for i in range(60)]
    assert sum(map(bool, alarms)) <= 3


@pytest.mark.parametrize("values", [np.full(100, 3.0), np.full(100, np.nan), np.arange(10.0)])
def test_what_is_constant_absent_or_short_tells_of_no_change(values: np.ndarray) -> None:
    assert change.find({"x": values}, np.arange(len(values)), 0.95) == []


def test_rows_of_a_block_count_as_one() -> None:
    draw = DRAW(3)
    days = np.repeat(draw.normal(0.25, 0.15, 200), 50)  # each day its own weather
    assert change.find({"x": days}, np.arange(10_000), 0.95)
    assert change.find({"x": days}, np.arange(10_000) // 50, 0.95) == []


@pytest.mark.parametrize(("by", "half_life"), [("stratified", None), ("reservoir", None), ("decayed", "20d")])
def test_a_sample_has_its_size_and_is_the_same_again(by: str, half_life: str | None) -> None:
    rows = frame()
    one, two, other = (sample.draw(rows, wanted(by=by, half_life=half_life), "y", "t", seed) for seed in (1, 1, 2))
    assert len(set(one.index.tolist())) == 500
    assert (one.index == two.index).all()
    assert (one.index != other.index).any()
    assert all(d.distance <= d.allowed for d in one.distances)


def test_strata_have_their_share_to_a_row() -> None:
    rows = frame()
    drawn = sample.draw(rows, wanted(), "y", "t", 0)
    assert abs(rows.y.iloc[drawn.index].sum() - rows.y.sum() * 500 / 4000) < 1


def test_newer_rows_are_likelier_by_their_half_life() -> None:
    drawn = sample.draw(frame(), wanted(by="decayed", half_life="20d"), "y", "t", 0)
    day = drawn.index // 40
    newest, before = ((day >= 80) & (day < 100)).sum(), ((day >= 60) & (day < 80)).sum()
    assert 1.6 < newest / before < 2.5


def test_a_reservoir_keeps_its_rows_when_others_come() -> None:
    few, many = frame(4000), frame(4000)
    many = pd.concat([few, frame(400, seed=9)], ignore_index=True)
    before = set(sample.draw(few, wanted(by="reservoir"), "y", "t", 0).index.tolist())
    after = set(sample.draw(many, wanted(by="reservoir"), "y", "t", 0).index.tolist())
    assert len(before & after) > 400


def test_the_whole_represents_itself_and_a_part_of_it_may_not() -> None:
    assert max(d.distance for d in sample.draw(frame(300), wanted(), "y", "t", 0).distances) == 0
    with pytest.raises(ConfigError, match="500 rows do not represent all: their distribution is"):
        sample.draw(frame(), wanted(max_distance=1e-6), "y", "t", 0)


def test_the_check_sees_a_sample_of_other_rows() -> None:
    rows = frame()
    newest = np.arange(3500, 4000)
    far = {d.column: d.distance > d.allowed for d in sample._distances(rows, newest, np.full(4000, 0.125), None)}
    assert far == {"t": True, "x": False, "kind": False, "y": False}
