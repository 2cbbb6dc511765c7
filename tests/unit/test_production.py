"""The prediction log and its outcomes, as a service and a late label leave them."""

import gzip
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from model_ci.errors import ConfigError
from model_ci.production import outcomes, predictions

START = datetime(2026, 3, 1, tzinfo=UTC)


def request(number: int, **other: Any) -> dict[str, Any]:
    return {
        "time": (START + timedelta(seconds=number)).isoformat(timespec="milliseconds"),
        "request_id": f"r{number}",
        "variant": "champion",
        "version": "3",
        "user": f"u{number % 3}",
        "route": "/invocations",
        "columns": ["size", "kind"],
        "inputs": [[number * 0.5, "a"]],
        "outputs": [number % 2],
        "probabilities": [[0.25, 0.75]],
        "duration_ms": 1.5,
        **other,
    }


def write(folder: Path, requests: list[Any], name: str = "predictions-20260301T000000Z-a-1-0.jsonl") -> Path:
    folder.mkdir(exist_ok=True)
    file = folder / name
    file.write_text("".join(json.dumps(r) + "\n" for r in requests))
    return file


def rules(found: Any) -> dict[str, str]:
    return {finding.rule: finding.level for finding in found}


def test_each_predicted_row_is_a_row(tmp_path: Path) -> None:
    two = request(1, inputs=[[1, "a"], [2, None]], outputs=[0, 1], probabilities=[[0.9, 0.1], [0.2, 0.8]])
    write(tmp_path / "log", [request(0), two])
    log = predictions.scan("log", tmp_path, classes=["no", "yes"])
    assert (log.requests, log.rows, log.findings) == (2, 3, ())
    assert log.columns == {"size": pl.Float64, "kind": pl.String}
    frame = log.collect()
    assert frame.columns == [
        "size", "kind", "_time", "_request_id", "_row", "_variant", "_version", "_user", "_prediction",
        "_probability_no", "_probability_yes", "_duration_ms",
    ]  # fmt: skip
    assert frame.row(2) == (
        2.0, None, START + timedelta(seconds=1), "r1", 1, "champion", "3", "u1", 1, 0.2, 0.8, 1.5
    )  # fmt: skip
    assert log.collect(["kind"]).columns[:2] == ["kind", "_time"]


def test_batches_hold_what_the_whole_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "log", [request(i) for i in range(25)])
    log = predictions.scan("log", tmp_path)
    monkeypatch.setattr(predictions, "BATCH_ROWS", 10)
    batches = list(log.batches())
    assert [b.height for b in batches] == [10, 10, 5]
    assert pl.concat(batches).equals(log.collect())


def test_a_window_has_its_first_moment_and_not_its_last(tmp_path: Path) -> None:
    write(tmp_path / "log", [request(i) for i in range(10)])
    log = predictions.scan("log", tmp_path)
    frame = log.collect(since=START + timedelta(seconds=2), until=START + timedelta(seconds=5))
    assert frame["_request_id"].to_list() == ["r2", "r3", "r4"]
    assert log.collect(since=START + timedelta(days=1)).height == 0


def test_a_torn_last_line_is_left_out_and_told(tmp_path: Path) -> None:
    file = write(tmp_path / "log", [request(0), request(1)])
    file.write_text(file.read_text()[:-30])
    log = predictions.scan("log", tmp_path)
    assert log.collect()["_request_id"].to_list() == ["r0"]
    assert rules(log.findings) == {"torn": "warning"}


@pytest.mark.parametrize(
    "line",
    [
        '{"time": "2026',
        "[]",
        "7",
        json.dumps({"time": "2026-03-01"}),
        json.dumps(request(5, time="yesterday")),
        json.dumps(request(5, inputs=[[1]])),
        json.dumps(request(5, outputs=[])),
        json.dumps(request(5, probabilities=[[0.5, 0.5], [0.5, 0.5]])),
    ],
)
def test_a_line_inside_that_is_no_request_is_damage(tmp_path: Path, line: str) -> None:
    file = write(tmp_path / "log", [request(0)])
    file.write_text(file.read_text() + line + "\n" + json.dumps(request(1)) + "\n")
    log = predictions.scan("log", tmp_path)
    assert rules(log.findings) == {"damaged": "failure"}
    assert f"such as '{file.name}:2'" in log.findings[0].what
    assert log.collect().height == 2


def test_damage_and_a_torn_end_are_two_things(tmp_path: Path) -> None:
    file = write(tmp_path / "log", [request(0), [], {}, request(1), request(2)])
    file.write_text(file.read_text()[:-30])
    damaged, torn = predictions.scan("log", tmp_path).findings
    assert (damaged.rule, damaged.count, torn.rule, torn.count) == ("damaged", 2, "torn", 1)


