"""Which rows count, and on which side they are."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.windows import csv, window

from model_ci.config import Data, Holdout
from model_ci.data import cut, source
from model_ci.data.scan import Scan
from model_ci.data.table import Table, load
from model_ci.errors import ConfigError


def data(path: str = "d.parquet", **keys: Any) -> Data:
    chosen = window(**keys.pop("window", {}))
    timed = keys.get("time_column", "t") is not None
    holdout = {"by": "time" if timed else "random", "last": None, "share": 0.2} | keys.pop("holdout", {})
    rest = {"target": "y", "time_column": "t", "features": None, "exclude": (), "csv": csv(), "until": None} | keys
    return Data(path=path, window=chosen, holdout=Holdout(**holdout), **rest)


def days(count: int = 100, per_day: int = 1) -> pl.DataFrame:
    """Return rows of consecutive days from 2024-01-01 on, numbered in `x`."""
    start = np.datetime64("2024-01-01", "D")
    t = np.repeat(start + np.arange(count), per_day)
    x = np.arange(count * per_day)
    return pl.DataFrame({"t": t, "x": x, "y": x % 2})


def table(root: Path, frame: pl.DataFrame, seed: int = 0, **keys: Any) -> Table:
    path = keys.get("path", "d.parquet")
    if path.endswith(".csv"):
        frame.write_csv(root / path)
    else:
        frame.write_parquet(root / path)
    return load(data(**keys), seed=seed, root=root)


def test_the_newest_rows_are_held_out(tmp_path: Path) -> None:
    found = table(tmp_path, days().sample(fraction=1, shuffle=True, seed=1))
    assert found.train["x"].tolist() == list(range(80))
    assert found.holdout["x"].tolist() == list(range(80, 100))
    assert found.features == ["x"]
    assert found.as_record() == {
        "window": {"kind": "all", "last": None, "start": None},
        "until": None,
        "holdout": {"by": "time", "last": None, "share": 0.2},
        "boundary": "2024-03-21",
        "rows": 100,
        "train_rows": 80,
        "holdout_rows": 20,
        "unlabelled_rows": 0,
        "first": "2024-01-01",
        "last": "2024-04-09",
    }


@pytest.mark.parametrize(
    ("keys", "rows", "train"),
    [
        ({"until": "2024-01-11"}, range(10), 8),
        ({"window": {"kind": "fixed", "last": 10}}, range(90, 100), 8),
        ({"window": {"kind": "fixed", "last": 1000}}, range(100), 80),
        ({"window": {"kind": "fixed", "last": "30d"}}, range(70, 100), 24),
        ({"window": {"kind": "fixed", "last": "2w"}, "until": "2024-02-01"}, range(17, 31), 11),
        ({"window": {"kind": "fixed", "last": "36h"}}, range(98, 100), 1),
        ({"window": {"kind": "expanding", "start": "2024-03-01"}}, range(60, 100), 32),
        ({"window": {"kind": "expanding", "start": "2023-01-01"}}, range(100), 80),
        ({"holdout": {"last": "7d"}}, range(100), 93),
        ({"holdout": {"share": 0.001}}, range(100), 99),
        ({"holdout": {"share": 0.999}}, range(100), 1),
    ],
)
@pytest.mark.parametrize("path", ["d.csv", "d.parquet"])
def test_windows(tmp_path: Path, path: str, keys: dict[str, Any], rows: range, train: int) -> None:
    found = table(tmp_path, days(), path=path, **keys)
    assert [*found.train["x"], *found.holdout["x"]] == list(rows)
    assert len(found.train) == train


@pytest.mark.parametrize(("share", "held"), [(0.12, 10), (0.18, 20), (0.01, 10), (0.99, 90)])
def test_rows_of_one_time_are_on_one_side(tmp_path: Path, share: float, held: int) -> None:
    found = table(tmp_path, days(10, per_day=10), holdout={"share": share})
    assert found.train["t"].max() < found.holdout["t"].min()
    assert len(found.holdout) == held


def test_a_window_of_rows_is_exact_where_times_are_equal(tmp_path: Path) -> None:
    found = table(tmp_path, days(10, per_day=10), window={"kind": "fixed", "last": 25})
    assert [*found.train["x"], *found.holdout["x"]] == list(range(75, 100))


def test_rows_without_a_label_are_counted_and_left_out(tmp_path: Path) -> None:
    frame = days().with_columns(y=pl.when(pl.col("x") % 10 > 0).then("y"))
    found = table(tmp_path, frame, window={"kind": "fixed", "last": 18})
    assert found.as_record()["rows"] == 18
    assert found.as_record()["unlabelled_rows"] == 1
    assert found.train["y"].dtype == np.int64


@pytest.mark.parametrize(
    ("times", "until", "rows"),
    [
        (["2024-01-01T10:00:00", "2024-01-01T11:00:00.5", "2024-01-01T12:00:00"], "2024-01-01T12:00", 2),
        (["2024-01-01 10:00", "2024-01-01 11:00", "2024-01-01 12:00"], "2024-01-01T12:00:00", 2),
        (["2024-01-01T10:00:00Z", "2024-01-01T10:00:00+02:00", "2024-01-01T12:00:00Z"], "2024-01-01T11:00+00:00", 2),
        (["2024-01-01T10:00:00Z", "2024-01-01T11:00:00Z", "2024-01-01T12:00:00Z"], "2024-01-01T12:00:00", 2),
        (["2024-01-01", "2024-01-02", "2024-01-03"], "2024-01-03", 2),
        (["3", "1", "2"], "3", 2),
        (["1.5", "1", "2"], "1.75", 2),
    ],
)
def test_times_as_they_are_written(tmp_path: Path, times: list[str], until: str, rows: int) -> None:
    (tmp_path / "d.csv").write_text("t,x,y\n" + "".join(f"{t},{i},{i}\n" for i, t in enumerate(times)))
    found = load(data("d.csv", until=until, holdout={"share": 0.5}), seed=0, root=tmp_path)
    assert found.as_record()["rows"] == rows


def test_a_zone_is_kept(tmp_path: Path) -> None:
    frame = days(10).with_columns(pl.col("t").cast(pl.Datetime("ms")).dt.replace_time_zone("America/New_York"))
    found = table(tmp_path, frame, until="2024-01-05T03:00:00")
    assert found.as_record()["rows"] == 5
    assert found.as_record()["first"] == "2024-01-01T00:00:00-05:00"
    assert str(found.train["t"].dtype) == "datetime64[us, America/New_York]"


NO_TIME = "values are no times, or not written like the first"


@pytest.mark.parametrize(
    ("text", "keys", "says"),
    [
        ("t,x\n2024-01-01,1\n", {}, "data.target: d.csv has no column 'y'"),
        ("t,x,Y\n2024-01-01,1,0\n", {"target": "y"}, "did you mean 'Y'?"),
        (
            "t,x,y\n2024-01-01,1,0\n",
            {"features": ("x", "z"), "exclude": ("q",)},
            "data.exclude: d.csv has no column 'q'",
        ),
        ("t,x,y\n2024-01-01,1,0\n", {"exclude": ("x",)}, "no column left to learn from"),
        ("t,x,y\n01/02/2024,1,0\n", {}, f"1 {NO_TIME}, '01/02/2024'"),
        ("t,x,y\n2024-01-01,1,0\n2024-01-32,1,0\nsoon,1,1\n", {}, f"2 {NO_TIME}, '2024-01-01': '2024-01-32', 'soon'"),
        ("t,x,y\n2024-01-01,1,0\n,1,1\n", {}, "d.csv: t: 1 of 2 rows have no time"),
        ("t,x,y\n,1,0\n,1,1\n", {}, "t holds String, which is no time"),
        ("t,x,y\ntrue,1,0\nfalse,1,1\n", {}, "t holds Boolean, which is no time"),
        ("t,x,y\n2024-01-01,1,\n2024-01-02,1,\n", {}, "d.csv: y: no row has a value of the target"),
        ("t,x,y\n", {}, "d.csv: has column names, but no rows"),
        ("t,x,y\n2024-01-01,1,0\n2024-01-02,1,1\n", {"until": "2023-01-01"}, "the oldest is of 2024-01-01"),
        (
            "t,x,y\n2024-01-01,1,0\n2024-01-02,1,1\n",
            {"window": {"kind": "expanding", "start": "2025-01-01"}},
            "the newest is of 2024-01-02",
        ),
        ("t,x,y\n2024-01-01,1,0\n2024-01-01,1,1\n", {}, "cannot be parted into training and holdout by time"),
        ("t,x,y\n2024-01-01,1,0\n", {}, "cannot be parted into training and holdout by time"),
        ("t,x,y\n2024-01-01,1,0\n2024-01-02,1,1\n", {"holdout": {"last": "90d"}}, "cannot be parted"),
        ("t,x,y\n2024-01-01,1,0\n", {"until": "soon"}, "data.until: 'soon' is no time"),
        ("t,x,y\n2024-01-01,1,0\n", {"until": "2024-01-01T00:00Z"}, "the times of t have none"),
        ("t,x,y\n1,1,0\n", {"until": "2024-01-01"}, "'2024-01-01' is no number, but t counts in numbers"),
        ("t,x,y\n1,1,0\n2,1,0\n", {"holdout": {"last": "7d"}}, "data.holdout.last: '7d' is a duration, but t counts"),
        ("t,x,y\n1,1,0\n2,1,0\n", {"window": {"kind": "fixed", "last": "7d"}}, "data.window.last: '7d' is a duration"),
        ("x,y\n1,0\n", {"time_column": None}, "all 1 rows are"),
        ("x,y\n1,\n", {"time_column": None}, "none of the 1 rows has a value of y"),
    ],
)
def test_what_cannot_be_used_is_refused(tmp_path: Path, text: str, keys: dict[str, Any], says: str) -> None:
    (tmp_path / "d.csv").write_text(text)
    with pytest.raises(ConfigError) as caught:
        load(data("d.csv", **keys), seed=0, root=tmp_path)
    assert says in str(caught.value)
    assert "; " in str(caught.value), "a message says what to do"


def test_all_missing_columns_are_named_at_once(tmp_path: Path) -> None:
    days().write_parquet(tmp_path / "d.parquet")
    with pytest.raises(ConfigError) as caught:
        load(data(target="no", time_column="nor", features=("never",)), seed=0, root=tmp_path)
    assert len(caught.value.problems) == 3


def test_columns_that_no_model_takes_are_refused_unless_excluded(tmp_path: Path) -> None:
    frame = days().with_columns(pl.concat_list("x").alias("list"))
    with pytest.raises(ConfigError, match=r"list: holds List\(Int64\)"):
        table(tmp_path, frame)
    assert table(tmp_path, frame, exclude=("list",)).features == ["x"]


def by_side(found: Table) -> dict[int, str]:
    return dict.fromkeys(found.train["x"], "train") | dict.fromkeys(found.holdout["x"], "holdout")


@pytest.mark.parametrize("path", ["d.csv", "d.parquet"])
def test_a_row_stays_on_its_side_when_data_grows(tmp_path: Path, path: str) -> None:
    frame = days(400).select("x", "y", word=pl.format("w{}", pl.col("x") % 7), real=pl.col("x") / 8)
    keys = {"time_column": None, "path": path}
    before = by_side(table(tmp_path, frame, **keys))
    grown = pl.concat([frame.with_columns(x=pl.col("x") + 1000), frame]).sample(fraction=1, shuffle=True, seed=3)
    # A new row makes whole numbers real and brings an absence: the old rows still are what they were.
    odd = pl.DataFrame({"x": [5000], "y": [1], "word": [None], "real": [None]}, schema=frame.schema)
    after = by_side(table(tmp_path, pl.concat([grown, odd]).with_columns(pl.col("y").cast(pl.Float64)), **keys))
    assert {x: side for x, side in after.items() if x < 400} == before
    assert 50 < list(before.values()).count("holdout") < 110
    assert by_side(table(tmp_path, frame, seed=1, **keys)) != before


def test_the_sides_never_change_between_versions(tmp_path: Path) -> None:
    frame = pl.DataFrame({"x": range(20), "w": ["ä", "b"] * 10, "y": [0.5, -0.0] * 10, "b": [True, None] * 10})
    found = table(tmp_path, frame, time_column=None, holdout={"share": 0.4})
    # Whatever changes this list puts rows that a champion has learnt from into the holdout.
    assert found.holdout["x"].tolist() == [0, 3, 5, 6, 10, 12, 14, 15, 16, 17, 18]


@settings(max_examples=40, deadline=None)
@given(
    times=st.lists(st.integers(0, 8), min_size=2, max_size=30),
    last=st.integers(1, 30),
    share=st.floats(0.05, 0.95),
    batch=st.integers(1, 7),
)
def test_batches_are_cut_as_the_whole(
    tmp_path_factory: pytest.TempPathFactory, times: list[int], last: int, share: float, batch: int
) -> None:
    root = tmp_path_factory.mktemp("cut")
    frame = pl.DataFrame({"t": times, "x": range(len(times)), "y": [i % 2 for i in range(len(times))]})
    frame.write_parquet(root / "d.parquet")
    wanted = data(window={"kind": "fixed", "last": last}, holdout={"share": share})
    scan = Scan(source.resolve(wanted, root))
    try:
        found = cut.find(wanted, scan, 0)
    except ConfigError:
        newest = sorted(times)[-last:]
        assert len(set(newest)) == 1
        return
    parts = pl.concat(found.window(frame.iter_slices(batch)))
    expected = frame.sort("t", maintain_order=True).tail(last)
    assert sorted(parts["x"]) == sorted(expected["x"])
    held = found.holdout(parts)
    assert 0 < held.sum() < len(held)
    assert parts.filter(~held)["t"].max() < parts.filter(held)["t"].min()  # type: ignore[operator]


def test_types_are_those_that_models_take(tmp_path: Path) -> None:
    frame = days(10).with_columns(
        small=pl.col("x").cast(pl.UInt8),
        some=pl.when(pl.col("x") > 3).then("x"),
        real=pl.col("x").cast(pl.Float32),
        nan=pl.when(pl.col("x") > 3).then(pl.lit(float("nan"))).otherwise(1.0),
        kind=pl.lit("a", dtype=pl.Categorical),
        flag=pl.col("x") > 3,
        maybe=pl.when(pl.col("x") > 3).then(pl.col("x") > 5),
        word=pl.when(pl.col("x") > 3).then(pl.lit("b")),
        money=pl.col("x").cast(pl.Decimal(10, 2)),
        none=pl.lit(None),
        at=pl.col("t").cast(pl.Datetime("ns")).dt.time(),
        long=pl.col("t") - pl.col("t").min(),
    )
    train = table(tmp_path, frame).train
    assert {name: str(dtype) for name, dtype in train.dtypes.items() if name not in ("word", "kind", "none", "at")} == {
        "t": "datetime64[ms]",
        "x": "int64",
        "y": "int64",
        "small": "int64",
        "some": "float64",
        "real": "float64",
        "nan": "float64",
        "flag": "bool",
        "maybe": "float64",
        "money": "float64",
        "long": "float64",
    }
    assert {str(train[name].dtype) for name in ("word", "kind")} <= {"str", "object"}  # as pandas has it
    assert train["nan"].isna().sum() == len(train) - 4
    assert train["long"].tolist()[1] == 86400


def test_both_sides_have_the_same_types(tmp_path: Path) -> None:
    frame = days(10).with_columns(some=pl.when(pl.col("x") > 0).then("x"))
    found = table(tmp_path, frame)
    assert found.train.dtypes.equals(found.holdout.dtypes)


def test_the_version_is_that_of_the_bytes(tmp_path: Path) -> None:
    found = table(tmp_path, days())
    assert found.version.sha256 == source.version(source.resolve(data(), tmp_path)).sha256


def test_data_that_changes_while_it_is_loaded_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    collect = Scan.collect

    def change(self: Scan, lazy: pl.LazyFrame) -> pl.DataFrame:
        frame = collect(self, lazy)
        days(50).write_parquet(tmp_path / "d.parquet")
        return frame

    monkeypatch.setattr(Scan, "collect", change)
    with pytest.raises(ConfigError, match=r"d\.parquet: changed while it was read"):
        table(tmp_path, days())
