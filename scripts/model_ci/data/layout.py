"""The columns of a data file and their types, and the types that all files share."""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field, replace
from functools import cache, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from model_ci.config import Csv
from model_ci.data import header, kept, lfs
from model_ci.data.finding import MAX_EXAMPLES
from model_ci.data.hashes import Stamp, stamp
from model_ci.data.source import Source
from model_ci.errors import ConfigError
from model_ci.frozen import dataclass
from model_ci.schema import fill_defaults, load_schema

if TYPE_CHECKING:
    import polars as pl

    Types = dict[str, pl.DataType | None]  # None: every value is absent, so that any type holds them

_SAMPLE_ROWS: Final = 1_000
_FEW: Final = 0.05  # share of a column's values that are odd, where the others are numbers or true and false
_SURE: Final = 5  # values of one kind that make one other odd
_PANDAS_INDEX: Final = re.compile(r"__index_level_\d+__")


@dataclass(frozen=True, kw_only=True)
class Odd:
    """A column of text where almost all values are numbers, or true and false: how many are not, and examples."""

    kind: str
    count: int
    values: int
    examples: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Layout:
    """One file: the types as they stand in it, and the plain types that hold its values.

    `names` maps the names that polars reads in the header to the columns' names, which lose the quotes around them.
    """

    file: Path
    name: str
    form: str
    stamp: Stamp
    raw: "Mapping[str, pl.DataType]"
    types: "Types"
    csv: Csv | None = None
    names: Mapping[str, str] = field(default_factory=dict)
    odd: Mapping[str, Odd] = field(default_factory=dict)
    measured: bool = False  # a NaN stays one: it is a fault of what computed it

    def lazy(self) -> "pl.LazyFrame":
        """Return the rows as they stand in the file."""
        import polars as pl

        if self.form == "jsonl":
            return pl.scan_ndjson(self.file, schema=dict(self.raw))
        if self.csv is None:
            return pl.scan_parquet(self.file, glob=False)
        frame = kept.get(self.file, self.stamp, self.csv)
        if frame is not None:
            return frame.lazy()
        written = {old: self.raw[new] for old, new in self.names.items()}
        return pl.scan_csv(self.file, schema=written, **_options(self.csv)).rename(dict(self.names))

    def conformed(self, schema: "Mapping[str, pl.DataType]") -> "list[pl.Expr]":
        """Return what makes the file's columns those of `schema`."""
        return [self._plain(name, dtype) for name, dtype in schema.items()]

    def converted(self) -> dict[str, str]:
        """Return what becomes of columns whose type models do not take, in words."""
        if self.form != "parquet":
            return {}
        gaps = {name for name, absent in _absent(self.file).items() if absent}
        words = {name: _converted(self.raw[name], gaps=name in gaps) for name in self.types}
        return {name: text for name, text in words.items() if text}

    def _plain(self, name: str, dtype: "pl.DataType") -> "pl.Expr":
        import polars as pl

        if name not in self.raw:
            return pl.lit(None, dtype).alias(name)
        column, raw = pl.col(name), self.raw[name]
        if raw == pl.Duration:
            column = column.dt.total_microseconds() / 1e6
        elif self.csv and raw == pl.String and dtype != pl.String:
            column = _bare(column, self.csv)
        if raw != dtype:
            column = column.cast(dtype)
        # One sort of absence: NaN is what other writers leave where a number is absent.
        return column.fill_nan(None) if dtype == pl.Float64 and not self.measured else column


def inspect(file: Path, source: Source) -> Layout:
    """Find the columns of a file and their types."""
    name, form = Path(os.path.relpath(file, source.root)).as_posix(), source.form(file)
    if form == "csv":
        layout = _inspect_csv(file, name, stamp(file), source.csv or default())
    else:
        layout = (_inspect_parquet if form == "parquet" else _inspect_jsonl)(file, name, stamp(file))
    return replace(layout, measured=source.measured)