def test_a_last_line_that_was_finished_but_is_no_request_is_damage(tmp_path: Path) -> None:
    file = write(tmp_path / "log", [request(0)])
    file.write_text(file.read_text() + "{}\n")
    assert rules(predictions.scan("log", tmp_path).findings) == {"damaged": "failure"}


def test_a_request_id_that_stands_twice_is_told(tmp_path: Path) -> None:
    write(tmp_path / "log", [request(0), request(1), request(2)])
    write(tmp_path / "log", [request(3, request_id="r0")], "predictions-20260302T000000Z-b-1-0.jsonl")
    (finding,) = predictions.scan("log", tmp_path).findings
    assert (finding.rule, finding.count, finding.examples) == ("duplicate-requests", 1, ["r0"])


def test_time_going_backwards_is_told_but_not_the_disorder_of_requests_at_once(tmp_path: Path) -> None:
    write(tmp_path / "log", [request(100), request(50), request(120)])
    assert predictions.scan("log", tmp_path).findings == ()
    write(tmp_path / "log", [request(3600), request(50), request(120)])
    (finding,) = predictions.scan("log", tmp_path).findings
    assert (finding.rule, finding.count) == ("time", 2)


def test_changed_columns_and_types_are_told(tmp_path: Path) -> None:
    other = request(1, columns=["kind", "size", "age"], inputs=[["b", "large", 4]])
    write(tmp_path / "log", [request(0), other])
    log = predictions.scan("log", tmp_path)
    assert rules(log.findings) == {"columns": "warning", "types": "failure"}
    assert "size: changes its type: number and text" in f"{log.findings[1].where}: {log.findings[1].what}"
    frame = log.collect()
    assert frame.select("size", "kind", "age").rows() == [("0.0", "a", None), ("large", "b", 4)]


def test_nothing_logged_is_told(tmp_path: Path) -> None:
    write(tmp_path / "log", [])
    log = predictions.scan("log", tmp_path)
    assert rules(log.findings) == {"empty": "failure"}
    assert log.collect().height == 0


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=2),
    max_leaves=6,
)


@pytest.mark.slow
@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(key=st.sampled_from(sorted(request(0))), value=anything)
def test_no_line_gives_anything_but_rows_and_findings(tmp_path: Path, key: str, value: Any) -> None:
    write(tmp_path / "log", [request(0), request(1, **{key: value}), request(2)])
    log = predictions.scan("log", tmp_path)
    frame = log.collect()
    assert frame.height == log.rows
    assert log.requests in (2, 3)


@pytest.mark.parametrize(
    ("location", "told"), [("log", "has no file predictions-"), ("other/*.jsonl", "no such prediction log")]
)
def test_no_log_is_a_mistake(tmp_path: Path, location: str, told: str) -> None:
    (tmp_path / "log").mkdir()
    with pytest.raises(ConfigError, match=told):
        predictions.scan(location, tmp_path)


def test_compressed_files_are_read_too(tmp_path: Path) -> None:
    file = write(tmp_path / "log", [request(i) for i in range(200)])
    packed = gzip.compress(file.read_bytes())
    file.unlink()
    target = tmp_path / "log" / f"{file.name}.gz"
    target.write_bytes(packed)
    assert predictions.scan("log", tmp_path).requests == 200
    target.write_bytes(packed[: len(packed) // 2])
    with pytest.raises(ConfigError, match="cannot be read"):
        predictions.scan("log", tmp_path)


def labels(tmp_path: Path, text: str) -> outcomes.Outcomes:
    (tmp_path / "labels.csv").write_text(text)
    return outcomes.read("labels.csv", tmp_path, ["sold"])


def joined(tmp_path: Path, text: str) -> outcomes.Joined:
    log = predictions.scan("log", tmp_path)
    return outcomes.join(log, log.collect(), labels(tmp_path, text))


def test_outcomes_find_their_rows(tmp_path: Path) -> None:
    two = request(1, inputs=[[1, "a"], [2, "b"]], outputs=[0, 1], probabilities=None)
    write(tmp_path / "log", [request(0), two])
    found = joined(tmp_path, "request_id,row,sold\nr1,1,1\nr0,0,0\n")
    assert found.frame.select("_request_id", "_row", "sold").rows() == [("r0", 0, 0), ("r1", 0, None), ("r1", 1, 1)]
    assert found.labelled == 2
    assert rules(found.findings) == {"predictions-without-outcomes": "warning"}


def test_outcomes_of_no_prediction_are_told_and_none_at_all_fails(tmp_path: Path) -> None:
    write(tmp_path / "log", [request(0)])
    assert rules(joined(tmp_path, "request_id,sold\nr0,1\nr9,1\n").findings) == {
        "outcomes-without-predictions": "warning"
    }
    assert rules(joined(tmp_path, "request_id,sold\nr8,1\nr9,1\n").findings) == {
        "outcomes-without-predictions": "failure",
        "predictions-without-outcomes": "failure",
    }


def test_outcomes_that_differ_for_one_row_are_told(tmp_path: Path) -> None:
    assert labels(tmp_path, "request_id,sold\nr0,1\nr0,1\n").findings == ()
    (finding,) = labels(tmp_path, "request_id,sold\nr0,1\nr0,0\nr1,1\n").findings
    assert (finding.rule, finding.examples) == ("duplicate-outcomes", ["r0"])


def test_of_a_request_id_that_stands_twice_only_the_first_keeps_its_outcome(tmp_path: Path) -> None:
    write(tmp_path / "log", [request(0), request(1, request_id="r0")])
    assert joined(tmp_path, "request_id,sold\nr0,1\n").frame["sold"].to_list() == [1, None]


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("request_id,sold\nr0,inf\nr1,0.5\n", "not-a-number"),
        ("request_id,sold\nr0,NaN\nr1,0.5\n", "not-a-number"),
        ("request_id,row,sold\nr0,x,1\n", "nameless-outcomes"),
    ],
)
def test_outcomes_that_say_nothing_are_told(tmp_path: Path, text: str, rule: str) -> None:
    assert rules(labels(tmp_path, text).findings) == {rule: "failure"}


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("absent.csv", None, "no such table"),
        ("a.xlsx", "x", "is none of .csv, .parquet"),
        ("a.csv", "id,sold\n1,1\n", "no column 'request_id'; there are id, sold"),
        ("a.csv", "request_id,sold_at\n1,1\n", "no column 'sold'"),
        ("a.parquet", "no parquet", "not a Parquet file that can be read"),
        ("a.csv", "", "is empty"),
    ],
)
def test_outcomes_that_are_no_table_are_a_mistake(tmp_path: Path, name: str, text: str | None, told: str) -> None:
    if text is not None:
        (tmp_path / name).write_text(text)
    with pytest.raises(ConfigError, match=told):
        outcomes.read(name, tmp_path, ["sold"])


