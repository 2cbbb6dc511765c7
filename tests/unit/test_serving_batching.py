"""Requests that wait together are asked about together, and nobody's answer depends on who else asks."""

import asyncio
import json
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin
from tests.serving import models
from tests.serving.asking import app, ask, ask_at_once

from model_ci.serving import batching
from model_ci.serving.app import App


def bodies(folder: Path, many: int = 32) -> list[dict[str, Any]]:
    said = json.loads((folder / "manifest.json").read_text())["probe"]["inputs"]
    return [{"dataframe_split": {"columns": said["columns"], "data": [row]}} for row in said["data"][:many]]


def calls(served: App) -> int:
    return sum(served.service.metrics.model_seconds.counts)


@pytest.fixture(params=["small_bundle", "small_bundle_sklearn"])
def either(request: pytest.FixtureRequest) -> Path:
    return request.getfixturevalue(request.param)  # type: ignore[no-any-return]


def test_each_gets_to_the_bit_what_it_gets_alone_and_the_model_is_asked_once(either: Path) -> None:
    served = app(either)
    assert ask(served, "GET", "/version").json["batches"] is True
    sent = bodies(either)
    alone = [ask(served, "POST", "/invocations", body).body for body in sent]
    before = calls(served)
    together = ask_at_once(served, "/invocations", sent)
    assert [answer.body for answer in together] == alone
    assert len(set(alone)) > 15
    assert calls(served) == before + 1
    assert served.service.metrics.batch_rows.total == 2 * len(sent)


def test_requests_of_several_rows_and_of_both_protocols_are_parted_rightly(small_bundle: Path) -> None:
    served = app(small_bundle)
    rows = [body["dataframe_split"]["data"][0] for body in bodies(small_bundle)]
    columns = bodies(small_bundle)[0]["dataframe_split"]["columns"]
    parts = [rows[:5], rows[5:6], rows[6:17], rows[17:]]
    sent = [{"dataframe_split": {"columns": columns, "data": part}} for part in parts]
    found = [answer.json["predictions"] for answer in ask_at_once(served, "/invocations", sent)]
    assert [len(part) for part in found] == [len(part) for part in parts]
    assert [*chain.from_iterable(found)] == ask(served, "POST", "/invocations", {"instances": rows}).json["predictions"]


def test_one_callers_mistake_is_not_the_others(small_bundle: Path) -> None:
    served = app(small_bundle)
    sent = bodies(small_bundle, 3)
    wrong = json.loads(json.dumps(sent[1]))
    wrong["dataframe_split"]["data"][0][wrong["dataframe_split"]["columns"].index("size")] = "far"
    answers = ask_at_once(served, "/invocations", [sent[0], wrong, sent[2]])
    assert [answer.status for answer in answers] == [200, 422, 200]


