"""The first line of a CSV file, and the first line that a reader cannot take."""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from model_ci.errors import ConfigError

_SEPARATORS: Final = {";": "semicolons", "\t": "tabs", "|": "bars"}


def read(file: Path, name: str) -> list[str]:
    """Return the column names; raise ConfigError when they cannot name columns."""
    try:
        with file.open(encoding="utf-8-sig", newline="") as lines:
            names = next(csv.reader(lines), [])
    except UnicodeDecodeError:
        raise ConfigError(_not_text(name)) from None
    except (csv.Error, OSError) as error:
        raise ConfigError(f"{name}: cannot be read as CSV: {error}; make it readable, or export it again") from None
    if not names:
        raise ConfigError(f"{name}: is empty; it needs a line of column names, and rows")
    found = _faults(names, name)
    if found:
        raise ConfigError(*found)
    return names


def explain(file: Path, name: str, columns: int, reason: str) -> str:
    """Say why a reader gave up on a file: its first bad line when that can be found, else what the reader said."""
    return first_fault(file, name, columns) or f"{name}: not a CSV file with commas: {reason}; export it again"


def first_fault(file: Path, name: str, columns: int) -> str | None:
    """Find the first line with bytes that are no text, or with more values than columns."""
    line = 0
    try:
        with file.open(encoding="utf-8-sig", newline="") as text:
            for row in (rows := csv.reader(text)):
                line = rows.line_num
                if len(row) > columns:
                    return f"{name}:{line}: {len(row)} values for {columns} columns; quote the values that hold commas"
    except UnicodeDecodeError:
        return _not_text(name)
    except csv.Error as error:
        return f"{name}:{line + 1}: {error}; export it again"
    return None


def _not_text(name: str) -> str:
    return f"{name}: not UTF-8 text; export it as UTF-8, or convert it with iconv"


def _faults(names: Sequence[str], name: str) -> list[str]:
    if len(names) == 1:
        for separator, word in _SEPARATORS.items():
            if separator in names[0]:
                return [f"{name}: its columns are separated by {word} ({names[0]!r}); export it with commas"]
    doubled = [column for column in dict.fromkeys(names) if column.strip() and names.count(column) > 1]
    found = [f"{name}: column {column!r} stands twice; rename one" for column in doubled]
    unnamed = [str(i) for i, column in enumerate(names, 1) if not column.strip()]
    if unnamed:
        found.append(f"{name}: column {', '.join(unnamed)} has no name; name it, or export without the index column")
    return found
