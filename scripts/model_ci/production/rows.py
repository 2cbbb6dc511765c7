"""Rows that a service was sent, wherever they lie: files, a prediction log, a query, a URL; read a few at a time."""

import glob
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from model_ci.data import pointer
from model_ci.data.finding import Finding
from model_ci.errors import ConfigError, ServiceError

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa

BATCH_ROWS: Final = 1 << 17
_BUFFER_BYTES: Final = 1 << 20
_FORMATS: Final = {".parquet": "parquet", ".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl"}
_GROUP_ROWS: Final = 1_000_000  # of a part of a Parquet file


@dataclass(frozen=True, kw_only=True)
class ParquetPart:
    """Some groups of rows of a Parquet file."""

    file: str
    groups: tuple[int, ...]

    def batches(self, columns: Sequence[str] | None = None) -> "Iterator[pa.RecordBatch]":
        """Yield the rows with those of the columns that the file has; text comes as codes."""
        import pyarrow.parquet as pq

        with _reading(self.file):
            schema = pq.read_schema(self.file)
            texts = [f.name for f in schema if str(f.type) in ("string", "large_string")]
            # A small buffer and one thread: otherwise whole groups of rows are held, and each thread holds its own.
            with pq.ParquetFile(
                self.file, pre_buffer=False, buffer_size=_BUFFER_BYTES, read_dictionary=texts
            ) as parquet:
                wanted = None if columns is None else [c for c in columns if c in schema.names]
                yield from parquet.iter_batches(BATCH_ROWS, row_groups=self.groups, columns=wanted, use_threads=False)


@dataclass(frozen=True, kw_only=True)
class TablePart:
    """A file that polars reads: CSV or JSON lines."""

    file: str
    form: str

    def batches(self, columns: Sequence[str] | None = None) -> "Iterator[pa.RecordBatch]":
        """Yield the rows with those of the columns that the file has."""
        for frame in self.frames():
            wanted = frame.columns if columns is None else [c for c in columns if c in frame.columns]
            yield from frame.select(wanted).to_arrow().to_batches()

    def frames(self) -> "Iterator[pl.DataFrame]":
        """Yield the rows."""
        import polars as pl

        if self.form == "csv":
            yield from _csv(Path(self.file)).batches()
            return
        with _reading(self.file):
            lazy = pl.scan_ndjson(self.file, infer_schema_length=None)
            yield from lazy.collect_batches(chunk_size=BATCH_ROWS, maintain_order=True)


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
            wanted = frame.columns if columns is None else [c for c in columns if c in frame.columns]
            yield from frame.select(wanted).to_arrow().to_batches()


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
            raise ConfigError(f"sql: {str(error).splitlines()[0]}; correct the query, or the database") from None

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
            raise ServiceError(f"sql: {_first(error.orig)}; see that the database is up, and the query right") from None
        except (sa.exc.SQLAlchemyError, ImportError) as error:
            raise ConfigError(
                f"sql: {_first(getattr(error, 'orig', error))}; correct the query, or install the driver"
            ) from None


Part = ParquetPart | TablePart | LogPart | QueryPart


@dataclass(frozen=True, kw_only=True)
class Rows:
    """Rows at a location: their columns with Arrow's types, the parts to read, and what is wrong with them."""

    location: str
    types: "Mapping[str, pa.DataType]"
    parts: tuple[Part, ...]
    is_log: bool = False
    findings: tuple[Finding, ...] = ()
    _kept: Any = field(default=None, repr=False)  # the folder of what was fetched lives as long as this

    def arrow(self, columns: Sequence[str] | None = None) -> "Iterator[pa.RecordBatch]":
        """Yield the rows in order, a few at a time."""
        for part in self.parts:
            yield from part.batches(columns)

    def batches(self, columns: Sequence[str] | None = None) -> "Iterator[pl.DataFrame]":
        """Yield the rows in order, a few at a time, as frames."""
        import polars as pl

        for batch in self.arrow(columns):
            yield pl.DataFrame(batch)


