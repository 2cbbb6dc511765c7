"""What came of the predictions: labels or values that arrive later, by request id."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from model_ci.config import Csv
from model_ci.data import tables
from model_ci.data.finding import MAX_EXAMPLES, Finding, share, such_as
from model_ci.errors import ConfigError
from model_ci.frozen import dataclass
from model_ci.production.predictions import Predictions

if TYPE_CHECKING:
    import polars as pl

_KEY: Final = ("request_id", "row")


@dataclass(frozen=True, kw_only=True)
class Outcomes:
    """A table of `request_id`, `row` (0 where the file has none) and the columns of what came of it."""

    location: str
    frame: "pl.DataFrame"
    findings: tuple[Finding, ...]

    @property
    def columns(self) -> list[str]:
        """The columns of what came of it."""
        return [name for name in self.frame.columns if name not in _KEY]


@dataclass(frozen=True, kw_only=True)
class Joined:
    """Predicted rows with what came of them, null where nothing is known yet, and all that did not fit."""

    frame: "pl.DataFrame"
    findings: tuple[Finding, ...]
    labelled: int


def read(location: str, root: Path, columns: Sequence[str], csv: Csv | None = None) -> Outcomes:
    """Read the outcomes: Parquet, CSV or JSON lines, one file or a glob, relative to `root`.

    Raises ConfigError when there are none, or `request_id` or one of `columns` is not among their columns.
    """
    import polars as pl

    table = tables.scan(location, root, csv, text=("request_id",), measured=True)
    rows = table.collect(table.lazy())
    missing = [name for name in ("request_id", *columns) if name not in rows.columns]
    if missing:
        there = ", ".join(rows.columns)
        raise ConfigError(*(f"{location}: no column {name!r}; there are {there}" for name in missing))
    if "row" not in rows.columns:
        rows = rows.with_columns(row=pl.lit(0))
    rows = rows.select(*_KEY, *columns).cast({"request_id": pl.String, "row": pl.Int64}, strict=False)
    nameless = rows.filter(pl.any_horizontal(pl.col(*_KEY).is_null()))
    findings = [*table.odd_cells(), *_nameless(location, nameless.height, rows.height)]
    rows = rows.drop_nulls(_KEY).unique(maintain_order=True)
    doubled = rows.filter(pl.struct(_KEY).is_duplicated())["request_id"].unique(maintain_order=True)
    if doubled.len():
        examples = doubled.head(MAX_EXAMPLES).to_list()
        what = f"{doubled.len()} request ids have several outcomes that differ{such_as(examples)}; keep the right one"
        findings.append(
            Finding(rule="duplicate-outcomes", where=location, what=what, count=doubled.len(), examples=examples)
        )
    frame = rows.unique(_KEY, keep="first", maintain_order=True)
    return Outcomes(location=location, frame=frame, findings=(*findings, *_not_numbers(location, frame, columns)))


def join(log: Predictions, rows: "pl.DataFrame", outcomes: Outcomes) -> Joined:
    """Add the outcomes to rows of a log; of rows with one request id and index the first keeps its outcome.

    Raises ConfigError for an outcome of the same name as an input of the model.
    """
    import polars as pl

    both = [name for name in outcomes.columns if name in rows.columns]
    if both:
        raise ConfigError(
            *(f"{outcomes.location}: {n!r} is an input of the model too; rename the outcome's column" for n in both)
        )
    key = ["_request_id", "_row"]
    repeated = rows.select(~pl.struct(key).is_first_distinct()).to_series()
    right = outcomes.frame.rename({"request_id": "_request_id", "row": "_row"})
    frame = rows.join(right, on=key, how="left", maintain_order="left")
    if repeated.any():
        frame = frame.with_columns(pl.when(~repeated).then(pl.col(n)).alias(n) for n in outcomes.columns)
    labelled = frame.select(pl.all_horizontal(pl.col(outcomes.columns).is_not_null()).sum()).item()
    findings = [*_orphans(log, outcomes), *_waiting(outcomes, frame.height, labelled)]
    return Joined(frame=frame, findings=tuple(findings), labelled=labelled)


def _nameless(location: str, count: int, rows: int) -> "list[Finding]":
    what = f"{share(count, rows)} have no request_id, or a row that is no whole number; complete them"
    return [Finding(rule="nameless-outcomes", where=location, what=what, count=count)] if count else []


def _not_numbers(location: str, frame: "pl.DataFrame", columns: Sequence[str]) -> list[Finding]:
    numbers = [name for name in columns if frame[name].dtype.is_float()]
    counts = {name: int((~frame[name].is_finite()).sum()) for name in numbers}
    return [
        Finding(rule="not-a-number", where=f"{location}: {name}", count=count, what=_not_a_number(count, frame.height))
        for name, count in counts.items()
        if count
    ]


def _not_a_number(count: int, rows: int) -> str:
    return f"{share(count, rows)} are infinite; leave out what is not known"


def _orphans(log: Predictions, outcomes: Outcomes) -> "list[Finding]":
    ids = outcomes.frame["request_id"]
    orphans = ids.filter(~_series(log.knows(ids)))
    if not orphans.len():
        return []
    examples: list[Any] = orphans.head(MAX_EXAMPLES).to_list()
    none = orphans.len() == ids.len()
    hint = "are these the outcomes of this log?" if none else "is the log sampled, or its older files gone?"
    what = f"{share(orphans.len(), ids.len())} are of no prediction in the log{such_as(examples)}; {hint}"
    level = "failure" if none else "warning"
    return [
        Finding(
            rule="outcomes-without-predictions", where=outcomes.location, what=what,
            count=orphans.len(), examples=examples, level=level,
        )
    ]  # fmt: skip


def _series(values: Any) -> "pl.Series":
    import polars as pl

    return pl.Series(values, dtype=pl.Boolean)


def _waiting(outcomes: Outcomes, rows: int, labelled: int) -> list[Finding]:
    """Tell of predictions whose outcome is not there: no mistake when outcomes take their time."""
    if rows == labelled:
        return []
    what = f"{share(rows - labelled, rows)} of the log have no outcome yet"
    level = "warning" if labelled else "failure"
    return [
        Finding(
            rule="predictions-without-outcomes", where=outcomes.location, what=what, count=rows - labelled, level=level
        )
    ]
