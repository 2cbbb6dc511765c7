"""How files are read: types, marks of absence, and files that cannot be read."""

from pathlib import Path
from typing import Any

import polars as pl
import pytest
from tests.windows import csv, held_out, window

from model_ci.config import Data
from model_ci.data import source
from model_ci.data.scan import Scan
from model_ci.errors import ConfigError

WINDOW, HOLDOUT = window(), held_out(by="random")


def scan(root: Path, path: str, time_column: str | None = None, **keys: Any) -> Scan:
    wanted = Data(
        path=path,
        target="y",
        time_column=None,
        features=None,
        exclude=(),
        csv=csv(**keys),
        until=None,
        window=WINDOW,
        holdout=HOLDOUT,
    )
    return Scan(source.resolve(wanted, root), time_column)


def read(root: Path, path: str, **keys: Any) -> pl.DataFrame:
    found = scan(root, path, **keys)
    whole = found.collect(found.lazy())
    assert whole.equals(pl.concat(found.batches())), "batch by batch it is the same table"
    return whole


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ("1 2", "integer"),
        ("1 2.5", "number"),
        ("1 NA 2", "integer"),
        ("NA N/A nan 2.5", "number"),
        ("NA NA", "text"),
        ("NA BW ZW", "text"),
        ("true false", "boolean"),
        ("True FALSE", "boolean"),
        ("2024-01-01 2024-01-02", "text"),
        ("99999999999999999999 1", "number"),
        ("1e3 -2", "number"),
        ("007 008", "integer"),
        ("1,5", "text"),
    ],
)
def test_types_of_a_csv(tmp_path: Path, values: str, kind: str) -> None:
    lines = "".join(f'"{value}",1\n' if "," in value else f"{value},1\n" for value in values.split())
    (tmp_path / "a.csv").write_text(f"x,y\n{lines}")
    assert scan(tmp_path, "a.csv").kinds["x"] == kind
    read(tmp_path, "a.csv")


def test_a_missing_value_is_missing_in_text_as_in_numbers(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("country,speed,n\nNA,NA,1\nBW,3,2\n")
    found = read(tmp_path, "a.csv")
    assert found["country"].to_list() == [None, "BW"]
    assert found["speed"].to_list() == [None, 3]


def test_a_type_that_only_the_last_line_shows(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("x,y\n" + "1,0\n" * 20_000 + "2.5,1\n")
    assert read(tmp_path, "a.csv")["x"].dtype == pl.Float64
    (tmp_path / "b.csv").write_text("x,y\n" + ",0\n" * 20_000 + "word,1\n")
    assert read(tmp_path, "b.csv")["x"].null_count() == 20_000


def test_blank_lines_are_no_rows(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("x,y\n1,0\n\n2,1\n\n\n")
    assert read(tmp_path, "a.csv").height == 2


def test_windows_line_ends_and_the_mark_of_utf8(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b'\xef\xbb\xbfx,y\r\n"a, b",0\r\n"c\nd",1\r\n')
    assert read(tmp_path, "a.csv").rows() == [("a, b", 0), ("c\nd", 1)]


def test_files_are_one_table(tmp_path: Path) -> None:
    (tmp_path / "1.csv").write_text("x,y,z,w\n1,0,,a\n")
    (tmp_path / "2.csv").write_text("y,x,z,w\n1,2.5,7,\n")
    (tmp_path / "3.csv").write_text("y,x,z,w\n")
    found = read(tmp_path, "*.csv")
    assert found.rows() == [(1.0, 0, None, "a"), (2.5, 1, 7, None)]


def test_the_index_that_pandas_leaves_is_no_column(tmp_path: Path) -> None:
    frame = pl.DataFrame({"x": [1, 2], "y": [0, 1], "__index_level_0__": [5, 6]})
    frame.write_parquet(tmp_path / "a.parquet")
    assert list(scan(tmp_path, "a.parquet").schema) == ["x", "y"]


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ({"a.csv": b""}, "a.csv: is empty"),
        ({"a.csv": b"\n\n"}, "a.csv: is empty"),
        ({"a.csv": b"x,y\n"}, "has column names, but no rows"),
        ({"a.csv": b"x;y\n1;0\n"}, "a.csv: its columns are separated by semicolons ('x;y')"),
        ({"a.csv": b"x\ty\n1\t0\n"}, "a.csv: its columns are separated by tabs"),
        ({"a.csv": b"x,y,x\n1,0,1\n"}, "a.csv: column 'x' stands twice"),
        ({"a.csv": b",x,y\n0,1,0\n"}, "a.csv: column 1 has no name; name it, or export without the index column"),
        ({"a.csv": b"x,y\n1,0\n1,2,3\n"}, "a.csv:3: 3 values for 2 columns"),
        ({"a.csv": b"x,y\n1,0\n\xe4,1\n"}, "a.csv: not UTF-8 text"),
        ({"a.csv": b"\xe4,y\n1,0\n"}, "a.csv: not UTF-8 text"),
        ({"a.csv": "x,y\n1,0\n".encode("utf-16")}, "a.csv: not UTF-8 text"),
        ({"a.csv": b'x,y\n"1,0\n2,1\n'}, "a.csv: "),
        ({"a.parquet": b"PAR1 no"}, "a.parquet: not a Parquet file that can be read"),
        ({"a.parquet": b""}, "a.parquet: not a Parquet file that can be read"),
        ({"a.csv": b"x,y\n1,0\n", "b.csv": b"x,y\nword,0\n"}, "b.csv: x: holds text, but integer in a.csv"),
        ({"a.csv": b"x,y\n1,0\n", "b.csv": b"x,z\n1,0\n"}, "b.csv: lacks y and has z as well, unlike a.csv"),
    ],
)
def test_what_cannot_be_read_is_refused(tmp_path: Path, files: dict[str, bytes], says: str) -> None:
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, "*" + Path(next(iter(files))).suffix)
    assert says in str(caught.value)
    assert "; " in str(caught.value), "a message says what to do"