@cache
def default() -> Csv:
    """Return how CSV is written where nothing else is said."""
    schema = load_schema("config")
    values: dict[str, Any] = fill_defaults({}, schema["properties"]["data"]["properties"]["csv"], schema)
    return Csv(**values | {key: tuple(values[key]) for key in ("missing", "text")})


def unite(layouts: Sequence[Layout], *, ragged: bool = False) -> "dict[str, pl.DataType]":
    """Find the type of each column that holds the values of all files; raise ConfigError where there is none.

    A `ragged` table may lack columns in some of its files.
    """
    import polars as pl

    first, *rest = layouts
    types = dict(first.types)
    origin = dict.fromkeys(types, first.name)
    problems: list[str] = []
    for layout in rest:
        problems += [] if ragged else _other_columns(first, layout)
        for name, new in layout.types.items():
            old = types.get(name)
            if old is None and (new is not None or ragged):
                types[name], origin[name] = new, layout.name
            elif old is not None and new is not None and new != old:
                if {kind(old), kind(new)} == {"integer", "number"}:
                    types[name] = pl.Float64()
                else:
                    problems.append(_differ(layout.name, name, new, old, origin[name]))
    if problems:
        raise ConfigError(*problems)
    untyped = {name for name in types if ragged and all(layout.raw.get(name, pl.Null) == pl.Null for layout in layouts)}
    valueless = {name: pl.Null() if name in untyped else pl.String() for name in types}
    return {name: valueless[name] if dtype is None else dtype for name, dtype in types.items()}


def kind(dtype: "pl.DataType") -> str:
    """Name a plain type in the words of a contract."""
    import polars as pl

    if isinstance(dtype, pl.Datetime):
        return "time"
    names = {pl.Int64: "integer", pl.Float64: "number", pl.String: "text", pl.Boolean: "boolean", pl.Date: "date"}
    return next((word for plain, word in names.items() if dtype == plain), "other")


@lru_cache(maxsize=4096)
def _inspect_parquet(file: Path, name: str, stamp: Stamp) -> Layout:
    import polars as pl

    lfs.refuse(file, name)
    try:
        raw = dict(pl.read_parquet_schema(file))
    except (pl.exceptions.PolarsError, OSError) as error:
        reason = str(error).partition("\n")[0]
        raise ConfigError(f"{name}: not a Parquet file that can be read: {reason}; write it again") from None
    if not raw:
        raise ConfigError(f"{name}: has no columns; write it again with rows")
    types = {column: _plain_type(dtype) for column, dtype in raw.items() if not _PANDAS_INDEX.fullmatch(column)}
    return Layout(file=file, name=name, form="parquet", stamp=stamp, raw=raw, types=types)


@lru_cache(maxsize=4096)
def _inspect_jsonl(file: Path, name: str, stamp: Stamp) -> Layout:
    import polars as pl

    lfs.refuse(file, name)
    try:
        raw = dict(pl.scan_ndjson(file, infer_schema_length=None).collect_schema())
    except (pl.exceptions.PolarsError, OSError) as error:
        reason = str(error).partition("\n")[0]
        raise ConfigError(f"{name}: not a file of JSON lines that can be read: {reason}; write it again") from None
    types = {column: _plain_type(dtype) for column, dtype in raw.items()}
    return Layout(file=file, name=name, form="jsonl", stamp=stamp, raw=raw, types=types)


@lru_cache(maxsize=4096)
def _inspect_csv(file: Path, name: str, stamp: Stamp, csv: Csv) -> Layout:
    import polars as pl

    columns = header.read(file, name, csv)
    try:
        read = _csv_types(header.as_utf8(file, csv.encoding), stamp, csv, columns)
        names = dict(zip(read, columns, strict=True))
        raw = {names[old]: dtype for old, dtype in read.items()}
        layout = Layout(
            file=header.as_utf8(file, csv.encoding),
            name=name,
            form="csv",
            stamp=stamp,
            raw=raw,
            types={},
            csv=csv,
            names=names,
        )
        numbers, odd = _disguised(layout, csv)
    except (pl.exceptions.PolarsError, OSError, ValueError) as error:
        raise ConfigError(header.explain(file, name, len(columns), csv, str(error).partition("\n")[0])) from None
    return replace(layout, types={column: _plain_type(dtype) for column, dtype in raw.items()} | numbers, odd=odd)


