"""The columns of a data file and their types, and the types that all files share."""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

from model_ci.data import header, kept
from model_ci.data.hashes import Stamp, stamp
from model_ci.data.source import Source
from model_ci.errors import ConfigError

if TYPE_CHECKING:
    import polars as pl

    Types = dict[str, pl.DataType | None]  # None: every value is absent, so that any type holds them

_SAMPLE_ROWS: Final = 1_000
# What people write where a number is absent. Only numbers: in text, NA may be Namibia.
_ABSENT: Final = ("NA", "N/A", "n/a", "NaN", "nan", "NULL", "null", "None", "none", "?", "-")
_PANDAS_INDEX: Final = re.compile(r"__index_level_\d+__")


@dataclass(frozen=True, kw_only=True)
class Layout:
    """One file: the types as they stand in it, and the plain types that hold its values."""

    file: Path
    name: str
    stamp: Stamp
    raw: "Mapping[str, pl.DataType]"
    types: "Types"

    def lazy(self) -> "pl.LazyFrame":
        """Return the rows as they stand in the file."""
        import polars as pl

        if self.file.suffix.lower() == ".csv":
            frame = kept.get(self.file, self.stamp)
            return pl.scan_csv(self.file, schema=dict(self.raw), glob=False) if frame is None else frame.lazy()
        return pl.scan_parquet(self.file, glob=False)

    def conformed(self, schema: "Mapping[str, pl.DataType]") -> "list[pl.Expr]":
        """Return what makes the file's columns those of `schema`."""
        return [_plain(name, self.raw[name], dtype) for name, dtype in schema.items()]


def inspect(file: Path, source: Source) -> Layout:
    """Find the columns of a file and their types."""
    name = Path(os.path.relpath(file, source.root)).as_posix()
    look = _inspect_csv if source.format == "csv" else _inspect_parquet
    return look(file, name, stamp(file))


def unite(layouts: Sequence[Layout]) -> "dict[str, pl.DataType]":
    """Find the type of each column that holds the values of all files; raise ConfigError where there is none."""
    import polars as pl

    first, *rest = layouts
    types = dict(first.types)
    origin = dict.fromkeys(types, first.name)
    found: list[str] = []
    for layout in rest:
        found += _other_columns(first, layout)
        for name, new in layout.types.items():
            old = types.get(name)
            if old is None and new is not None:
                types[name], origin[name] = new, layout.name
            elif old is not None and new is not None and new != old:
                if {kind(old), kind(new)} == {"integer", "number"}:
                    types[name] = pl.Float64()
                else:
                    found.append(_differ(layout.name, name, new, old, origin[name]))
    if found:
        raise ConfigError(*found)
    return {name: pl.String() if dtype is None else dtype for name, dtype in types.items()}


def kind(dtype: "pl.DataType") -> str:
    """Name a plain type in the words of a contract."""
    import polars as pl

    if isinstance(dtype, pl.Datetime):
        return "time"
    names = {pl.Int64: "integer", pl.Float64: "number", pl.String: "text", pl.Boolean: "boolean", pl.Date: "date"}
    return next((word for plain, word in names.items() if dtype == plain), "other")


@lru_cache(maxsize=4096)
def _inspect_parquet(file: Path, name: str, found: Stamp) -> Layout:
    import polars as pl

    try:
        raw = dict(pl.read_parquet_schema(file))
    except (pl.exceptions.PolarsError, OSError) as error:
        reason = str(error).partition("\n")[0]
        raise ConfigError(f"{name}: not a Parquet file that can be read: {reason}; write it again") from None
    if not raw:
        raise ConfigError(f"{name}: has no columns; write it again with rows")
    types = {column: _plain_type(dtype) for column, dtype in raw.items() if not _PANDAS_INDEX.fullmatch(column)}
    return Layout(file=file, name=name, stamp=found, raw=raw, types=types)


@lru_cache(maxsize=4096)
def _inspect_csv(file: Path, name: str, found: Stamp) -> Layout:
    import polars as pl

    columns = header.read(file, name)
    try:
        raw = _csv_types(file, found)
        texts = Layout(file=file, name=name, stamp=found, raw=raw, types={})
        types = {column: _plain_type(dtype) for column, dtype in raw.items()} | _disguised_numbers(texts)
    except (pl.exceptions.PolarsError, OSError) as error:
        raise ConfigError(header.explain(file, name, len(columns), str(error).partition("\n")[0])) from None
    return Layout(file=file, name=name, stamp=found, raw=raw, types=types)


def _csv_types(file: Path, found: Stamp) -> "dict[str, pl.DataType]":
    """Find the types that hold every value of a file, and keep the rows of one that is small.

    What the first rows show holds for the whole file once every row was read with it. Otherwise the whole file is asked.
    """
    import polars as pl

    if found[0] <= kept.MOST_BYTES:
        head = dict(pl.scan_csv(file, infer_schema_length=_SAMPLE_ROWS, glob=False).collect_schema())
        try:
            frame = pl.read_csv(file, schema=head, glob=False)
        except pl.exceptions.PolarsError:
            frame = pl.read_csv(file, infer_schema_length=None, glob=False)
        # A column without a value in the first rows counts as text there.
        if any(dtype == pl.String and not frame[:_SAMPLE_ROWS, name].count() for name, dtype in frame.schema.items()):
            frame = pl.read_csv(file, infer_schema_length=None, glob=False)
        kept.put(file, found, frame)
        return dict(frame.schema)
    return dict(pl.scan_csv(file, infer_schema_length=None, glob=False).collect_schema())


def _disguised_numbers(layout: Layout) -> "Types":
    """Find the text columns that hold nothing but numbers and marks of absence."""
    import polars as pl

    texts = [name for name, dtype in layout.raw.items() if dtype == pl.String]
    likely = list(_numbers(layout.lazy().select(texts).head(_SAMPLE_ROWS), texts))
    return _numbers(layout.lazy().select(likely), likely)


def _numbers(texts: "pl.LazyFrame", names: list[str]) -> "Types":
    import polars as pl

    if not names:
        return {}
    counts: list[pl.Expr] = []
    for i, name in enumerate(names):
        value = _without_marks(pl.col(name))
        casts = (value, value.cast(pl.Float64, strict=False), value.cast(pl.Int64, strict=False))
        counts += [cast.count().alias(f"{i} {j}") for j, cast in enumerate(casts)]
    row = texts.select(counts).collect(engine="streaming").row(0)
    found: Types = {}
    for i, name in enumerate(names):
        values, numbers, integers = row[3 * i : 3 * i + 3]
        if values == numbers:
            found[name] = None if not values else pl.Int64() if integers == values else pl.Float64()
    return found


def _without_marks(column: "pl.Expr") -> "pl.Expr":
    import polars as pl

    return pl.when(~column.is_in(_ABSENT)).then(column)


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


def _plain(name: str, raw: "pl.DataType", dtype: "pl.DataType") -> "pl.Expr":
    import polars as pl

    column = pl.col(name)
    if raw == pl.Duration:
        column = column.dt.total_microseconds() / 1e6
    elif raw == pl.String and dtype != pl.String:
        column = _without_marks(column)
    if raw != dtype:
        column = column.cast(dtype)
    # One sort of absence: NaN is what other writers leave where a number is absent.
    return column.fill_nan(None) if dtype == pl.Float64 else column


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