def test_an_outcome_named_as_an_input_is_a_mistake(tmp_path: Path) -> None:
    write(tmp_path / "log", [request(0)])
    (tmp_path / "o.jsonl").write_text('{"request_id": "r0", "size": 1}\n')
    log = predictions.scan("log", tmp_path)
    with pytest.raises(ConfigError, match="'size' is an input of the model too"):
        outcomes.join(log, log.collect(), outcomes.read("o.jsonl", tmp_path, ["size"]))


def test_what_the_service_itself_logs_is_read(tmp_path: Path) -> None:
    import numpy as np

    from model_ci.serving.log import LoggedRequest, PredictionLog
    from model_ci.serving.predictions import Predictions
    from model_ci.serving.signature import Rows

    service = PredictionLog(tmp_path / "log", ["size", "kind"], ("champion", "3"), 1.0, 10.0)
    service.start()
    for i in range(3):
        answers = Predictions(labels=np.array([0, 1]), probabilities=[[0.75, 0.25], [0.5, 0.5]])
        rows = Rows(count=2, values=[[1.5, float("nan")], ["a", None]])
        service.add(
            LoggedRequest(time=START.timestamp() + i, request_id=f"r{i}", user="u", route="/invocations", rows=rows, answers=answers, duration_s=0.002)
        )  # fmt: skip
    service.close()
    log = predictions.scan("log", tmp_path, classes=["no", "yes"])
    assert (log.requests, log.rows, log.findings) == (3, 6, ())
    assert log.collect().row(1) == (
        None, None, START, "r0", 1, "champion", "3", "u", 1, 0.5, 0.5, 2.0
    )  # fmt: skip


def test_outcomes_have_types_of_the_whole_file(tmp_path: Path) -> None:
    text = "request_id,sold\n" + "".join(f"r{i},{i}\n" for i in range(500)) + "r500,2.25\n"
    assert labels(tmp_path, text).frame["sold"].to_list()[-2:] == [499.0, 2.25]


def test_names_of_requests_stay_as_they_are_written(tmp_path: Path) -> None:
    assert labels(tmp_path, "request_id,sold\n007,1\n1e5,0\n").frame["request_id"].to_list() == ["007", "1e5"]


def test_an_odd_outcome_is_named(tmp_path: Path) -> None:
    found = labels(tmp_path, "request_id,sold\n" + "".join(f"r{i},{i}\n" for i in range(60)) + "r60,unknown\n")
    assert rules(found.findings) == {"odd-cells": "failure"}


def test_outcomes_in_several_files_are_one_table(tmp_path: Path) -> None:
    (tmp_path / "o1.csv").write_text("request_id,sold\nr0,1\n")
    (tmp_path / "o2.csv").write_text("request_id,note,sold\nr1,late,2.5\n")
    found = outcomes.read("o*.csv", tmp_path, ["sold", "note"])
    assert found.frame.rows() == [("r0", 0, 1.0, None), ("r1", 0, 2.5, "late")]
