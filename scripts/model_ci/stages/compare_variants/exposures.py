"""Who saw which variant, when, and what came of it: the rows that a test of variants rests on."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from model_ci.config import Csv
from model_ci.data import tables
from model_ci.data.finding import MAX_EXAMPLES, Finding, share, such_as
from model_ci.errors import ConfigError
from model_ci.frozen import dataclass
from model_ci.production import outcomes, predictions
from model_ci.stages.compare_variants import measures
from model_ci.stages.compare_variants.measures import Measure

if TYPE_CHECKING:
    import polars as pl

_TABLES: Final = (".parquet", ".csv")
# Above this share of users who saw both variants, it was not by users that they were chosen.
_STICKY: Final = 0.1


@dataclass(frozen=True, kw_only=True)
class Sought:
    """What to read: which rows, of which two variants, with which metrics."""

    predictions: str
    outcomes: str | None
    truth: str
    control: str
    treatment: str
    since: datetime | None
    until: datetime | None
    unit: str
    measures: Sequence[Measure]
    csv: Csv


@dataclass(frozen=True, kw_only=True)
class Exposures:
    """The rows of both variants in the order of time.

    `frame` has `unit` (numbered from 0), `treated`, and a column for each metric, null where it is not known yet; `assigned`
    tells of each unit, in the order of arrival, whether it was given the treatment. `versions` has the version that each
    variant served; None where it is not known, or several.
    """

    frame: "pl.DataFrame"
    assigned: "pl.Series"
    unit: str
    first: datetime | None
    last: datetime | None
    findings: tuple[Finding, ...]
    versions: Mapping[str, str | None]


def read(sought: Sought, root: Path) -> Exposures:
    """Read a prediction log with its outcomes, or a table with a row a request.

    Raises ConfigError for logs, columns or variants that are not there.
    """
    tabled = sought.predictions.endswith(_TABLES)
    rows, findings = _table(sought, root) if tabled else _log(sought, root)
    both = _of_both(sought, rows)
    versions = _versions(both)
    findings += _of_several(versions)
    both, unit, of_units = _units(both, sought)
    both = both.with_columns(
        measures.value(m, both, sought.truth).alias(f"metric {i}") for i, m in enumerate(sought.measures)
    )
    findings += [*of_units, *_broken(both, sought)]
    return Exposures(
        frame=both,
        assigned=_assigned(both, findings),
        unit=unit,
        first=both["_time"].min(),  # type: ignore[arg-type]
        last=both["_time"].max(),  # type: ignore[arg-type]
        findings=tuple(findings),
        versions={variant: served[0] if len(served) == 1 else None for variant, served in versions.items()},
    )


def _log(sought: Sought, root: Path) -> "tuple[pl.DataFrame, list[Finding]]":
    log = predictions.scan(sought.predictions, root)
    rows = log.collect([], since=sought.since, until=sought.until)
    own = [m.name for m in sought.measures if m.own]
    columns = [*dict.fromkeys([*own, *([sought.truth] if any(m.needs_truth for m in sought.measures) else [])])]
    if not columns:
        return rows, list(log.findings)
    if sought.outcomes is None:
        raise ConfigError(
            f"compare-variants.outcomes: is not set; name the table with {' and '.join(columns)} by request_id"
        )
    came = outcomes.read(sought.outcomes, root, columns, sought.csv)
    joined = outcomes.join(log, rows, came)
    return joined.frame, [*log.findings, *came.findings, *joined.findings]


def _table(sought: Sought, root: Path) -> "tuple[pl.DataFrame, list[Finding]]":
    import polars as pl

    table = tables.scan(
        sought.predictions, root, sought.csv, text=("variant", "version", "user", "request_id"), measured=True
    )
    rows = table.collect(table.lazy())
    missing = [name for name in ("variant", "time") if name not in rows.columns]
    if missing:
        there = ", ".join(rows.columns)
        raise ConfigError(*(f"{sought.predictions}: no column {name!r}; there are {there}" for name in missing))
    names = ("variant", "time", "user", "version", "request_id", "prediction", "duration_ms")
    rows = rows.rename({name: f"_{name}" for name in names if name in rows.columns})
    for name in ("_user", "_version"):
        rows = rows if name in rows.columns else rows.with_columns(pl.lit(None, pl.String).alias(name))
    if "_request_id" not in rows.columns:
        rows = rows.with_row_index("_request_id")
    rows = rows.with_columns(_moments(rows["_time"], sought.predictions))
    texts = pl.col("_variant", "_user", "_version", "_request_id").cast(pl.String)
    rows = rows.with_columns(texts).sort("_time", maintain_order=True)
    inside = pl.lit(value=True)
    inside = inside if sought.since is None else inside & (pl.col("_time") >= sought.since)
    inside = inside if sought.until is None else inside & (pl.col("_time") < sought.until)
    return rows.filter(inside), table.odd_cells()


def _moments(times: "pl.Series", location: str) -> "pl.Series":
    import polars as pl

    utc = pl.Datetime("ms", "UTC")
    try:
        if times.dtype == pl.String:
            return times.str.to_datetime(time_unit="ms", time_zone="UTC").alias("_time")
        zoned = times.dtype == pl.Datetime and times.dtype.time_zone is not None  # type: ignore[attr-defined]
        return times.cast(utc) if zoned else times.cast(pl.Datetime("ms")).dt.replace_time_zone("UTC")
    except pl.exceptions.PolarsError:
        raise ConfigError(f"{location}: column 'time' holds no times in ISO 8601; write them so") from None


def _of_both(sought: Sought, rows: "pl.DataFrame") -> "pl.DataFrame":
    import polars as pl

    there = rows["_variant"].unique().drop_nulls().sort().to_list()
    variants = {"control": sought.control, "treatment": sought.treatment}
    present = ", ".join(there) or "none, not even a row"
    missing = [(key, name) for key, name in variants.items() if name not in there]
    if missing:
        raise ConfigError(
            *(f"compare-variants.{key}: no row of a variant {name!r} in {sought.predictions}; there are {present}" for key, name in missing)
        )  # fmt: skip
    treated = pl.col("_variant") == sought.treatment
    return rows.filter(pl.col("_variant").is_in(list(variants.values()))).with_columns(treated=treated)


def _versions(rows: "pl.DataFrame") -> dict[str, list[str]]:
    return {
        str(variant): part["_version"].drop_nulls().unique(maintain_order=True).to_list()
        for (variant,), part in rows.group_by(["_variant"], maintain_order=True)
    }


def _of_several(versions: Mapping[str, list[str]]) -> Iterator[Finding]:
    """Two versions under one name are two tests in one."""
    for variant, served in versions.items():
        if len(served) > 1:
            what = f"served the versions {', '.join(served)}; set compare-variants.since to the time the newest was deployed"
            yield Finding(rule="versions", where=f"variant {variant}", what=what, count=len(served))


def _units(rows: "pl.DataFrame", sought: Sought) -> "tuple[pl.DataFrame, str, list[Finding]]":
    """Number the units: the users, or the requests."""
    import polars as pl

    anonymous = int(rows["_user"].is_null().sum())
    by_user = sought.unit == "user" or (sought.unit == "auto" and anonymous < rows.height)
    findings = []
    if by_user and anonymous:
        level = "failure" if sought.unit == "user" else "warning"
        what = f"{share(anonymous, rows.height)} have no user and count as units of their own; send X-User-Id with each"
        findings.append(Finding(rule="units", where="users", what=what, count=anonymous, level=level))
    user = pl.format("user {}", pl.col("_user")) if by_user else pl.lit(None, pl.String)
    key = pl.coalesce(user, pl.format("request {}", pl.col("_request_id")))
    numbered = rows.with_columns((key.rank("dense") - 1).cast(pl.Int64).alias("unit"))
    variants = numbered.group_by("unit").agg(pl.col("treated").n_unique(), pl.col("_user").first())
    crossed = variants.filter(pl.col("treated") > 1)
    if crossed.height:
        examples = crossed["_user"].drop_nulls().head(MAX_EXAMPLES).to_list()
        what = f"{share(crossed.height, variants.height).replace('rows', 'units')} saw both variants{such_as(examples)}"
        findings.append(Finding(rule="crossed", where="units", what=what, count=crossed.height, examples=examples, level="warning"))  # fmt: skip
    return numbered, "user" if by_user else "request", findings


def _assigned(rows: "pl.DataFrame", findings: Sequence[Finding]) -> "pl.Series":
    """Return what was chosen at random, in order: for each user, or, where users see both variants, each request."""
    crossed = next((f.count or 0 for f in findings if f.rule == "crossed"), 0)
    key = "_request_id" if crossed > _STICKY * rows["unit"].n_unique() else "unit"
    return rows.unique(key, keep="first", maintain_order=True)["treated"]


def _broken(rows: "pl.DataFrame", sought: Sought) -> Iterator[Finding]:
    for i, measure in enumerate(sought.measures):
        values = rows[f"metric {i}"].drop_nulls()
        count = int((~values.is_finite()).sum())
        if count:
            what = f"{share(count, rows.height)} are NaN or infinite; mend what computes it"
            yield Finding(rule="not-a-number", where=measure.name, what=what, count=count)
