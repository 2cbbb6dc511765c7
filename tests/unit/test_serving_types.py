"""A model gets from a request what it was trained on, whatever the type of a column; else it is not served."""

import datetime as dt
import decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, RegressorMixin
from tests.serving import models
from tests.serving.asking import app, ask

from model_ci import model
from model_ci.errors import ConfigError
from model_ci.stages.build_image import bundle

ROWS = 120
BERLIN = pd.date_range("2026-03-28", periods=ROWS, freq="53min", tz="Europe/Berlin")  # the clocks change in between


class Seen(RegressorMixin, BaseEstimator):  # type: ignore[misc]
    """Tells in a number what it was given: the type of the column, and the value in that type."""

    def fit(self, rows: pd.DataFrame, target: Any) -> "Seen":
        self.dtype_ = str(rows["x"].dtype)
        return self

    def predict(self, rows: pd.DataFrame) -> Any:
        column = rows["x"]
        other = 0.0 if str(column.dtype) == self.dtype_ else 1000.0
        if hasattr(column, "dt"):
            return np.array([-1.0 if pd.isna(v) else other + v.hour + v.minute / 60 for v in column])
        return np.array([other + len(str(value)) for value in column.tolist()])


class Values(Seen):
    """Looks at the values alone, as the encoders of scikit-learn do."""

    def predict(self, rows: pd.DataFrame) -> Any:
        return np.array([float(len(str(value))) for value in rows["x"].tolist()])


EXACT: dict[str, Any] = {
    "zoned": BERLIN,
    "zoned, in nanoseconds": BERLIN.as_unit("ns"),
    "zoned, by an offset": BERLIN.tz_convert("+05:30"),
    "in UTC": BERLIN.tz_convert("UTC"),
    "naive": BERLIN.tz_localize(None),
    "naive, in milliseconds": BERLIN.tz_localize(None).as_unit("ms"),
    "dates": BERLIN.tz_localize(None).normalize().as_unit("s"),
    "times with gaps": BERLIN.where(np.arange(ROWS) % 7 > 0),
    "booleans": np.arange(ROWS) % 3 == 0,
    "whole numbers": np.arange(ROWS),
    "small whole numbers": np.arange(ROWS, dtype="int32"),
    "numbers": np.arange(ROWS) / 7,
    "small numbers": (np.arange(ROWS) / 7).astype("float32"),
    "text": np.where(np.arange(ROWS) % 2, "a", "bcd"),
}
EXACT["categories"] = pd.Categorical(EXACT["text"])
BY_VALUE: dict[str, Any] = {
    "tiny whole numbers": np.arange(ROWS, dtype="int8"),
    "whole numbers that may be absent": pd.array(EXACT["whole numbers"], dtype="Int64"),
    "booleans that may be absent": pd.array(EXACT["booleans"], dtype="boolean"),
}
REFUSED: dict[str, Any] = {
    "decimals": [decimal.Decimal(i) / 4 for i in range(ROWS)],
    "bytes": [b"ab"] * ROWS,
    "dates as objects": [day.date() for day in BERLIN],
    "times of the day": [dt.time(1)] * ROWS,
    "durations": pd.to_timedelta(np.arange(ROWS), unit="h"),
    "lists": [[1, 2]] * ROWS,
    "mixed": [1, "a"] * (ROWS // 2),
    "complex numbers": np.arange(ROWS) * 1j,
}


def served(folder: Path, column: Any, kind: type[Seen] = Seen) -> tuple[Any, pd.DataFrame, Any]:
    rows = pd.DataFrame({"x": column})
    estimator = kind().fit(rows, None)
    made = models.make(folder, estimator, rows, task="regression", engine="sklearn")
    return estimator, rows, app(made.folder)


def sent(rows: pd.DataFrame) -> dict[str, Any]:
    plain = [None if pd.isna(v) else v.isoformat() if hasattr(v, "isoformat") else v for v in rows["x"].astype(object)]
    return {"inputs": {"x": [v.item() if hasattr(v, "item") else v for v in plain]}}


@pytest.mark.parametrize("kind", EXACT)
def test_a_request_brings_what_training_had(tmp_path: Path, kind: str) -> None:
    estimator, rows, service = served(tmp_path, EXACT[kind])
    answer = ask(service, "POST", "/invocations", sent(rows))
    assert answer.json["predictions"] == estimator.predict(rows).tolist()
    assert max(answer.json["predictions"]) < 1000


@pytest.mark.parametrize("kind", BY_VALUE)
def test_another_type_is_served_where_the_answers_are_the_same_and_only_there(tmp_path: Path, kind: str) -> None:
    estimator, rows, service = served(tmp_path, BY_VALUE[kind], Values)
    assert ask(service, "POST", "/invocations", sent(rows)).json["predictions"] == estimator.predict(rows).tolist()
    (tmp_path / "other").mkdir()
    with pytest.raises(ConfigError, match="answers otherwise once its rows were sent as JSON") as refused:
        served(tmp_path / "other", BY_VALUE[kind])
    assert str(pd.Series(BY_VALUE[kind]).dtype) in str(refused.value)


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of text, saved, to be served with rows of another type; MLflow itself refuses some of them."""
    folder = tmp_path_factory.mktemp("types")
    rows = pd.DataFrame({"x": EXACT["text"]})
    models.make(folder, Values().fit(rows, None), rows, task="regression")
    return folder / "saved"


@pytest.mark.parametrize("kind", REFUSED)
def test_what_json_cannot_carry_is_not_served(saved: Path, tmp_path: Path, kind: str) -> None:
    rows = pd.DataFrame({"x": REFUSED[kind]})
    source = bundle.Source(
        folder=saved, files=model.hash_files(saved), estimator=Values().fit(rows, None), columns=["x"], classes=[],
        name="shop", task="regression", run_id="r",
    )  # fmt: skip
    (tmp_path / "other").mkdir()
    with pytest.raises(ConfigError) as refused:
        bundle.create(source, rows, tmp_path / "other")
    assert "build-image: " in str(refused.value)


def test_the_same_moment_is_the_same_however_its_offset_is_written(tmp_path: Path) -> None:
    _, _, service = served(tmp_path, BERLIN)
    bodies = [{"inputs": {"x": [time]}} for time in ("2026-07-01T20:30:00+02:00", "2026-07-01T18:30:00Z")]
    assert [ask(service, "POST", "/invocations", body).json["predictions"] for body in bodies] == [[20.5], [20.5]]


@pytest.mark.parametrize(
    ("kind", "time", "why"),
    [
        ("zoned", "2026-07-01T20:30:00", "with its offset"),
        ("naive", "2026-07-01T20:30:00Z", "without an offset"),
        ("naive", "2026-07-01T20:30:00+02:00", "without an offset"),
        ("zoned, in nanoseconds", "0001-01-01T00:00:00Z", "the model refuses it"),
    ],
)
def test_a_time_whose_meaning_is_not_known_is_refused(tmp_path: Path, kind: str, time: str, why: str) -> None:
    _, _, service = served(tmp_path, EXACT[kind])
    answer = ask(service, "POST", "/invocations", {"inputs": {"x": [time]}})
    assert answer.status == 422
    assert why in answer.json["error"]


class Dropping(Seen):
    """Leaves out rows without a value."""

    def predict(self, rows: pd.DataFrame) -> Any:
        return rows["x"].dropna().to_numpy(dtype=float)


def test_a_model_that_drops_rows_of_the_data_is_not_served(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=rf"gives {ROWS - 1} predictions for {ROWS} rows"):
        served(tmp_path, np.where(np.arange(ROWS) == 40, np.nan, 1.0), Dropping)