def test_bytes_that_are_damaged_in_the_middle_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "a.parquet"
    pl.DataFrame({"x": range(50_000), "y": range(50_000)}).write_parquet(file)
    content = bytearray(file.read_bytes())
    content[100:5000] = b"\xff" * 4900
    file.write_bytes(content)
    with pytest.raises(ConfigError, match=r"a\.parquet: cannot be read: .*; write it again"):
        read(tmp_path, "a.parquet")
    with pytest.raises(ConfigError, match=r"a\.parquet: cannot be read: .*; write it again"):
        list(scan(tmp_path, "a.parquet").batches())


def test_files_of_other_zones_are_refused(tmp_path: Path) -> None:
    for name, zone in (("a", "UTC"), ("b", "Asia/Tokyo")):
        frame = pl.DataFrame({"t": ["2024-01-01"]}).select(pl.col("t").str.to_datetime().dt.replace_time_zone(zone))
        frame.write_parquet(tmp_path / f"{name}.parquet")
    with pytest.raises(ConfigError, match=r"b\.parquet: t: holds time in Asia/Tokyo, but time in UTC in a\.parquet"):
        scan(tmp_path, "*.parquet")


def test_batches_do_not_grow_with_the_rows(tmp_path: Path) -> None:
    pl.DataFrame({"x": range(200_001)}).write_parquet(tmp_path / "a.parquet", row_group_size=200_001)
    sizes = [batch.height for batch in scan(tmp_path, "a.parquet").batches()]
    assert sum(sizes) == 200_001
    assert max(sizes) <= 50_000


def frame(root: Path, content: str, **keys: Any) -> pl.DataFrame:
    (root / "a.csv").write_bytes(content.encode(keys.get("encoding", "utf-8")))
    return read(root, "a.csv", **keys)


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        ("x;y\n1,5;0\n-2,25;1\n", {"separator": ";", "decimal": ","}),
        ("x\ty\n1.5\t0\n-2.25\t1\n", {"separator": "\t"}),
        ("x,y\n1.5,0\n-2.25,1\nleer,1\n", {"missing": ["leer"]}),
        ("x,y\n 1.5,0\n-2.25 ,1\n", {}),
        ("x;y\n +1,5;0\n-2,25;1\n", {"separator": ";", "decimal": ","}),
        ("x,y\n1.5,0\n-2.25,1\n", {"encoding": "utf-16"}),
    ],
)
def test_csv_as_it_is_written(tmp_path: Path, text: str, keys: dict[str, Any]) -> None:
    assert frame(tmp_path, text, **keys)["x"].to_list()[:2] == [1.5, -2.25]


