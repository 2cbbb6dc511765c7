"""The contract: what is learnt, what is accepted, and what is found."""

from datetime import date, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml

from model_ci.data import rowhash
from model_ci.data.finding import Finding
from model_ci.data.scan import Scan
from model_ci.data.source import Source
from model_ci.errors import ConfigError
from model_ci.stages.check_data import contract
from model_ci.stages.check_data.conformity import Conformity
from model_ci.stages.check_data.contract import Learner


def scan(root: Path, frame: pl.DataFrame) -> Scan:
    file = root / "d.parquet"
    frame.write_parquet(file)
    return Scan(Source(root=root, location="d.parquet", format="parquet", files=(file,), pointers=()))


def learn(root: Path, frame: pl.DataFrame, batch: int = 1000, unused: tuple[str, ...] = ()) -> dict[str, Any]:
    learner = Learner(scan(root, frame), unused)
    for part in frame.iter_slices(batch):
        learner.add(part, rowhash.of_columns(part))
    return learner.contract()


def check(root: Path, agreed: dict[str, Any], frame: pl.DataFrame, batch: int = 1000) -> list[Finding]:
    file = root / "c.yaml"
    contract.write(file, agreed, rows=1, location="x")
    conformity = Conformity(contract.read(file, "c.yaml"), found := scan(root, frame))
    for part in found.batches():
        for piece in part.iter_slices(batch):
            conformity.add(piece, rowhash.of_columns(piece))
    return conformity.findings()


FRAME = pl.DataFrame(
    {
        "count": [0, 50, 100] * 40,
        "real": [-1.0, 0.5, 1.0] * 40,
        "flag": [True, False, True] * 40,
        "word": ["a", "b", None] * 40,
        "name": [f"name {i}" for i in range(120)],
        "day": [date(2024, 1, 1), date(2024, 2, 1), date(2024, 3, 1)] * 40,
        "at": [datetime(2024, 1, 1, 12), datetime(2024, 2, 1), datetime(2024, 3, 1)] * 40,
    }
)


def test_what_is_learnt(tmp_path: Path) -> None:
    assert learn(tmp_path, FRAME, unused=("name", "flag")) == {
        "duplicates": 0,
        "key": ["name"],
        "columns": {
            "count": {"type": "integer", "nulls": 0, "min": 0, "max": 110},
            "real": {"type": "number", "nulls": 0, "min": -1.2, "max": 1.2},
            "flag": {"type": "boolean", "nulls": 0},
            "word": {"type": "text", "nulls": 0.367, "values": ["a", "b"], "unseen": 0},
            "name": {"type": "text", "nulls": 0},
            "day": {"type": "date", "nulls": 0, "min": "2024-01-01"},
            "at": {"type": "time", "nulls": 0, "min": "2024-01-01"},
        },
    }


def test_what_is_not_learnt(tmp_path: Path) -> None:
    frame = pl.DataFrame({"many": [f"name {i % 60}" for i in range(240)], "real": [1.0, float("inf"), 2.0, -3.0] * 60})
    columns = learn(tmp_path, frame)["columns"]
    assert columns["many"] == {"type": "text", "nulls": 0}
    assert columns["real"] == {"type": "number", "nulls": 0, "min": -3.5, "max": 2.5}
    assert learn(tmp_path, FRAME, unused=("word", "count", "name"))["key"] == ["name"]
    assert learn(tmp_path, FRAME, unused=("count",))["key"] == []


@pytest.mark.parametrize("batch", [1, 7, 1000])
def test_batches_teach_the_same_as_the_whole(tmp_path: Path, batch: int) -> None:
    assert learn(tmp_path, FRAME, batch=batch) == learn(tmp_path, FRAME)


@pytest.mark.parametrize("batch", [7, 1000])
def test_what_was_learnt_from_is_accepted(tmp_path: Path, batch: int) -> None:
    frame = pl.concat([FRAME, FRAME.head(30)])
    assert check(tmp_path, learn(tmp_path, frame), frame, batch) == []


