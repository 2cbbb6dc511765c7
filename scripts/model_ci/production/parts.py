"""The parts that rows are read in: each a file, some groups of one, a log or a query, and worth a worker."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from model_ci.config import Csv
from model_ci.data import tables
from model_ci.errors import ConfigError, ServiceError, first_line
from model_ci.frozen import dataclass

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa

BATCH_ROWS: Final = 1 << 17
_BUFFER_BYTES: Final = 1 << 20
_GROUP_ROWS: Final = 1_000_000  # of a part of a Parquet file


@dataclass(frozen=True, kw_only=True)
class ParquetPart:
    """Some groups of rows of a Parquet file."""

    file: str
    groups: tuple[int, ...]

    def batches(self, columns: Sequence[str] | None = None) -> "Iterator[pa.RecordBatch]":
        """Yield the rows with those of the columns that the file has; text comes as codes."""
        import pyarrow.parquet as pq

        with reading(self.file):
            schema = pq.read_schema(self.file)
            texts = [f.name for f in schema if str(f.type) in ("string", "large_string")]
            # A small buffer and one thread: otherwise whole groups of rows are held, and each thread holds its own.
            with pq.ParquetFile(
                self.file, pre_buffer=False, buffer_size=_BUFFER_BYTES, read_dictionary=texts
            ) as parquet:
                kept = None if columns is None else [c for c in columns if c in schema.names]
                yield from parquet.iter_batches(BATCH_ROWS, row_groups=self.groups, columns=kept, use_threads=False)


@dataclass(frozen=True, kw_only=True)
class TablePart:
    """A file of CSV or JSON lines, read as the training data is; `types` are those of all files of the table."""

    file: str
    csv: Csv | None
    types: "tuple[tuple[str, pl.DataType], ...]"

    def batches(self, columns: Sequence[str] | None = None) -> "Iterator[pa.RecordBatch]":
        """Yield the rows with those of the columns that the table has."""
        import polars as pl

        file = Path(self.file)
        scan = tables.of_files(file.name, file.parent, [file], self.csv)
        chosen = {name: dtype for name, dtype in self.types if columns is None or name in columns}
        absent = [pl.lit(None, dtype).alias(name) for name, dtype in chosen.items() if name not in scan.schema]
        for frame in scan.batches():
            yield from frame.with_columns(absent).select(list(chosen)).cast(chosen).to_arrow().to_batches()  # type: ignore[arg-type]


def arrow_types(schema: "Mapping[str, pl.DataType]") -> "dict[str, pa.DataType]":
    """Return the types in the words of Arrow."""
    import polars as pl

    arrow = pl.DataFrame(schema=schema).to_arrow().schema
    return dict(zip(arrow.names, arrow.types, strict=True))


@dataclass(frozen=True, kw_only=True)
class LogPart:
    """A prediction log."""

    location: str
    root: str
    classes: tuple[str, ...]

    def batches(self, columns: Sequence[str] | None = None) -> "Iterator[pa.RecordBatch]":
        """Yield the rows with those of the columns that the log has."""
        from model_ci.production import predictions

        log = predictions.scan(self.location, Path(self.root), self.classes)
        for frame in log.batches(columns):
            kept = frame.columns if columns is None else [c for c in columns if c in frame.columns]
            yield from frame.select(kept).to_arrow().to_batches()


@dataclass(frozen=True, kw_only=True)
class QueryPart:
    """What a query answers: `database` is a DuckDB file, SQLAlchemy's URL, or nothing for DuckDB in memory."""

    query: str
    database: str | None
    root: str

    def batches(self, columns: Sequence[str] | None = None) -> "Iterator[pa.RecordBatch]":
        """Yield the rows with those of the columns that the answer has."""
        reading = self._by_sqlalchemy() if self.database and "://" in self.database else self._by_duckdb()
        for batch in reading:
            names = batch.schema.names
            yield batch if columns is None else batch.select([c for c in columns if c in names])

    def _by_duckdb(self) -> "Iterator[pa.RecordBatch]":
        import duckdb

        try:
            with duckdb.connect(
                str(Path(self.root) / self.database) if self.database else ":memory:",
                read_only=bool(self.database),
                config={"threads": 1, "memory_limit": "256MB"},
            ) as connection:
                connection.execute("SET file_search_path = ?", [self.root])
                reader: Any = connection.execute(self.query).to_arrow_reader(BATCH_ROWS)
                yield from reader
        except duckdb.Error as error:
            raise ConfigError(f"sql: {first_line(error)}; correct the query, or the database") from None

    def _by_sqlalchemy(self) -> "Iterator[pa.RecordBatch]":
        import polars as pl

        try:
            import sqlalchemy as sa
        except ImportError:
            raise ConfigError(
                "sql: SQLAlchemy is not installed; pip install sqlalchemy and the database's driver"
            ) from None
        try:
            with sa.create_engine(str(self.database)).connect().execution_options(stream_results=True) as connection:
                for frame in pl.read_database(
                    sa.text(self.query), connection, iter_batches=True, batch_size=BATCH_ROWS
                ):
                    yield from frame.to_arrow().to_batches()
        except sa.exc.OperationalError as error:
            raise ServiceError(
                f"sql: {first_line(error.orig)}; see that the database is up, and the query right"
            ) from None
        except (sa.exc.SQLAlchemyError, ImportError) as error:
            raise ConfigError(
                f"sql: {first_line(getattr(error, 'orig', error))}; correct the query, or install the driver"
            ) from None


Part = ParquetPart | TablePart | LogPart | QueryPart


def groups(file: Path) -> Iterator[ParquetPart]:
    """Part a file by its groups of rows, so that each part is worth a worker."""
    import pyarrow.parquet as pq

    with reading(str(file)):
        metadata = pq.read_metadata(file)
    held: list[int] = []
    rows = 0
    for group in range(metadata.num_row_groups):
        held.append(group)
        rows += metadata.row_group(group).num_rows
        if rows >= _GROUP_ROWS:
            yield ParquetPart(file=str(file), groups=tuple(held))
            held, rows = [], 0
    if held:
        yield ParquetPart(file=str(file), groups=tuple(held))


@contextmanager
def reading(file: str) -> Iterator[None]:
    """Turn what a reader raises into a ConfigError that names the file."""
    import pyarrow as pa

    failures: tuple[type[BaseException], ...] = (pa.ArrowException, OSError)
    try:
        yield
    except failures as error:
        raise ConfigError(f"{file}: cannot be read: {first_line(error)}; write it again, or fetch it anew") from None
    except Exception as error:
        if type(error).__module__.startswith("polars"):
            raise ConfigError(
                f"{file}: cannot be read: {first_line(error)}; write it again, or fetch it anew"
            ) from None
        raise
