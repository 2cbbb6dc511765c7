"""Rows from wherever they lie come out alike."""

import json
import sqlite3
from pathlib import Path

import polars as pl
import pytest

from model_ci.errors import ConfigError, ServiceError
from model_ci.production import rows

FRAME = pl.DataFrame({"size": [1.5, None, 3.0], "kind": ["a", "b", None], "n": [1, 2, 3]})


@pytest.fixture
def places(tmp_path: Path) -> Path:
    """The same rows in every form."""
    FRAME.write_parquet(tmp_path / "rows.parquet")
    FRAME.write_csv(tmp_path / "rows.csv")
    FRAME.write_ndjson(tmp_path / "rows.jsonl")
    with sqlite3.connect(tmp_path / "rows.db") as database:
        database.execute("CREATE TABLE t (size REAL, kind TEXT, n INTEGER)")
        database.executemany("INSERT INTO t VALUES (?, ?, ?)", FRAME.rows())
    request = {
        "time": "2026-01-01T00:00:00Z", "request_id": "r", "variant": "v", "columns": FRAME.columns,
        "inputs": [list(row) for row in FRAME.rows()], "outputs": [0, 1, 0],
    }  # fmt: skip
    (tmp_path / "predictions-1.jsonl").write_text(json.dumps(request) + "\n")
    return tmp_path


@pytest.mark.parametrize(
    "location",
    [
        "rows.parquet",
        "rows.csv",
        "rows.jsonl",
        "row?.parquet",
        ".",
        "predictions-1.jsonl",
        "sql:SELECT * FROM 'rows.parquet'",
        "sql+sqlite:///{root}/rows.db SELECT * FROM t",
        "file://{root}/rows.parquet",
        "file://{root}/row*.csv",
    ],
)
def test_rows_are_the_same_from_everywhere(places: Path, location: str) -> None:
    found = rows.open(location.replace("{root}", str(places)), places)
    frame = pl.concat(list(found.batches(FRAME.columns))).select(FRAME.columns)
    assert frame.cast({"kind": pl.String, "n": pl.Int64}).equals(FRAME)
    assert set(FRAME.columns) <= found.types.keys()
    assert found.is_log == (location in (".", "predictions-1.jsonl"))


@pytest.mark.parametrize(
    ("location", "told"),
    [
        ("absent.parquet", "no such file"),
        ("rows.*", "are not all .parquet, all .csv or all .jsonl"),
        ("sql:", "names no query"),
        ("sql:SELECT nothing FROM 'rows.csv'", "correct the query"),
        ("sql+absent.duckdb SELECT 1", "no such DuckDB file"),
        ("nowhere://bucket/rows.parquet", "nowhere://bucket/rows.parquet: "),
        ("file:///absent/rows.parquet", "nothing is there"),
        ("damaged.parquet", "cannot be read"),
    ],
)
def test_what_cannot_be_read_is_said(places: Path, location: str, told: str) -> None:
    (places / "damaged.parquet").write_bytes((places / "rows.parquet").read_bytes()[:-9])
    with pytest.raises(ConfigError) as error:
        list(rows.open(location, places).arrow())
    assert told in str(error.value)


def test_a_login_is_not_told(places: Path) -> None:
    with pytest.raises((ConfigError, ServiceError)) as error:
        rows.open("http://user:secret@127.0.0.1:9/rows.parquet?token=secret", places)
    assert "secret" not in str(error.value)