def test_text_of_another_encoding(tmp_path: Path) -> None:
    found = frame(tmp_path, "größe,y\nübel,0\ngut,1\n", encoding="cp1252")
    assert found.to_dict(as_series=False) == {"größe": ["übel", "gut"], "y": [0, 1]}


@pytest.mark.parametrize("rows", [1, 3000])
def test_columns_of_text_are_kept_as_they_are_written(tmp_path: Path, rows: int) -> None:
    found = frame(tmp_path, "zip,y\n" + "00705,0\n" * rows + "1e5,1\n", text=["zip"])
    assert found["zip"].to_list() == ["00705"] * rows + ["1e5"]


@pytest.mark.parametrize("name", ['said "no"', "a.b", " c", "d,e", "f\ng", "größe", "x_duplicated_0"])
def test_a_column_keeps_its_name(tmp_path: Path, name: str) -> None:
    quoted = '"' + name.replace('"', '""') + '"'
    assert frame(tmp_path, f"{quoted},y\n1,0\n2,1\n").columns == [name, "y"]
    assert frame(tmp_path, f"{quoted};y\n1;0\n2;1\n", separator=";")[name].to_list() == [1, 2]


@pytest.mark.parametrize(
    ("values", "odd"),
    [
        (["1", "2", "3", "4", "5", "n.a."], ["n.a."]),
        (["1.5"] * 500 + ["o", "l"], ["o", "l"]),
        (["true"] * 30 + ["yes"], ["yes"]),
        (["1"] * 5000 + ["1.000,5"], ["1.000,5"]),
        ([""] * 2000 + ["1"] * 100 + ["word"], ["word"]),
        (["1", "2", "a", "b", "3", "c"], []),
        (["12", "14", "A1", "B2", "A1", "9", "A3", "11", "A1"], []),
        (["AA", "BB", "7"], []),
        (["1", "NA", "2", "?", "3", "4", "5"], []),
    ],
)
def test_a_few_odd_cells_that_make_a_column_text_are_named(tmp_path: Path, values: list[str], odd: list[str]) -> None:
    (tmp_path / "a.csv").write_text("x,y\n" + "".join(f'"{v}",1\n' for v in values))
    findings = scan(tmp_path, "a.csv").odd_cells()
    assert [example for finding in findings for example in finding.examples] == odd
    assert [finding.count for finding in findings] == ([len(odd)] if odd else [])
    assert not scan(tmp_path, "a.csv", text=["x"]).odd_cells(), "it is declared"


def test_a_large_file_is_read_as_a_small_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = 'said ""x"",y,z\n'.replace('said ""x""', '"said ""x"""') + "".join(
        f"{i}, {i / 2} ,{'?' if i % 7 else 'a'}\n" for i in range(3000)
    )
    small = frame(tmp_path, text)
    monkeypatch.setattr("model_ci.data.kept.MOST_BYTES", 10)
    (tmp_path / "b.csv").write_text(text)
    assert read(tmp_path, "b.csv").equals(small)
    assert small.columns == ['said "x"', "y", "z"]
    assert small["y"].dtype == pl.Float64


def test_a_file_that_changed_is_read_again(tmp_path: Path) -> None:
    frame(tmp_path, "x,y\n1,0\n")
    assert frame(tmp_path, "x,y\n1,0\n22,1\n")["x"].to_list() == [1, 22]


@pytest.mark.parametrize("name", ["a.csv", "a.parquet"])
def test_a_pointer_of_git_lfs_is_named(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 4\n")
    with pytest.raises(ConfigError, match="pointer of Git LFS, not the data; fetch the data with `git lfs pull`"):
        read(tmp_path, name)