def test_the_file_is_for_people(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    contract.write(file, learn(tmp_path, FRAME), rows=120, location="d.parquet")
    text = file.read_text()
    assert text.startswith("# What the data must look like: learnt from 120 rows of d.parquet")
    assert "  count: {type: integer, nulls: 0, min: 0, max: 110}\n" in text
    assert "    values: [a, b]\n" in text
    contract.write(file, learn(tmp_path, FRAME), rows=120, location="d.parquet")
    assert file.read_text() == text


@pytest.mark.parametrize(
    ("change", "rule", "where", "count", "says"),
    [
        (pl.lit(111).alias("count"), "ranges", "count", 120, "outside 0 to 110, such as 111"),
        (pl.lit(-1).alias("count"), "ranges", "count", 120, "such as -1"),
        (pl.lit(float("inf")).alias("real"), "ranges", "real", 120, "outside -1.2 to 1.2, such as inf"),
        (
            pl.lit(None, pl.Int64).alias("count"),
            "nulls",
            "count",
            120,
            "120 of 120 rows (100.00%) have no value, 0.00% may",
        ),
        (pl.lit(float("nan")).alias("real"), "nulls", "real", 120, "have no value"),
        (pl.lit(None, pl.String).alias("word"), "nulls", "word", 120, "36.70% may"),
        (pl.lit("c").alias("word"), "values", "word", 120, "unseen values, such as 'c'"),
        (pl.lit(2.5).alias("count"), "types", "count", 120, "are no integer but number, such as 2.5"),
        (pl.lit("x").alias("count"), "types", "count", 120, "are no integer but text, such as 'x'"),
        (pl.lit("x").alias("flag"), "types", "flag", 120, "are no boolean but text, such as 'x'"),
        (pl.lit(1).alias("flag"), "types", "flag", 120, "are no boolean but integer, such as 1"),
        (pl.lit(1).alias("word"), "types", "word", 120, "are no text but integer, such as 1"),
        (
            pl.lit(date(2023, 12, 31)).alias("day"),
            "ranges",
            "day",
            120,
            "from 2024-01-01 on, such as 2023-12-31",
        ),
        (pl.lit(datetime(2023, 12, 31)).alias("at"), "ranges", "at", 120, "from 2024-01-01 on"),
        (pl.lit(date(2024, 1, 31)).alias("at"), "types", "at", 120, "are no time but date"),
        (pl.lit("name 1").alias("name"), "duplicates", "rows", 117, "repeat another row"),
        (pl.lit(1).alias("new"), "columns", "new", None, "this integer column is not in the contract"),
    ],
)
def test_what_breaks_it(tmp_path: Path, change: pl.Expr, rule: str, where: str, count: int | None, says: str) -> None:
    agreed = learn(tmp_path, FRAME)
    found = [f for f in check(tmp_path, agreed, FRAME.with_columns(change)) if f.rule == rule]
    assert [(f.where, f.count) for f in found] == [(where, count)]
    assert says in found[0].what
    assert "model-ci check-data --learn" in found[0].what


def test_a_few_wrong_values_among_many(tmp_path: Path) -> None:
    agreed = learn(tmp_path, FRAME)
    text = FRAME.with_columns(count=pl.when(pl.col("name") == "name 7").then(pl.lit("12x")).otherwise(pl.lit("12")))
    (found,) = check(tmp_path, agreed, text, batch=7)
    assert (found.rule, found.count, found.examples) == ("types", 1, ["12x"])


def test_absences_of_all_batches_count(tmp_path: Path) -> None:
    frame = FRAME.with_columns(flag=pl.when(pl.col("count") > 0).then("flag"))
    (found,) = check(tmp_path, learn(tmp_path, FRAME), frame, batch=7)
    assert (found.rule, found.where, found.count) == ("nulls", "flag", 40)


def test_a_missing_column(tmp_path: Path) -> None:
    agreed = learn(tmp_path, FRAME)
    (found,) = check(tmp_path, agreed, FRAME.drop("flag"))
    assert (found.rule, found.where) == ("columns", "flag")


def test_all_findings_come_at_once(tmp_path: Path) -> None:
    broken = FRAME.with_columns(count=pl.lit(999), word=pl.lit("z"), new=pl.lit(1), flag=pl.lit(None, pl.Boolean))
    found = check(tmp_path, learn(tmp_path, FRAME), broken.drop("day"))
    assert {(f.rule, f.where) for f in found} == {
        ("columns", "day"),
        ("columns", "new"),
        ("ranges", "count"),
        ("nulls", "flag"),
        ("values", "word"),
    }


@pytest.mark.parametrize("change", [pl.col("count").cast(pl.Float64), pl.lit(None, pl.Int64).alias("missing")])
def test_whole_numbers_with_absences_are_still_whole(tmp_path: Path, change: pl.Expr) -> None:
    agreed = learn(tmp_path, FRAME)
    agreed["columns"]["count"]["nulls"] = 0.5
    frame = FRAME.with_columns(count=pl.when(pl.col("name") != "name 1").then(pl.col("count").cast(pl.Float64)))
    assert check(tmp_path, agreed, frame) == []


def test_a_number_may_be_whole_this_time(tmp_path: Path) -> None:
    assert check(tmp_path, learn(tmp_path, FRAME), FRAME.with_columns(real=pl.lit(1))) == []


def test_shares_that_are_allowed(tmp_path: Path) -> None:
    agreed = learn(tmp_path, FRAME)
    agreed["columns"]["word"]["unseen"] = 0.5
    agreed["duplicates"] = 0.5
    some = FRAME.with_columns(word=pl.when(pl.col("count") > 50).then(pl.lit("new")).otherwise(pl.lit("a")))
    assert check(tmp_path, agreed, pl.concat([some, some])) == []
    most = FRAME.with_columns(word=pl.when(pl.col("count") > 0).then(pl.lit("new")).otherwise(pl.lit("a")))
    assert [f.rule for f in check(tmp_path, agreed, most)] == ["values"]


def test_a_key_that_repeats(tmp_path: Path) -> None:
    agreed = learn(tmp_path, FRAME, unused=("name",))
    (found,) = check(tmp_path, agreed, FRAME.with_columns(name=pl.lit("name 1"), real=pl.int_range(120) / 120))
    assert (found.where, found.count) == ("name", 119)


def test_times_with_a_zone(tmp_path: Path) -> None:
    frame = FRAME.select(at=pl.col("at").dt.replace_time_zone("Asia/Tokyo"))
    agreed = learn(tmp_path, frame)
    assert check(tmp_path, agreed | {"duplicates": 1}, frame) == []
    earlier = frame.with_columns(pl.col("at").dt.offset_by("-1d"))
    assert [f.count for f in check(tmp_path, agreed | {"duplicates": 1}, earlier)] == [40]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("columns: {}", "columns"),
        ("column: {}", "'columns' is missing"),
        ("columns: {a: {type: int}}", "must be one of integer"),
        ("columns: {a: {type: integer, minimum: 3}}", "did you mean 'min'?"),
        ("columns: {a: {type: text, min: 3}}", "c.yaml:1:11: columns.a: min: text has no bounds"),
        ("columns: {a: {type: integer, min: x}}", "min: must be a number. Got 'x'"),
        ("columns: {a: {type: time, min: 3}}", "min: must be a time, in ISO 8601. Got 3"),
        ("columns: {a: {type: date, min: soon}}", "min: must be a time, in ISO 8601. Got 'soon'"),
        ("columns: {a: {type: integer, min: 3, max: 1}}", "min 3 is above max 1; nothing can pass"),
        ("columns: {a: {type: integer, values: [a]}}", "values: are for text"),
        ("columns: {a: {type: text, values: [NO, yes]}}", "YAML reads NO as false"),
        ("columns: {a: {type: integer, nulls: 20}}", "in the range [0, 1]"),
        ("columns: {a: {type: integer}}\nkey: [b]", "c.yaml:2:7: key[0]: 'b' is none of the columns"),
        ("columns: [", "not valid YAML"),
        ("", "must be"),
    ],
)
def test_a_contract_that_is_none(tmp_path: Path, text: str, says: str) -> None:
    file = tmp_path / "c.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        contract.read(file, "c.yaml")
    assert says in str(caught.value)


def test_odd_names_and_values_survive_the_file(tmp_path: Path) -> None:
    frame = pl.DataFrame({"no": ["yes", "NO", "1", "ü", "2024-01-01"] * 9, "a: b": [1e-9, 1e12, 0.0, 1.0, 2.0] * 9})
    agreed = learn(tmp_path, frame)
    assert check(tmp_path, agreed, frame) == []
    assert yaml.safe_load((tmp_path / "c.yaml").read_text()) == agreed