def _options(csv: Csv) -> dict[str, Any]:
    """Return what polars is told of how a file is written."""
    return {
        "separator": csv.separator,
        "decimal_comma": csv.decimal == ",",
        "null_values": list(csv.missing),
        "glob": False,
    }


def _csv_types(file: Path, stamp: Stamp, csv: Csv, columns: Sequence[str]) -> "dict[str, pl.DataType]":
    """Find the types that hold every value of a file, and keep the rows of one that is small.

    What the first rows show holds for the whole file once every row was read with it. Otherwise the whole file is asked.
    """
    import polars as pl

    options = _options(csv)
    head = dict(pl.scan_csv(file, infer_schema_length=_SAMPLE_ROWS, **options).collect_schema())
    names = dict(zip(head, columns, strict=True))
    options["schema_overrides"] = {old: pl.String() for old, new in names.items() if new in csv.text}
    if stamp[0] > kept.MOST_BYTES:
        return dict(pl.scan_csv(file, infer_schema_length=None, **options).collect_schema())
    try:
        frame = pl.read_csv(file, schema=head | options["schema_overrides"], **_options(csv))
    except pl.exceptions.PolarsError:
        frame = pl.read_csv(file, infer_schema_length=None, **options)
    # A column without a value in the first rows counts as text there.
    if any(dtype == pl.String and not frame[:_SAMPLE_ROWS, name].count() for name, dtype in frame.schema.items()):
        frame = pl.read_csv(file, infer_schema_length=None, **options)
    kept.put(file, stamp, csv, frame.rename(names))
    return dict(frame.schema)


def _disguised(layout: Layout, csv: Csv) -> "tuple[Types, dict[str, Odd]]":
    """Find the text columns that hold nothing but numbers with spaces or signs around them, and those with a few odd values."""
    import polars as pl

    texts = [name for name, dtype in layout.raw.items() if dtype == pl.String and name not in csv.text]
    likely = [name for name, t in _tallies(layout, texts, csv, _SAMPLE_ROWS).items() if 2 * t.most >= t.values]
    numbers: Types = {}
    odd = {}
    for name, tally in _tallies(layout, likely, csv).items():
        if tally.values == tally.numbers:
            whole = tally.integers == tally.values
            numbers[name] = None if not tally.values else pl.Int64() if whole else pl.Float64()
        elif tally.odd:
            odd[name] = Odd(
                kind=tally.kind, count=tally.odd, values=tally.values, examples=_examples(layout, name, tally.kind, csv)
            )
    return numbers, odd


@dataclass(frozen=True, kw_only=True)
class _Tally:
    """How many values of a text column read as what."""

    values: int
    numbers: int
    integers: int
    booleans: int

    @property
    def most(self) -> int:
        return max(self.numbers, self.booleans)

    @property
    def kind(self) -> str:
        return "number" if self.numbers >= self.booleans else "boolean"

    @property
    def odd(self) -> int:
        """How many values keep the column from being numbers or booleans; 0 where they are too many to be mistakes."""
        others = self.values - self.most
        return others if others <= max(_FEW * self.values, 1) and self.most >= _SURE else 0


def _tallies(layout: Layout, names: Sequence[str], csv: Csv, rows: int | None = None) -> dict[str, _Tally]:
    import polars as pl

    if not names:
        return {}
    counts: list[pl.Expr] = []
    for i, name in enumerate(names):
        value = _bare(pl.col(name), csv)
        casts = (value, value.cast(pl.Float64, strict=False), value.cast(pl.Int64, strict=False))
        counts += [cast.count().alias(f"{i} {j}") for j, cast in enumerate(casts)]
        counts.append(_is_boolean(value).sum().alias(f"{i} boolean"))
    lazy = layout.lazy().select(names)
    row = (lazy if rows is None else lazy.head(rows)).select(counts).collect(engine="streaming").row(0)
    return {
        name: _Tally(**dict(zip(("values", "numbers", "integers", "booleans"), row[4 * i : 4 * i + 4], strict=True)))
        for i, name in enumerate(names)
    }


