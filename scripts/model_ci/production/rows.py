"""Rows that a service was sent, wherever they lie: files, a prediction log, a query, a URL; read a few at a time."""

import glob
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from model_ci.config import Csv
from model_ci.data import lfs, pointer, tables
from model_ci.data.finding import Finding
from model_ci.data.source import TABLES
from model_ci.errors import ConfigError, ServiceError, first_line
from model_ci.frozen import dataclass
from model_ci.production.parts import LogPart, Part, QueryPart, TablePart, arrow_types, groups, reading

if TYPE_CHECKING:
    import polars as pl
    import pyarrow as pa


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


def open(  # noqa: A001 - reads as rows.open
    location: str, root: Path, classes: Sequence[str] = (), csv: Csv | None = None
) -> Rows:
    """Find rows: a file or glob of Parquet, CSV or JSON lines; a prediction log; `sql:QUERY` in DuckDB, or
    `sql+DATABASE QUERY` with a DuckDB file or SQLAlchemy's URL; a URL that fsspec can read. What DVC tracks is pulled.

    Raises ConfigError when there are none, ServiceError when they cannot be fetched.
    """  # fmt: skip
    if location.startswith(("sql:", "sql+")):
        return _query(location, root)
    if "://" in location:
        return _fetched(location, root, classes, csv)
    files = _files(location, root)
    if files is None or _is_log(files):
        return _log(location, root, classes)
    return _table(location, root, files, csv)


def _files(location: str, root: Path) -> list[Path] | None:
    """Return the files; None for a folder, which is a prediction log's."""
    place = (root / location).absolute()
    absent = [p for p in pointer.find(place) if not p.path.exists()]
    if absent:
        pointer.pull(absent, root)
    if place.is_dir():
        return None
    files = sorted(Path(name) for name in glob.glob(str(place), recursive=True) if Path(name).is_file())  # noqa: PTH207
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


def _table(location: str, root: Path, files: Sequence[Path], csv: Csv | None) -> Rows:
    forms = {TABLES.get(file.suffix.lower(), "") for file in files}
    if len(forms) > 1 or "" in forms:
        raise ConfigError(
            f"{location}: {', '.join(sorted(f.name for f in files)[:3])} are not all .parquet, all .csv or all .jsonl; "
            "narrow it to files of one format"
        )
    if forms != {"parquet"}:
        table = tables.of_files(location, root, files, csv)
        table.require_rows()
        parts = tuple(TablePart(file=str(file), csv=csv, types=tuple(table.schema.items())) for file in files)
        return Rows(
            location=location, types=arrow_types(table.schema), parts=parts, findings=tuple(table.odd_cells("warning"))
        )
    types: dict[str, Any] = {}
    for file in files:
        for name, dtype in _types(file).items():
            types.setdefault(name, dtype)
            if _differ(types[name], dtype):
                raise ConfigError(
                    f"{location}: {name}: is {types[name]} in one file and {dtype} in {file.name}; write it alike"
                )
    return Rows(location=location, types=types, parts=tuple(part for file in files for part in groups(file)))


def _types(file: Path) -> dict[str, Any]:
    import pyarrow.parquet as pq

    lfs.refuse(file, file.name)
    with reading(str(file)):
        schema = pq.read_schema(file)
    return dict(zip(schema.names, schema.types, strict=True))


def _differ(one: Any, other: Any) -> bool:
    import pyarrow as pa

    def family(dtype: Any) -> str:
        numbers = pa.types.is_integer(dtype) or pa.types.is_floating(dtype) or pa.types.is_decimal(dtype)
        return "number" if numbers else "text" if "string" in str(dtype) else str(dtype).partition("[")[0]

    return not (pa.types.is_null(one) or pa.types.is_null(other)) and family(one) != family(other)


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


def _fetched(location: str, root: Path, classes: Sequence[str], csv: Csv | None) -> Rows:
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
        raise ConfigError(f"{where}: {first_line(error)}; install what reads it, or correct the URL") from None
    except FileNotFoundError:
        raise ConfigError(f"{where}: nothing is there; correct the URL") from None
    except Exception as error:  # noqa: BLE001 - each file system has errors of its own
        raise ServiceError(
            f"{where}: cannot be fetched: {first_line(error)}; see that it is up and lets you in"
        ) from None
    files = sorted(Path(name) for name in ([got] if isinstance(got, str) else got))
    if not files:
        raise ConfigError(f"{where}: nothing is there; correct the URL")
    rows = _log(f"{kept.name}/*", root, classes) if _is_log(files) else _table(where, files[0].parent, files, csv)
    return Rows(
        location=where, types=rows.types, parts=rows.parts, is_log=rows.is_log, findings=rows.findings, _kept=kept
    )


def _safe(location: str) -> str:
    """Leave out what a URL may tell that is nobody's business: a login, a signature."""
    scheme, _, rest = location.partition("://")
    return f"{scheme}://{rest.partition('?')[0].rpartition('@')[2]}"
