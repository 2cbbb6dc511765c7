"""Whether rows keep the data contract, judged by pandera batch by batch."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from model_ci.data import rowhash
from model_ci.data.finding import MAX_EXAMPLES, Finding, share, such_as
from model_ci.data.scan import Scan
from model_ci.data.times import zone
from model_ci.stages.check_data.contract import Column, Contract
from model_ci.stages.check_data.repeats import Repeats

if TYPE_CHECKING:
    import polars as pl

_DO: Final = "mend the data, or learn the contract anew with `model-ci check-data --learn` and commit it"
_NUMBERS: Final = ("integer", "number")
RULES: Final = ("columns", "types", "nulls", "ranges", "values", "duplicates")


class _Tally:
    """How often a column broke a rule, and by what."""

    def __init__(self) -> None:
        self.count = 0
        self.examples: list[Any] = []

    def add(self, values: "pl.Series") -> None:
        self.count += len(values)
        if len(self.examples) < MAX_EXAMPLES:
            new = [v for v in values.head(1000).unique(maintain_order=True).to_list() if v not in self.examples]
            self.examples = (self.examples + new)[:MAX_EXAMPLES]


class Conformity:
    """Compares rows with a contract; every finding is told at the end."""

    def __init__(self, contract: Contract, scan: Scan) -> None:
        self._contract, self._kinds = contract, scan.kinds
        self._checked = {n: column for n, column in contract.columns.items() if n in scan.schema}
        self._schema = _pandera_schema(self._checked, scan)
        self._tallies: dict[tuple[str, str], _Tally] = {}
        self._nulls = dict.fromkeys(self._checked, 0)
        self._repeats, self._keys = Repeats(), Repeats()
        self._keyed = bool(contract.key) and all(name in self._checked for name in contract.key)
        self._rows = 0

    def add(self, batch: "pl.DataFrame", hashes: Mapping[str, rowhash.RowHashes]) -> None:
        """Take the rows of one batch and the hashes of their values."""
        from pandera.errors import SchemaErrors

        self._rows += batch.height
        for name in self._nulls:
            self._nulls[name] += batch[name].null_count()
        if self._contract.duplicates < 1:
            self._repeats.add(rowhash.of_rows(hashes, hashes))
        if self._keyed:
            self._keys.add(rowhash.of_rows(hashes, self._contract.key))
        try:
            self._schema.validate(batch.select(list(self._checked)), lazy=True)
        except SchemaErrors as errors:
            for error in errors.schema_errors:
                self._note(error, batch)

    def findings(self) -> list[Finding]:
        """Return all that broke the contract, column by column."""
        findings = list(self._columns())
        for name, column in self._checked.items():
            findings += self._of_column(name, column)
        return findings + list(self._duplicates())

    def _note(self, error: Any, batch: "pl.DataFrame") -> None:
        import polars as pl

        name, rule = error.schema.name, getattr(error.check, "name", None) or "types"
        broken = error.failure_cases
        # A column of another type breaks the rule with every value, and pandera names only the type.
        values = broken.to_series() if isinstance(broken, pl.DataFrame) else batch[name].drop_nulls()
        self._tallies.setdefault((name, rule), _Tally()).add(values)

    def _columns(self) -> Iterator[Finding]:
        for name, column in self._contract.columns.items():
            if name not in self._kinds:
                yield Finding(rule="columns", where=name, what=f"this {column.type} column is missing; {_DO}")
        for name, kind in self._kinds.items():
            if name not in self._contract.columns:
                yield Finding(rule="columns", where=name, what=f"this {kind} column is not in the contract; {_DO}")

    def _of_column(self, name: str, column: Column) -> Iterator[Finding]:
        nulls = self._nulls[name]
        if nulls > column.nulls * self._rows:
            what = f"{share(nulls, self._rows)} have no value, {column.nulls:.2%} may; {_DO}"
            yield Finding(rule="nulls", where=name, what=what, count=nulls)
        for rule, words in (
            ("types", f"no {column.type}" + (f" but {self._kinds[name]}" if self._kinds[name] != column.type else "")),
            ("ranges", f"outside {_range(column)}"),
            ("values", "unseen values"),
        ):
            tally = self._tallies.get((name, rule))
            if tally is None or not tally.count:
                continue
            if rule == "values" and tally.count <= column.unseen * (self._rows - nulls):
                continue
            what = f"{share(tally.count, self._rows)} are {words}{such_as(tally.examples)}; {_DO}"
            yield Finding(
                rule=rule, where=name, what=what, count=tally.count, examples=[_plain(e) for e in tally.examples]
            )

    def _duplicates(self) -> Iterator[Finding]:
        allowed = self._contract.duplicates
        count = self._repeats.count() if allowed < 1 else 0
        if count > allowed * self._rows:
            what = f"{share(count, self._rows)} repeat another row, {allowed:.2%} may; {_DO}"
            yield Finding(rule="duplicates", where="rows", what=what, count=count)
        count = self._keys.count() if self._keyed else 0
        if count:
            what = f"{share(count, self._rows)} repeat the key of another row; {_DO}"
            yield Finding(rule="duplicates", where=", ".join(self._contract.key), what=what, count=count)


def _pandera_schema(columns: Mapping[str, Column], scan: Scan) -> Any:
    import pandera.polars as pa

    # Absent values are counted apart: a share of them may be allowed.
    return pa.DataFrameSchema(
        {
            name: pa.Column(*_expected(column, scan.kinds[name], scan.schema[name]), nullable=True)
            for name, column in columns.items()
            if column.type != "other"
        }
    )


def _expected(column: Column, kind: str, dtype: "pl.DataType") -> tuple[Any, list[Any]]:
    """Return the polars type and the checks of pandera for a column that holds `kind`."""
    import pandera.polars as pa
    import polars as pl

    if kind == "text" and column.type != "text":
        # Where text stands for something else, it is the values that are wrong that help, not the type.
        return dtype, [pa.Check(_reads_as_number if column.type in _NUMBERS else _is_absent, name="types")]
    if kind == "number" and column.type == "integer":
        return dtype, [pa.Check(_is_whole, name="types"), *_range_check(column, dtype)]
    if kind == column.type or (kind, column.type) == ("integer", "number"):
        values = [] if column.values is None else [pa.Check.isin(list(column.values), name="values")]
        return dtype, [*_range_check(column, dtype), *values]
    plain = {"integer": pl.Int64, "number": pl.Float64, "text": pl.String, "boolean": pl.Boolean, "date": pl.Date}
    return plain.get(column.type, pl.Datetime("us")), []


def _range_check(column: Column, dtype: "pl.DataType") -> list[Any]:
    import pandera.polars as pa

    low, high = (_bound(bound, dtype) for bound in (column.min, column.max))
    if low is not None and high is not None:
        return [pa.Check.in_range(low, high, name="ranges")]
    if low is not None:
        return [pa.Check.ge(low, name="ranges")]
    return [pa.Check.le(high, name="ranges")] if high is not None else []


def _bound(bound: Any, dtype: "pl.DataType") -> Any:
    import polars as pl

    if not isinstance(bound, str):
        return bound
    moment = datetime.fromisoformat(bound)
    if dtype == pl.Date:
        return moment.date()
    name = getattr(dtype, "time_zone", None)
    if name is None:
        return moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment
    return moment if moment.tzinfo else moment.replace(tzinfo=zone(name))


def _reads_as_number(data: Any) -> "pl.LazyFrame":
    import polars as pl

    text = pl.col(data.key)
    return data.lazyframe.select(text.is_null() | text.cast(pl.Float64, strict=False).is_not_null())  # type: ignore[no-any-return]


def _is_absent(data: Any) -> "pl.LazyFrame":
    import polars as pl

    return data.lazyframe.select(pl.col(data.key).is_null())  # type: ignore[no-any-return]


def _is_whole(data: Any) -> "pl.LazyFrame":
    import polars as pl

    number = pl.col(data.key)
    return data.lazyframe.select(number.is_null() | (number == number.floor()))  # type: ignore[no-any-return]


def _range(column: Column) -> str:
    if column.min is None or column.max is None:
        return (
            f"what is allowed, from {column.min} on" if column.max is None else f"what is allowed, up to {column.max}"
        )
    return f"{column.min} to {column.max}"


def _plain(value: Any) -> Any:
    """Return an example as JSON takes it."""
    return (
        value
        if isinstance(value, (str, int, bool)) or (isinstance(value, float) and abs(value) < float("inf"))
        else str(value)
    )
