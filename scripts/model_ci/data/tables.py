"""Tables beside the training data, read in the same way: outcomes, experiments and production rows in files."""

import glob
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from model_ci.config import Csv
from model_ci.data.layout import default
from model_ci.data.scan import Scan
from model_ci.data.source import TABLES, Source
from model_ci.errors import ConfigError


def scan(location: str, root: Path, csv: Csv | None = None, text: Sequence[str] = ()) -> Scan:
    """Find the files of a table, one or a glob relative to `root`, of Parquet, CSV or JSON lines.

    Each may lack columns that others have. The columns of `text` are kept as they are written: names such as 007 are no
    numbers. Raises ConfigError when there is no such table, or its files do not fit one another.
    """
    places = glob.glob(str(root / location), recursive=True)  # noqa: PTH207 - the pattern may be absolute
    files = sorted(file for file in map(Path, places) if file.is_file())
    if not files:
        raise ConfigError(f"{location}: no such table; name the file or a glob")
    unknown = [file.name for file in files if file.suffix.lower() not in TABLES]
    if unknown:
        raise ConfigError(*(f"{location}: {name} is none of {', '.join(TABLES)}; convert it" for name in unknown))
    return of_files(location, root, [file for file in files if file.stat().st_size] or files[:1], csv, text)


def of_files(
    location: str, root: Path, files: Sequence[Path], csv: Csv | None = None, text: Sequence[str] = ()
) -> Scan:
    """Read these files as one table."""
    csv = csv or default()
    written = replace(csv, text=tuple(dict.fromkeys((*csv.text, *text))))
    form = TABLES[files[0].suffix.lower()]
    return Scan(
        Source(root=root, location=location, format=form, files=tuple(files), pointers=(), csv=written), ragged=True
    )