def open(location: str, root: Path, classes: Sequence[str] = ()) -> Rows:  # noqa: A001 - reads as rows.open
    """Find rows: a file or glob of Parquet, CSV or JSON lines; a prediction log; `sql:QUERY` in DuckDB, or
    `sql+DATABASE QUERY` with a DuckDB file or SQLAlchemy's URL; a URL that fsspec can read. What DVC tracks is pulled.

    Raises ConfigError when there are none, ServiceError when they cannot be fetched.
    """  # fmt: skip
    if location.startswith(("sql:", "sql+")):
        return _query(location, root)
    if "://" in location:
        return _fetched(location, root, classes)
    files = _files(location, root)
    if files is None or _is_log(files):
        return _log(location, root, classes)
    return _table(location, files)


def _files(location: str, root: Path) -> list[Path] | None:
    """Return the files; None for a folder, which is a prediction log's."""
    wanted = (root / location).absolute()
    absent = [p for p in pointer.find(wanted) if not p.path.exists()]
    if absent:
        pointer.pull(absent, root)
    if wanted.is_dir():
        return None
    files = sorted(Path(name) for name in glob.glob(str(wanted), recursive=True) if Path(name).is_file())  # noqa: PTH207
    files = [file for file in files if file.suffix != ".dvc"]
    if not files:
        raise ConfigError(
            f"{location}: no such file in {root}; name files, a glob, a folder of prediction logs, or sql:"
        )
    return files


def _is_log(files: Sequence[Path]) -> bool:
    """Tell a prediction log from other JSON lines by its first line."""
    if files[0].name.endswith(".jsonl.gz"):
        return True
    if files[0].suffix not in (".jsonl", ".ndjson"):
        return False
    with files[0].open("rb") as handle:
        first = handle.readline(1 << 20)
    return b'"inputs"' in first and b'"outputs"' in first and b'"columns"' in first


def _log(location: str, root: Path, classes: Sequence[str]) -> Rows:
    import pyarrow as pa

    from model_ci.production import predictions

    log = predictions.scan(location, root, classes)
    part = LogPart(location=location, root=str(root), classes=tuple(classes))
    types: dict[str, Any] = {}
    for batch in part.batches():
        types = dict(zip(batch.schema.names, batch.schema.types, strict=True))
        break
    for name in log.columns:
        types.setdefault(name, pa.null())
    return Rows(location=location, types=types, parts=(part,), is_log=True, findings=log.findings)


def _table(location: str, files: Sequence[Path]) -> Rows:
    forms = {_FORMATS.get(file.suffix.lower(), "") for file in files}
    if len(forms) > 1 or "" in forms:
        raise ConfigError(
            f"{location}: {', '.join(sorted(f.name for f in files)[:3])} are not all .parquet, all .csv or all .jsonl; "
            "narrow it to files of one format"
        )
    form = forms.pop()
    parts = [part for file in files for part in (_groups(file) if form == "parquet" else [_part(file, form)])]
    types: dict[str, Any] = {}
    for file in files:
        for name, dtype in _types(file, form).items():
            types.setdefault(name, dtype)
            if _differ(types[name], dtype):
                raise ConfigError(
                    f"{location}: {name}: is {types[name]} in one file and {dtype} in {file.name}; write it alike"
                )
    return Rows(location=location, types=types, parts=tuple(parts))


def _part(file: Path, form: str) -> TablePart:
    return TablePart(file=str(file), form=form)


def _groups(file: Path) -> Iterator[ParquetPart]:
    """Part a file by its groups of rows, so that each part is worth a worker."""
    import pyarrow.parquet as pq

    with _reading(str(file)):
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


def _types(file: Path, form: str) -> dict[str, Any]:
    if form == "parquet":
        import pyarrow.parquet as pq

        with _reading(str(file)):
            schema = pq.read_schema(file)
        return dict(zip(schema.names, schema.types, strict=True))
    for batch in TablePart(file=str(file), form=form).batches():
        return dict(zip(batch.schema.names, batch.schema.types, strict=True))
    return {}


