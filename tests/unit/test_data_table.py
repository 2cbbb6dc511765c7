"""Which rows count, and on which side they are."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.windows import csv, held_out, window

from model_ci.config import Data
from model_ci.data import cut, rowhash, source
from model_ci.data.scan import Scan
from model_ci.data.table import Table, load
from model_ci.errors import ConfigError


def data(path: str = "d.parquet", **keys: Any) -> Data:
    chosen = window(**keys.pop("window", {}))
    timed = keys.get("time_column", "t") is not None
    chosen_by = {"by": "time" if timed else "random"} | keys.pop("holdout", {})
    rest = {"target": "y", "time_column": "t", "features": None, "exclude": (), "csv": csv(), "until": None} | keys
    return Data(path=path, window=chosen, holdout=held_out(**chosen_by), **rest)


def days(count: int = 100, per_day: int = 1) -> pl.DataFrame:
    """Return rows of consecutive days from 2024-01-01 on, numbered in `x`."""
    start = np.datetime64("2024-01-01", "D")
    t = np.repeat(start + np.arange(count), per_day)
    x = np.arange(count * per_day)
    return pl.DataFrame({"t": t, "x": x, "y": x % 2})


def table(root: Path, frame: pl.DataFrame, **keys: Any) -> Table:
    path = keys.get("path", "d.parquet")
    if path.endswith(".csv"):
        frame.write_csv(root / path)
    else:
        frame.write_parquet(root / path)
    return load(data(**keys), root=root)


def test_the_newest_rows_are_held_out(tmp_path: Path) -> None:
    found = table(tmp_path, days().sample(fraction=1, shuffle=True, seed=1))
    assert found.train["x"].tolist() == list(range(80))
    assert found.holdout["x"].tolist() == list(range(80, 100))
    assert found.features == ["x"]
    assert found.as_record() == {
        "window": {"kind": "all", "last": None, "start": None},
        "until": None,
        "holdout": {
            "by": "time",
            "last": None,
            "share": 0.2,
            "group": None,
            "path": None,
            "key": None,
            "seed": None,
            "stratify": False,
            "gap": None,
            "gap_rows": 0,
        },
        "boundary": "2024-03-21",
        "rows": 100,
        "train_rows": 80,
        "holdout_rows": 20,
        "unlabelled_rows": 0,
        "first": "2024-01-01",
        "last": "2024-04-09",
    }


@pytest.mark.parametrize(
    ("keys", "train", "held"),
    [
        ({"until": "2024-01-11"}, range(8), range(8, 10)),
        ({"window": {"kind": "fixed", "last": 10}}, range(70, 80), range(80, 100)),
        ({"window": {"kind": "fixed", "last": 1000}}, range(80), range(80, 100)),
        ({"window": {"kind": "fixed", "last": "30d"}}, range(50, 80), range(80, 100)),
        ({"window": {"kind": "fixed", "last": "2w"}, "until": "2024-02-01"}, range(11, 25), range(25, 31)),
        ({"window": {"kind": "fixed", "last": "36h"}}, range(78, 80), range(80, 100)),
        ({"window": {"kind": "expanding", "start": "2024-03-01"}}, range(60, 80), range(80, 100)),
        ({"window": {"kind": "expanding", "start": "2023-01-01"}}, range(80), range(80, 100)),
        ({"holdout": {"last": "7d"}}, range(93), range(93, 100)),
        ({"holdout": {"share": 0.001}}, range(99), range(99, 100)),
        ({"holdout": {"share": 0.999}}, range(1), range(1, 100)),
        ({"holdout": {"gap": "7d"}}, range(73), range(80, 100)),
        ({"holdout": {"gap": "7d"}, "window": {"kind": "fixed", "last": 5}}, range(68, 73), range(80, 100)),
    ],
)
@pytest.mark.parametrize("path", ["d.csv", "d.parquet"])
def test_windows(tmp_path: Path, path: str, keys: dict[str, Any], train: range, held: range) -> None:
    found = table(tmp_path, days(), path=path, **keys)
    assert found.train["x"].tolist() == list(train)
    assert found.holdout["x"].tolist() == list(held)
    gap = found.as_record()["holdout"]["gap_rows"]
    assert gap == (7 if "gap" in keys.get("holdout", {}) else 0)


@pytest.mark.parametrize(("share", "held"), [(0.12, 10), (0.18, 20), (0.01, 10), (0.99, 90)])
def test_rows_of_one_time_are_on_one_side(tmp_path: Path, share: float, held: int) -> None:
    found = table(tmp_path, days(10, per_day=10), holdout={"share": share})
    assert found.train["t"].max() < found.holdout["t"].min()
    assert len(found.holdout) == held


def test_a_window_of_rows_is_exact_where_times_are_equal(tmp_path: Path) -> None:
    found = table(tmp_path, days(10, per_day=10), window={"kind": "fixed", "last": 25})
    assert found.train["x"].tolist() == list(range(55, 80))
    assert found.holdout["x"].tolist() == list(range(80, 100))


def test_rows_without_a_label_are_counted_and_left_out(tmp_path: Path) -> None:
    frame = days().with_columns(y=pl.when(pl.col("x") % 10 > 0).then("y"))
    found = table(tmp_path, frame, window={"kind": "fixed", "last": 18})
    assert found.as_record()["rows"] == 36
    assert found.as_record()["unlabelled_rows"] == 3
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
    found = load(data("d.csv", until=until, holdout={"share": 0.5}), root=tmp_path)
    assert found.as_record()["rows"] == rows


def test_a_zone_is_kept(tmp_path: Path) -> None:
    frame = days(10).with_columns(pl.col("t").cast(pl.Datetime("ms")).dt.replace_time_zone("America/New_York"))
    found = table(tmp_path, frame, until="2024-01-05T03:00:00")
    assert found.as_record()["rows"] == 5
    assert found.as_record()["first"] == "2024-01-01T00:00:00-05:00"
    assert str(found.train["t"].dtype) == "datetime64[us, America/New_York]"


SIDES_OF_VALUES = [0, 3, 4, 5, 6, 14, 18]
SIDES_OF_KEYS = [2, 13, 14, 15, 17, 18]
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
            "the newest is of 2024-01-01, and the newest of all rows of 2024-01-02",
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
        load(data("d.csv", **keys), root=tmp_path)
    assert says in str(caught.value)
    assert "; " in str(caught.value), "a message says what to do"


def test_all_missing_columns_are_named_at_once(tmp_path: Path) -> None:
    days().write_parquet(tmp_path / "d.parquet")
    with pytest.raises(ConfigError) as caught:
        load(data(target="no", time_column="nor", features=("never",)), root=tmp_path)
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
    assert by_side(table(tmp_path, frame, holdout={"seed": 1}, **keys)) != before


def test_the_sides_never_change_between_versions(tmp_path: Path) -> None:
    frame = pl.DataFrame({"x": range(20), "w": ["ä", "b"] * 10, "y": [0.5, -0.0] * 10, "b": [True, None] * 10})
    found = table(tmp_path, frame, time_column=None, holdout={"share": 0.4})
    # Whatever changes this list puts rows that a champion has learnt from into the holdout.
    assert found.holdout["x"].tolist() == SIDES_OF_VALUES
    found = table(tmp_path, frame, time_column=None, holdout={"share": 0.4, "key": ("x",)})
    assert found.holdout["x"].tolist() == SIDES_OF_KEYS


def many(count: int = 600) -> pl.DataFrame:
    draw = np.random.default_rng(4)
    return pl.DataFrame(
        {
            "id": range(count),
            "customer": draw.integers(0, 60, count),
            "x": draw.normal(size=count),
            "y": (draw.random(count) < 0.1).astype(int),
        }
    )


BY = [{"by": "random", "key": ("id",)}, {"by": "group", "group": "customer"}, {"by": "random"}]


@pytest.mark.parametrize("holdout", BY, ids=["key", "group", "values"])
def test_no_change_of_other_rows_or_columns_moves_a_row(tmp_path: Path, holdout: dict[str, Any]) -> None:
    frame, keys = many(), {"time_column": None, "holdout": holdout, "features": ("x",)}
    before = sides_of(table(tmp_path, frame, **keys))
    changed = {
        "more rows": pl.concat([frame.with_columns(id=pl.col("id") + 5000, x=pl.col("x") + 50), frame]),
        "another order": frame.sample(fraction=1, shuffle=True, seed=3),
        "a new column": frame.with_columns(new=pl.col("x") * 2),
        "columns in another order": frame.select("y", "x", "customer", "id"),
        "corrected labels": frame.with_columns(y=1 - pl.col("y")),
        "wider types": frame.with_columns(pl.col("id").cast(pl.Float64), pl.col("customer").cast(pl.Int16)),
        "other files": frame,
    }
    for what, rows in changed.items():
        path = "d.csv" if what == "other files" else "d.parquet"
        after = sides_of(table(tmp_path, rows, path=path, **keys))
        assert {row: side for row, side in after.items() if row < 600} == before, what
    assert sides_of(table(tmp_path, frame, **keys | {"holdout": holdout | {"seed": 1}})) != before
    if "key" in holdout or "group" in holdout:
        wide = table(tmp_path, frame, **keys | {"features": ("x", "customer")})
        assert sides_of(wide) == before, "another feature does not move a row either"


def sides_of(found: Table) -> dict[int, str]:
    return dict.fromkeys(found.train["id"], "train") | dict.fromkeys(found.holdout["id"], "holdout")


def test_groups_are_never_split(tmp_path: Path) -> None:
    found = table(tmp_path, many(), time_column=None, holdout={"by": "group", "group": "customer"})
    assert not set(found.train["customer"]) & set(found.holdout["customer"])
    assert 60 < len(found.holdout) < 200


def test_neighbouring_identifiers_of_64_bits_are_different_rows(tmp_path: Path) -> None:
    frame = many().with_columns(id=pl.col("id") + 2**62)
    found = table(tmp_path, frame, time_column=None, holdout={"by": "random", "key": ("id",)})
    assert 80 < len(found.holdout) < 160


@pytest.mark.parametrize("by", ["random", "group"])
def test_stratified_holdouts_have_the_same_share_of_each_class(tmp_path: Path, by: str) -> None:
    rare = many().with_columns(y=pl.when(pl.col("id") == 3).then(7).when(pl.col("id") < 7).then(5).otherwise("y"))
    holdout = {"by": by, "share": 0.25, "stratify": True} | (
        {"group": "customer"} if by == "group" else {"key": ("id",)}
    )
    found = table(tmp_path, rare, time_column=None, holdout=holdout)
    if by == "group":
        assert not set(found.train["customer"]) & set(found.holdout["customer"])
        assert {5} <= set(found.holdout["y"]) & set(found.train["y"])
        return
    shares = {c: (found.holdout["y"] == c).sum() / (rare["y"] == c).sum() for c in (0, 1)}
    assert all(abs(share - 0.25) < 0.01 for share in shares.values()), shares
    assert (found.holdout["y"] == 5).sum() == round(0.25 * 6)
    assert (found.holdout["y"] == 7).sum() == 0, "one row alone is learnt from"


def test_a_file_of_its_own_is_held_out(tmp_path: Path) -> None:
    frame = many()
    frame.tail(100).write_parquet(tmp_path / "held.parquet")
    found = table(tmp_path, frame.head(500), time_column=None, holdout={"by": "file", "path": "held.parquet"})
    assert found.train["id"].tolist() == list(range(500))
    assert found.holdout["id"].tolist() == list(range(500, 600))
    assert list(found.train) == ["id", "customer", "x", "y"]
    assert [file.path for file in found.version.files] == ["d.parquet", "held.parquet"]


@pytest.mark.parametrize(
    ("holdout", "message"),
    [
        ({"by": "file", "path": "d.*"}, "data.holdout.path: d.parquet matched by data.path as well"),
        ({"by": "file", "path": "no.parquet"}, "data.holdout.path: no file matches no.parquet"),
        ({"by": "random", "key": ("nr",)}, "data.holdout.key: d.parquet has no column 'nr'"),
        ({"by": "group", "group": "custmer"}, "did you mean 'customer'?"),
        ({"by": "group", "group": "gap"}, "data.holdout.group: 300 of 600 rows have no gap"),
        ({"by": "random", "key": ("gap", "id")}, "data.holdout.key: 300 of 600 rows have no gap"),
        ({"by": "group", "group": "one"}, "name a data.holdout.group of more values than one has"),
    ],
)
def test_holdouts_that_cannot_be_cut_are_refused(tmp_path: Path, holdout: dict[str, Any], message: str) -> None:
    frame = many().with_columns(gap=pl.when(pl.col("id") % 2 == 0).then("id"), one=pl.lit(1))
    with pytest.raises(ConfigError) as caught:
        table(tmp_path, frame, time_column=None, holdout=holdout)
    assert message in str(caught.value)
    assert "; " in str(caught.value)


def test_the_holdout_is_the_same_for_every_window(tmp_path: Path) -> None:
    frame = many().with_columns(t=pl.lit(np.datetime64("2024-01-01")) + pl.duration(hours=pl.col("id")))
    windows: list[dict[str, Any]] = [
        {}, {"kind": "fixed", "last": 50}, {"kind": "fixed", "last": "3d"}, {"kind": "expanding", "start": "2024-01-10"},
        {"kind": "dynamic", "last": "10d"},
    ]  # fmt: skip
    for holdout in ({"by": "time"}, {"by": "time", "last": "2d"}, *BY):
        cuts = [table(tmp_path, frame, window=window, holdout=holdout) for window in windows]
        assert len({tuple(found.holdout["id"]) for found in cuts}) == 1, holdout
        rest = cuts[0].train["id"].tolist()
        assert cuts[1].train["id"].tolist() == rest[-50:]
        assert all(len(found.train) < len(rest) for found in cuts[1:])


@settings(max_examples=60, deadline=None)
@given(
    times=st.lists(st.integers(0, 8), min_size=2, max_size=30),
    last=st.integers(1, 30),
    share=st.floats(0.05, 0.95),
    batch=st.integers(1, 7),
    by=st.sampled_from(["time", "random", "group"]),
    stratify=st.booleans(),
)
def test_batches_are_cut_as_the_whole(
    tmp_path_factory: pytest.TempPathFactory, times: list[int], last: int, share: float, batch: int, by: str,
    stratify: bool,
) -> None:  # fmt: skip
    root = tmp_path_factory.mktemp("cut")
    count = range(len(times))
    frame = pl.DataFrame({"t": times, "x": count, "y": [i % 2 for i in count], "g": [i % 5 for i in count]})
    frame.write_parquet(root / "d.parquet")
    more = {"group": "g"} if by == "group" else {}
    holdout = {"by": by, "share": share, "stratify": stratify and by != "time", **more}
    settled = data(window={"kind": "fixed", "last": last}, holdout=holdout)
    scan = Scan(source.resolve(settled, root))
    try:
        chosen = cut.find(settled, scan, ["x", "g"])
    except ConfigError:
        assert by != "time" or len(set(times)) == 1
        return
    parts = [*chosen.parts(frame.iter_slices(batch))]
    rows, held = pl.concat(part.rows for part in parts), np.concatenate([part.held for part in parts])
    learnt, holdout_rows = rows.filter(~held), rows.filter(held)
    rest = frame.filter(~pl.col("x").is_in(holdout_rows["x"].implode()))
    assert sorted(learnt["x"]) == sorted(rest.sort("t", maintain_order=True).tail(last)["x"])
    if by == "time":
        assert learnt["t"].max() < holdout_rows["t"].min()  # type: ignore[operator]
    assert all(np.array_equal(part.hashes()["x"], rowhash.of_columns(part.rows)["x"]) for part in parts)


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
    assert str(train["word"].dtype) in {"str", "object"}  # as pandas has it
    assert str(train["kind"].dtype) == "category"
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


@pytest.mark.parametrize("kind", [pl.Enum(["low", "mid", "high"]), pl.Categorical])
def test_categories_of_polars_are_kept(tmp_path: Path, kind: pl.DataType) -> None:
    frame = days(10).with_columns(level=pl.Series(["mid", "low"] * 5, dtype=kind))
    train = table(tmp_path, frame).train["level"]
    assert train.tolist() == ["mid", "low"] * 4
    assert train.cat.ordered == (kind != pl.Categorical)
    assert set(train.cat.categories) == ({"low", "mid", "high"} if train.cat.ordered else {"low", "mid"})


def test_files_that_order_categories_differently_are_refused(tmp_path: Path) -> None:
    for name, levels in (("a", ["low", "high"]), ("b", ["high", "low"])):
        frame = days(10).with_columns(level=pl.Series(["low", "high"] * 5, dtype=pl.Enum(levels)))
        frame.write_parquet(tmp_path / f"{name}.parquet")
    with pytest.raises(ConfigError, match=r"b\.parquet: level: orders its categories high, low, unlike low, high"):
        load(data("*.parquet"), root=tmp_path)
