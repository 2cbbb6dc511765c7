"""Who is champion, told without MLflow, whose import alone takes longer than a run with nothing to do may."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Final

from model_ci.registry.version import CHAMPION, RUN_TAG

_QUERY: Final = """
    SELECT alias.name, alias.version, tag.value
    FROM registered_model_aliases AS alias
    LEFT JOIN model_version_tags AS tag
        ON tag.name = alias.name AND tag.version = alias.version AND tag.key = ?
    WHERE alias.alias = ?
    ORDER BY alias.name
"""


def champions_in(database: Path) -> dict[str, str]:
    """Identify the champion of each model in a SQLite store."""
    if not database.is_file():
        return {}
    with closing(sqlite3.connect(database, timeout=30)) as connection:
        rows = connection.execute(_QUERY, (RUN_TAG, CHAMPION)).fetchall()
    return {str(name): identify(number, run_id) for name, number, run_id in rows}


def has_version(database: Path, model: str, number: str) -> bool:
    """Whether a SQLite store has a version of a model."""
    if not database.is_file():
        return False
    query = "SELECT 1 FROM model_versions WHERE name = ? AND version = ? AND current_stage != 'Deleted_Internal'"
    with closing(sqlite3.connect(database, timeout=30)) as connection:
        return connection.execute(query, (model, number)).fetchone() is not None


def identify(number: object, run_id: str | None) -> str:
    """Name a version so that another one, of another store or of a store made anew, has another name."""
    return f"{number} {run_id or ''}".strip()