def _examples(layout: Layout, name: str, kind: str, csv: Csv) -> tuple[str, ...]:
    import polars as pl

    value = _bare(pl.col(name), csv)
    fits = _is_boolean(value) if kind == "boolean" else value.cast(pl.Float64, strict=False).is_not_null()
    odd = layout.lazy().select(name).filter(value.is_not_null() & ~fits).unique(maintain_order=True).head(MAX_EXAMPLES)
    return tuple(odd.collect().to_series())


def _is_boolean(value: "pl.Expr") -> "pl.Expr":
    return value.str.to_lowercase().is_in(["true", "false"])


def _bare(column: "pl.Expr", csv: Csv) -> "pl.Expr":
    """Return text as it reads as a number: without spaces around it, with a point, null where it is missing."""
    import polars as pl

    value = column.str.strip_chars()
    value = pl.when(~value.is_in(["", *csv.missing])).then(value).str.strip_prefix("+")
    return value.str.replace(",", ".", literal=True) if csv.decimal == "," else value


def _plain_type(dtype: "pl.DataType") -> "pl.DataType | None":
    import polars as pl

    if dtype == pl.Null:
        return None
    if dtype.is_integer() and str(dtype) not in ("UInt64", "Int128", "UInt128"):
        return pl.Int64()
    if dtype.is_numeric() or dtype == pl.Duration:
        return pl.Float64()
    if isinstance(dtype, pl.Datetime):
        return pl.Datetime("us", dtype.time_zone)
    if dtype in (pl.Categorical, pl.Enum, pl.Time):
        return pl.String()
    return dtype


def _absent(file: Path) -> dict[str, int]:
    """Count the absent values of each column that has statistics."""
    import pyarrow.parquet as pq

    metadata = pq.read_metadata(file)
    counts: dict[str, int] = {}
    for group in range(metadata.num_row_groups):
        for i in range(metadata.num_columns):
            column = metadata.row_group(group).column(i)
            if column.statistics is not None and column.statistics.has_null_count:
                counts[column.path_in_schema] = counts.get(column.path_in_schema, 0) + column.statistics.null_count
    return counts


def _converted(raw: "pl.DataType", *, gaps: bool) -> str | None:
    import polars as pl

    if gaps and (raw == pl.Boolean or raw.is_integer()):
        words = "true and false" if raw == pl.Boolean else "integers"
        return f"holds {words} with gaps, which reach the model as floating-point numbers and NaN"
    if raw.is_decimal():
        return "holds decimals, which reach the model as floating-point numbers"
    if raw == pl.Duration:
        return "holds durations, which reach the model as seconds"
    if raw == pl.Time:
        return "holds times of the day, which reach the model as text"
    if str(raw) in {"UInt64", "Int128", "UInt128"}:
        return "holds integers beyond 64 bits, which reach the model as floating-point numbers"
    return None


def _other_columns(first: Layout, other: Layout) -> Iterator[str]:
    missing = [name for name in first.types if name not in other.types]
    added = [name for name in other.types if name not in first.types]
    if missing or added:
        words = [f"lacks {', '.join(missing)}"] if missing else []
        words += [f"has {', '.join(added)} as well"] if added else []
        yield f"{other.name}: {' and '.join(words)}, unlike {first.name}; write the files with the same columns"


def _differ(file: str, column: str, new: "pl.DataType", old: "pl.DataType", origin: str) -> str:
    return (
        f"{file}: {column}: holds {_described(new)}, but {_described(old)} in {origin}; write the files with one type"
    )


def _described(dtype: "pl.DataType") -> str:
    zone = getattr(dtype, "time_zone", None)
    return f"{kind(dtype)} in {zone}" if zone else kind(dtype)
