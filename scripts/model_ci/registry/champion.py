"""Who is champion, told without MLflow, whose import alone takes longer than a run with nothing to do may."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Final

from model_ci.registry.version import CHAMPION, RUN_TAG

_QUERY: Final = """
    SELECT alias.version, tag.value
    FROM registered_model_aliases AS alias
    LEFT JOIN model_version_tags AS tag
        ON tag.name = alias.name AND tag.version = alias.version AND tag.key = ?
    WHERE alias.name = ? AND alias.alias = ?
"""


def champion_in(database: Path, model: str) -> str | None:
    """Identify the champion in a SQLite store, None when there is none."""
    if not database.is_file():
        return None
    with closing(sqlite3.connect(database, timeout=30)) as connection:
        row = connection.execute(_QUERY, (RUN_TAG, model, CHAMPION)).fetchone()
    return identify(*row) if row else None


def identify(number: object, run_id: str | None) -> str:
    """Name a version so that another one, of another store or of a store made anew, has another name."""
    return f"{number} {run_id or ''}".strip()