def _differ(one: Any, other: Any) -> bool:
    import pyarrow as pa

    def family(dtype: Any) -> str:
        numbers = pa.types.is_integer(dtype) or pa.types.is_floating(dtype) or pa.types.is_decimal(dtype)
        return "number" if numbers else "text" if "string" in str(dtype) else str(dtype).partition("[")[0]

    return not (pa.types.is_null(one) or pa.types.is_null(other)) and family(one) != family(other)


def _csv(file: Path) -> Any:
    """Read CSV as the training data is read."""
    from model_ci.data.scan import Scan
    from model_ci.data.source import Source

    return Scan(Source(root=file.parent, location=file.name, format="csv", files=(file,), pointers=()))


def _query(location: str, root: Path) -> Rows:
    database, query = None, location.removeprefix("sql:")
    if location.startswith("sql+"):
        database, _, query = location.removeprefix("sql+").partition(" ")
    if not query.strip():
        raise ConfigError("sql: names no query; write sql:SELECT ..., or sql+DATABASE SELECT ...")
    if database and "://" not in database and not (root / database).is_file():
        raise ConfigError(
            f"sql: {database}: no such DuckDB file in {root}; correct the path, or write SQLAlchemy's URL"
        )
    part = QueryPart(query=query.strip(), database=database, root=str(root))
    types: dict[str, Any] = {}
    for batch in part.batches():
        types = dict(zip(batch.schema.names, batch.schema.types, strict=True))
        break
    return Rows(location="sql", types=types, parts=(part,))


def _fetched(location: str, root: Path, classes: Sequence[str]) -> Rows:
    """Copy what a URL names into a folder of our own, and read it there."""
    try:
        import fsspec
    except ImportError:
        raise ConfigError(f"{_safe(location)}: a URL needs fsspec; pip install 'model-ci[check-drift]'") from None
    kept = tempfile.TemporaryDirectory(prefix="model-ci-rows-")
    where = _safe(location)
    try:
        got = fsspec.open_local(
            f"simplecache::{location}", simplecache={"cache_storage": kept.name, "same_names": True}
        )
    except (ImportError, ValueError) as error:
        raise ConfigError(f"{where}: {_first(error)}; install what reads it, or correct the URL") from None
    except FileNotFoundError:
        raise ConfigError(f"{where}: nothing is there; correct the URL") from None
    except Exception as error:  # noqa: BLE001 - each file system has errors of its own
        raise ServiceError(f"{where}: cannot be fetched: {_first(error)}; see that it is up and lets you in") from None
    files = sorted(Path(name) for name in ([got] if isinstance(got, str) else got))
    if not files:
        raise ConfigError(f"{where}: nothing is there; correct the URL")
    found = _log(f"{kept.name}/*", root, classes) if _is_log(files) else _table(where, files)
    return Rows(
        location=where, types=found.types, parts=found.parts, is_log=found.is_log, findings=found.findings, _kept=kept
    )


def _safe(location: str) -> str:
    """Leave out what a URL may tell that is nobody's business: a login, a signature."""
    scheme, _, rest = location.partition("://")
    return f"{scheme}://{rest.partition('?')[0].rpartition('@')[2]}"


def _first(error: Any) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


@contextmanager
def _reading(file: str) -> Iterator[None]:
    """Turn what a reader raises into a ConfigError that names the file."""
    import pyarrow as pa

    failures: tuple[type[BaseException], ...] = (pa.ArrowException, OSError)
    try:
        yield
    except failures as error:
        raise ConfigError(f"{file}: cannot be read: {_first(error)}; write it again, or fetch it anew") from None
    except Exception as error:
        if type(error).__module__.startswith("polars"):
            raise ConfigError(f"{file}: cannot be read: {_first(error)}; write it again, or fetch it anew") from None
        raise