class Picky(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Refuses large values, as no signature can."""

    def fit(self, rows: pd.DataFrame, target: Any) -> "Picky":
        self.classes_ = np.array([0, 1])
        return self

    def predict(self, rows: pd.DataFrame) -> Any:
        if (np.asarray(rows)[:, 0] > 100).any():
            raise ValueError("size is above 100")
        return (np.asarray(rows)[:, 0] > 0).astype(int)


class Relative(Picky):
    """Compares each row with the others that it is asked about, which no model should."""

    def predict(self, rows: pd.DataFrame) -> Any:
        size = np.asarray(rows)[:, 0]
        return (size >= size.mean()).astype(int)


def made(folder: Path, estimator: Any) -> App:
    rows = models.table()[["size"]].fillna(0.0)
    bundle = models.make(folder, estimator.fit(rows, None), rows, engine="sklearn")
    return app(bundle.folder)


def test_a_row_that_the_model_refuses_costs_the_others_nothing(tmp_path: Path) -> None:
    served = made(tmp_path, Picky())
    assert served.service.batches
    answers = ask_at_once(served, "/invocations", [{"instances": [[size]]} for size in (-1.0, 1e3, 1.0)])
    assert [answer.status for answer in answers] == [200, 422, 200]
    assert [answers[0].json["predictions"], answers[2].json["predictions"]] == [[0], [1]]
    assert "size is above 100" in answers[1].json["error"]


def test_a_model_that_looks_at_the_other_rows_is_asked_about_each_request_alone(tmp_path: Path) -> None:
    served = made(tmp_path, Relative())
    assert ask(served, "GET", "/version").json["batches"] is False
    answers = ask_at_once(served, "/invocations", [{"instances": [[size]]} for size in (-1.0, 1.0)])
    assert [answer.json["predictions"] for answer in answers] == [[1], [1]]


class Dropping(Picky):
    """Leaves rows without a size out of its answer, which no model should."""

    def predict(self, rows: pd.DataFrame) -> Any:
        size = np.asarray(rows, dtype=float)[:, 0]
        return (size[~np.isnan(size)] > 0).astype(int)


class DroppingLarge(Picky):
    """Leaves out rows that no check at the start sends."""

    def predict(self, rows: pd.DataFrame) -> Any:
        size = np.asarray(rows, dtype=float)[:, 0]
        return (size[~(size >= 100)] > 0).astype(int)


class Malformed(Picky):
    """Answers some rows in another form."""

    def predict(self, rows: pd.DataFrame) -> Any:
        size = np.asarray(rows, dtype=float)[:, 0]
        if (size > 400).any():
            return np.where(size > 0, "yes", "no")
        if (size > 300).any():
            return np.zeros((len(size), 2), dtype=int)
        if (size > 200).any():
            return (size > 0).astype(float)
        return (size > 0).astype(int) if not (size >= 100).any() else np.repeat((size > 0).astype(int), 2)


@pytest.mark.parametrize(
    ("kind", "batches", "bad", "status", "why"),
    [
        (Dropping, False, None, 422, "gives 0 predictions for 1 row"),
        (DroppingLarge, True, 1e3, 422, "gives 0 predictions for 1 row"),
        (Malformed, True, 150.0, 422, "gives 2 predictions for 1 row"),
        (Malformed, True, 250.0, 500, "predictions of type float64"),
        (Malformed, True, 350.0, 500, "predictions of shape (1, 2)"),
        (Malformed, True, 450.0, 500, "where int is expected"),
    ],
)
def test_nobody_gets_the_answer_of_another(
    tmp_path: Path, kind: type[Picky], batches: bool, bad: float | None, status: int, why: str
) -> None:
    served = made(tmp_path, kind())
    assert served.service.batches is batches
    sizes = [1.0, -1.0, bad, 2.0, -2.0, bad, -3.0]
    answers = ask_at_once(served, "/invocations", [{"instances": [[size]]} for size in sizes])
    for size, answer in zip(sizes, answers, strict=True):
        if size == bad:
            assert answer.status == status
            assert why in answer.json["error"]
            assert "predictions" not in answer.json
        else:
            assert answer.json["predictions"] == [int(size > 0)]
    several = ask(served, "POST", "/invocations", {"instances": [[1.0], [bad], [2.0]]})
    assert several.status == status
    if status == 422:
        assert [problem["row"] for problem in several.json["problems"]] == [1]


def test_a_large_request_is_checked_as_well(tmp_path: Path) -> None:
    served = made(tmp_path, DroppingLarge())
    answer = ask(served, "POST", "/invocations", {"instances": [[1.0]] * 6000 + [[1e3]]})
    assert answer.status == 422
    assert "gives 6000 predictions for 6001 rows" in answer.json["error"]


def test_a_call_has_a_bound_and_all_are_answered(small_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batching, "MOST_ROWS", 10)
    served = app(small_bundle)
    sent = bodies(small_bundle)
    large = {"dataframe_split": {**sent[0]["dataframe_split"], "data": sent[0]["dataframe_split"]["data"] * 15}}
    answers = ask_at_once(served, "/invocations", [*sent, large])
    assert [answer.status for answer in answers] == [200] * 33
    assert len(answers[-1].json["predictions"]) == 15
    assert calls(served) == 5


def _request() -> Any:
    from model_ci.serving.exchange import Request

    return Request({"method": "POST", "path": "/invocations", "headers": []}, "1")


def test_a_caller_who_goes_away_leaves_the_others_their_answers(small_bundle: Path) -> None:
    served = app(small_bundle)
    rows = [served._routes.find(_request()).predict(json.dumps(body).encode()).rows for body in bodies(small_bundle, 3)]  # type: ignore[misc]

    async def leave() -> list[Any]:
        tasks = [asyncio.ensure_future(served._batching.ask(part)) for part in rows]
        await asyncio.sleep(0)
        tasks[1].cancel()
        return await asyncio.gather(*tasks, return_exceptions=True)

    first, gone, last = asyncio.run(leave())
    assert isinstance(gone, asyncio.CancelledError)
    assert (len(first.labels), len(last.labels)) == (1, 1)
