"""The rows of the data's files as one table of few, plain types: lazily, or batch by batch."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Final

from model_ci.data import categories, header, kept, times
from model_ci.data.categories import Categories
from model_ci.data.finding import Finding, share, such_as
from model_ci.data.layout import Layout, inspect, kind, unite
from model_ci.data.source import Source
from model_ci.data.times import Writing
from model_ci.errors import ConfigError

if TYPE_CHECKING:
    import polars as pl

BATCH_ROWS: Final = 50_000
HELD_OUT: Final = "model-ci: held out"  # marks the rows of data.holdout.path; no column of `schema`
_BUFFER_BYTES: Final = 1 << 20
_SAMPLE_ROWS: Final = 1_000
_KINDS: Final = {"number": "numbers", "boolean": "true or false"}


class Scan:
    """The rows of a source.

    `schema` maps the columns to polars types: Int64, Float64, String, Boolean, Date, Datetime in microseconds; others
    stay what they are. Text in the time column becomes times. A `ragged` source may lack columns in some of its files,
    and rows.
    """

    def __init__(self, source: Source, time_column: str | None = None, *, ragged: bool = False) -> None:
        self.source = source
        self._layouts = [inspect(file, source) for file in source.files]
        self._read_schema = unite(self._layouts, ragged=ragged)
        if not ragged:
            self.require_rows()
        self.schema = dict(self._read_schema)
        self._written: dict[str, Writing] = {}
        if time_column in self.schema:
            self._recognize(time_column)

    @cached_property
    def categories(self) -> dict[str, Categories]:
        """The categorical columns, whose values are text in the rows."""
        return categories.read([layout.file for layout in self._layouts if layout.form == "parquet"])

    def converted(self) -> list[Finding]:
        """Tell which columns do not reach the model as they stand in the files."""
        return [
            Finding(
                rule="converted",
                where=f"{layout.name}: {name}",
                what=f"{what}; exclude or convert it if that matters",
                level="warning",
            )
            for layout in self._layouts[:1]
            for name, what in layout.converted().items()
        ]

    def require_rows(self) -> None:
        """Raise ConfigError when there are columns, but no rows."""
        if not any(self.collect(layout.lazy().head(1)).height for layout in self._layouts):
            raise ConfigError(f"{self.source.location}: has column names, but no rows; name files that have some")

    @cached_property
    def kinds(self) -> dict[str, str]:
        """The columns, their types in the words of a contract."""
        return {name: kind(dtype) for name, dtype in self.schema.items()}

    def odd_cells(self, level: str = "failure") -> list[Finding]:
        """Tell which columns of CSV are text because of a few cells, where all others are numbers, or true and false."""
        return [
            Finding(
                rule="odd-cells", where=f"{layout.name}: {name}", count=odd.count, examples=odd.examples, level=level,
                what=(
                    f"{share(odd.count, odd.values)} are not {_KINDS[odd.kind]}{such_as(odd.examples)}, so the whole column is "
                    "text; correct them, add them to data.csv.missing, or name the column in data.csv.text if it is text"
                ),
            )
            for layout in self._layouts
            for name, odd in layout.odd.items()
        ]  # fmt: skip

    def lazy(self) -> "pl.LazyFrame":
        """Return all rows in the order of the files, not read yet; give it to `collect`."""
        import polars as pl

        return pl.concat([self._conformed(layout.lazy(), layout) for layout in self._layouts])

    def collect(self, lazy: "pl.LazyFrame") -> "pl.DataFrame":
        """Read what `lazy` asks for."""
        with self._reading():
            return lazy.collect(engine="streaming")

    def batches(self) -> "Iterator[pl.DataFrame]":
        """Yield the rows in order, a few at a time, so that memory does not grow with them."""
        for layout in self._layouts:
            with self._reading():
                for frame in _frames(layout):
                    yield self._conformed(frame.lazy(), layout).collect()

    def _conformed(self, lazy: "pl.LazyFrame", layout: Layout) -> "pl.LazyFrame":
        import polars as pl

        lazy = lazy.select(layout.conformed(self._read_schema))
        if layout.form == "csv":
            lazy = lazy.filter(~pl.all_horizontal(pl.all().is_null()))  # blank lines
        lazy = lazy.with_columns(writing.parse(pl.col(name)) for name, writing in self._written.items())
        if self.source.held_out:
            lazy = lazy.with_columns(pl.lit(layout.file in self.source.held_out).alias(HELD_OUT))
        return lazy

    def _recognize(self, column: str) -> None:
        """Find how the text of the time column is written, and that all of it is written so."""
        import polars as pl

        if self.schema[column] != pl.String:
            return
        text = pl.col(column)
        raw = pl.concat(layout.lazy().select(column) for layout in self._layouts)
        first = self.collect(raw.head(_SAMPLE_ROWS).drop_nulls().head(1))
        if not first.height:
            first = self.collect(raw.drop_nulls().head(1))
        if not first.height:
            return
        example = str(first.item())
        csv = self.source.csv
        writing = times.declared(csv.date_format) if csv and csv.date_format else times.writing(example)
        wrong = text.is_not_null() & writing.parse(text).is_null() if writing else text.is_not_null()
        bad = self.collect(raw.filter(wrong)).to_series()
        if writing is None or len(bad):
            raise ConfigError(_unreadable(f"{self.source.location}: {column}", example, bad))
        self._written[column] = writing
        self.schema[column] = writing.dtype

    @contextmanager
    def _reading(self) -> Iterator[None]:
        """Turn what a reader raises into a ConfigError that names the file and, where it can be found, the line."""
        import polars as pl
        import pyarrow as pa

        try:
            yield
        except (pl.exceptions.PolarsError, pa.ArrowException, OSError) as error:
            raise ConfigError(*self._faults(str(error).partition("\n")[0])) from None

    def _faults(self, reason: str) -> list[str]:
        faults = ((layout.csv, layout) for layout in self._layouts)
        faults_seen = [header.first_fault(f.file, f.name, len(f.raw), csv.separator) for csv, f in faults if csv]
        return [text for text in faults_seen if text] or [
            f"{self.source.location}: cannot be read: {reason}; write it again, or pull it again"
        ]


def _frames(layout: Layout) -> "Iterator[pl.DataFrame]":
    import polars as pl

    if layout.form != "parquet":
        frame = kept.get(layout.file, layout.stamp, layout.csv) if layout.csv else None
        if frame is not None:
            yield from frame.iter_slices(BATCH_ROWS)
        else:
            yield from layout.lazy().collect_batches(chunk_size=BATCH_ROWS, maintain_order=True)
        return
    import pyarrow.parquet as pq

    # A small buffer and one thread: otherwise whole groups of rows are held, and each thread holds its own.
    with pq.ParquetFile(layout.file, pre_buffer=False, buffer_size=_BUFFER_BYTES) as parquet:
        for batch in parquet.iter_batches(BATCH_ROWS, use_threads=False):
            yield pl.DataFrame(batch)


def _unreadable(where: str, first: str, bad: "pl.Series") -> str:
    examples = ", ".join(map(repr, bad.unique(maintain_order=True).head(3)))
    return (
        f"{where}: {len(bad)} values are no times, or not written like the first, {first!r}: {examples}; "
        "write ISO 8601 throughout, such as 2013-07-01 or 2013-07-01T12:00:00Z, or set data.csv.date_format"
    )
