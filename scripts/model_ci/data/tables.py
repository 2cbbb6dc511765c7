"""Tables beside the training data, read in the same way: outcomes, experiments and production rows in files."""

import glob
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from model_ci.config import Csv
from model_ci.data.layout import default
from model_ci.data.scan import Scan
from model_ci.data.source import TABLES, Source
from model_ci.errors import ConfigError

_NOT_A_NUMBER: Final = ("NaN", "nan")


def scan(
    location: str, root: Path, csv: Csv | None = None, text: Sequence[str] = (), *, measured: bool = False
) -> Scan:
    """Find the files of a table, one or a glob relative to `root`, of Parquet, CSV or JSON lines.

    Each may lack columns that others have. The columns of `text` are kept as they are written: names such as 007 are no
    numbers. In a table of what was `measured`, a NaN is a fault of what computed it, and is missing only where `data.csv`
    declares so. Raises ConfigError when there is no such table, or its files do not fit one another.
    """
    places = glob.glob(str(root / location), recursive=True)  # noqa: PTH207 - the pattern may be absolute
    files = sorted(file for file in map(Path, places) if file.is_file())
    if not files:
        raise ConfigError(f"{location}: no such table; name the file or a glob")
    unknown = [file.name for file in files if file.suffix.lower() not in TABLES]
    if unknown:
        raise ConfigError(*(f"{location}: {name} is none of {', '.join(TABLES)}; convert it" for name in unknown))
    source = _source(location, root, [file for file in files if file.stat().st_size] or files[:1], csv, text)
    return Scan(_strict(source) if measured else source, ragged=True)


def of_files(
    location: str, root: Path, files: Sequence[Path], csv: Csv | None = None, text: Sequence[str] = ()
) -> Scan:
    """Read these files as one table."""
    return Scan(_source(location, root, files, csv, text), ragged=True)


def _source(location: str, root: Path, files: Sequence[Path], csv: Csv | None, text: Sequence[str]) -> Source:
    csv = csv or default()
    written = replace(csv, text=tuple(dict.fromkeys((*csv.text, *text))))
    form = TABLES[files[0].suffix.lower()]
    return Source(root=root, location=location, format=form, files=tuple(files), pointers=(), csv=written)


def _strict(source: Source) -> Source:
    """Keep a NaN, where the configuration does not declare that it means a missing value."""
    csv = source.csv or default()
    if csv.missing != default().missing:
        return source
    missing = tuple(mark for mark in csv.missing if mark not in _NOT_A_NUMBER)
    return replace(source, csv=replace(csv, missing=missing), measured=True)
