"""Where a SQLite store's artifacts are: MLflow writes whole paths into the database, so a moved store is rewritten."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path


def artifacts_uri(folder: Path) -> str:
    """Return the address of a store folder's artifacts."""
    return (folder.absolute() / "artifacts").as_uri()


def relocate(database: Path, old: str, new: str) -> None:
    """Replace the beginning `old` by `new` in every text of the database, all or nothing."""
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("PRAGMA foreign_keys = OFF")
        for table, column in _text_columns(connection):
            connection.execute(
                f'UPDATE "{table}" SET "{column}" = ? || substr("{column}", ?) WHERE substr("{column}", 1, ?) = ?',  # noqa: S608
                (new, len(old) + 1, len(old), old),
            )


def _text_columns(connection: sqlite3.Connection) -> Iterator[tuple[str, str]]:
    tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")
    for (table,) in tables.fetchall():
        for _, column, kind, *_ in connection.execute(f'PRAGMA table_info("{table}")').fetchall():
            if "CHAR" in kind.upper() or "TEXT" in kind.upper() or "CLOB" in kind.upper():
                yield table, column
