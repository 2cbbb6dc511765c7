"""The first line of a CSV file, and the first line that a reader cannot take."""

import codecs
import csv
import tempfile
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from model_ci.config import Csv
from model_ci.data import lfs
from model_ci.data.hashes import Stamp, stamp
from model_ci.errors import ConfigError

_SEPARATORS: Final = {";": "semicolons", "\t": "tabs", "|": "bars", ",": "commas"}
_CHUNK: Final = 1 << 20


def read(file: Path, name: str, written: Csv) -> list[str]:
    """Return the column names; raise ConfigError when they cannot name columns."""
    lfs.refuse(file, name)
    try:
        with as_utf8(file, written.encoding).open(encoding="utf-8-sig", newline="") as lines:
            names = next(csv.reader(lines, delimiter=written.separator), [])
    except UnicodeError:
        raise ConfigError(_not_text(name, written.encoding)) from None
    except (csv.Error, OSError) as error:
        raise ConfigError(f"{name}: cannot be read as CSV: {error}; make it readable, or export it again") from None
    if not names:
        raise ConfigError(f"{name}: is empty; it needs a line of column names, and rows")
    problems = _faults(names, name, written.separator)
    if problems:
        raise ConfigError(*problems)
    return names


def as_utf8(file: Path, encoding: str) -> Path:
    """Return the file, or a copy of it in UTF-8 that is gone when the process ends; raise UnicodeError for other text."""
    if codecs.lookup(encoding).name in ("utf-8", "ascii", "utf-8-sig"):
        return file
    return Path(_copy(file, encoding, stamp(file)).name)


def explain(file: Path, name: str, columns: int, written: Csv, reason: str) -> str:
    """Say why a reader gave up on a file: its first bad line when that can be found, else what the reader said."""
    fault = first_fault(as_utf8(file, written.encoding), name, columns, written.separator)
    word = _SEPARATORS.get(written.separator, repr(written.separator))
    return fault or f"{name}: not a CSV file with {word}: {reason}; export it again"


def first_fault(file: Path, name: str, columns: int, separator: str) -> str | None:
    """Find the first line with bytes that are no text, or with more values than columns."""
    line = 0
    try:
        with file.open(encoding="utf-8-sig", newline="") as text:
            for row in (rows := csv.reader(text, delimiter=separator)):
                line = rows.line_num
                if len(row) > columns:
                    word = _SEPARATORS.get(separator, repr(separator))
                    return f"{name}:{line}: {len(row)} values for {columns} columns; quote the values that hold {word}"
    except UnicodeError:
        return _not_text(name, "utf-8")
    except csv.Error as error:
        return f"{name}:{line + 1}: {error}; export it again"
    return None


@lru_cache(maxsize=64)
def _copy(file: Path, encoding: str, _: Stamp) -> Any:
    copy = tempfile.NamedTemporaryFile(prefix="model-ci-", suffix=".csv")  # noqa: SIM115 - it lives as long as the process
    with file.open(encoding=encoding, newline="") as text:
        while chunk := text.read(_CHUNK):
            copy.write(chunk.encode())
    copy.flush()
    return copy


def _not_text(name: str, encoding: str) -> str:
    return f"{name}: not {encoding.upper()} text; set data.csv.encoding, such as cp1252, or export it as UTF-8"


def _faults(names: Sequence[str], name: str, separator: str) -> list[str]:
    if len(names) == 1:
        for other, word in _SEPARATORS.items():
            if other in names[0]:
                return [
                    f"{name}: its columns are separated by {word} ({names[0]!r}); set data.csv.separator to {other!r}, or "
                    f"export it with {_SEPARATORS.get(separator, repr(separator))}"
                ]
    doubled = [column for column in dict.fromkeys(names) if column.strip() and names.count(column) > 1]
    problems = [f"{name}: column {column!r} stands twice; rename one" for column in doubled]
    unnamed = [str(i) for i, column in enumerate(names, 1) if not column.strip()]
    if unnamed:
        problems.append(f"{name}: column {', '.join(unnamed)} has no name; name it, or export without the index column")
    return problems
