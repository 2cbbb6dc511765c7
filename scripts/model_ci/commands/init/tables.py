"""The tables that lie in a repository, present or only tracked by DVC, the likeliest first."""

import glob
import os
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING, Final

from model_ci.data import header, layout, pointer
from model_ci.data.scan import Scan
from model_ci.data.source import FORMATS, Source
from model_ci.errors import ConfigError
from model_ci.frozen import dataclass

if TYPE_CHECKING:
    import polars as pl

    from model_ci.types import Settings

_FOREIGN: Final = frozenset(
    "venv env node_modules site-packages __pycache__ build dist mlruns mlartifacts htmlcov wandb lightning_logs".split()
)
_ASIDE: Final = re.compile(
    r"(?i)(^|[/_.-])(tests?|docs?|fixtures?|examples?|reports?|outputs?|results?|predictions?|submissions?|samples?|schemas?)([/_.-]|$)"
)
_TRAINING: Final = re.compile(r"(?i)(^|[/_.-])(train|training)([/_.-]|$)")
_ROWS: Final = 200_000


@dataclass(frozen=True, kw_only=True)
class Table:
    """One file, or several of the same columns; `pattern` is what the configuration calls it.

    `files` is empty when only DVC knows it: then `tracked_by` is the file to pull it with.
    """

    pattern: str
    files: Sequence[Path]
    size: int
    tracked_by: Path | None = None

    @property
    def rank(self) -> tuple[bool, bool, bool, int, str]:
        """Sort key: training data first, then what lies below data/, then the largest."""
        aside = _ASIDE.search(self.pattern) is not None
        return (
            aside,
            not _TRAINING.search(self.pattern),
            not self.pattern.startswith("data/"),
            -self.size,
            self.pattern,
        )

    def read(self, root: Path) -> tuple[int, "pl.DataFrame"]:
        """Return the number of rows, and the rows themselves; of a very large table every n-th one."""
        import polars as pl

        source = Source(root=root, location=self.pattern, format=self.format, files=tuple(self.files), pointers=())
        scan = Scan(source)
        rows = int(scan.collect(scan.lazy().select(pl.len())).item())
        return rows, scan.collect(scan.lazy().gather_every(max(1, rows // _ROWS)))

    @property
    def format(self) -> str:
        """Return csv or parquet."""
        return FORMATS[self.files[0].suffix.lower()]


def find(root: Path) -> list[Table]:
    """Return the tables below `root`, the likeliest first; hidden folders and environments do not count."""
    files = list(_walk(root))
    present = [file for file in files if file.suffix.lower() in FORMATS and file.stat().st_size]
    trackers = [file for file in files if file.suffix == ".dvc" or file.name == "dvc.lock"]
    tables = [*_grouped(present, root), *(table for tracker in trackers for table in _absent(tracker, root))]
    return sorted(tables, key=lambda table: table.rank)


def named(root: Path, pattern: str) -> Table:
    """Return the table that `pattern` names; raise ConfigError when there is none."""
    matches = glob.glob(str(root / pattern), recursive=True)  # noqa: PTH207 - the pattern may be absolute
    files = sorted(Path(name) for name in matches if Path(name).is_file())
    if files:
        return Table(pattern=pattern, files=files, size=sum(file.stat().st_size for file in files))
    absent = [table for table in find(root) if not table.files and _covers(table.pattern, pattern)]
    if absent:
        return Table(pattern=pattern, files=(), size=absent[0].size, tracked_by=absent[0].tracked_by)
    raise ConfigError(f"--data {pattern}: no such file in {root}, and no .dvc file tracks one; correct the path")


def present(table: Table, root: Path) -> Table:
    """Return the table with its files; what only DVC's remote has is pulled.

    Raises ConfigError when that brings no table, ServiceError when the remote refuses.
    """
    if table.tracked_by is None:
        return table
    path = root / table.pattern
    pointer.pull(pointer.find(path), root)
    candidates = [
        other for other in find(root) if other.tracked_by is None and (root / other.pattern).is_relative_to(path)
    ]
    if not candidates:
        candidates = [
            other for other in find(root) if other.tracked_by is None and fnmatch(other.pattern, table.pattern)
        ]
    if not candidates:
        raise ConfigError(f"{table.pattern}: DVC pulled it, but it holds no CSV or Parquet file; name one with --data")
    return candidates[0]


def _covers(tracked: str, pattern: str) -> bool:
    return pattern == tracked or pattern.startswith(f"{tracked}/")


def _walk(root: Path) -> Iterator[Path]:
    for folder, folders, names in os.walk(root):
        here = Path(folder)
        folders[:] = sorted(
            f for f in folders if not f.startswith(".") and f not in _FOREIGN and not (here / f / "pyvenv.cfg").exists()
        )
        yield from (here / name for name in sorted(names) if not name.startswith("."))


def _grouped(files: Iterable[Path], root: Path) -> Iterator[Table]:
    """Put files together whose names differ in digits only and whose columns are the same."""
    alike: dict[tuple[Path, str], list[Path]] = defaultdict(list)
    for file in files:
        alike[file.parent, re.sub(r"\d+", "0", file.name)].append(file)
    for group in alike.values():
        pattern = _pattern(group, root)
        if pattern and len({tuple(_columns(file)) for file in group}) == 1:
            yield Table(pattern=pattern, files=group, size=sum(file.stat().st_size for file in group))
        else:
            for file in group:
                yield Table(pattern=file.relative_to(root).as_posix(), files=(file,), size=file.stat().st_size)


def _pattern(group: Sequence[Path], root: Path) -> str | None:
    """Return the glob that names exactly the group, or None."""
    if len(group) == 1:
        return None
    parts = [re.split(r"(\d+)", file.name) for file in group]
    same = [len(set(column)) == 1 for column in zip(*parts, strict=True)]
    first, last = same.index(False), len(same) - same[::-1].index(False)
    name = "".join(parts[0][:first]) + "*" + "".join(parts[0][last:])
    folder = group[0].parent
    return (folder / name).relative_to(root).as_posix() if sorted(folder.glob(name)) == sorted(group) else None


def _absent(tracker: Path, root: Path) -> Iterator[Table]:
    """Yield what a DVC file tracks and the working tree lacks; of a folder, only its name is known."""
    for out in _outs(tracker):
        path = tracker.parent / str(out.get("path", ""))
        is_folder = str(out.get("md5", "")).endswith(".dir")
        if not path.exists() and (is_folder or path.suffix.lower() in FORMATS):
            pattern = path.relative_to(root).as_posix()
            yield Table(pattern=pattern, files=(), size=int(out.get("size", 0)), tracked_by=tracker)


def _outs(tracker: Path) -> "Iterator[Settings]":
    import yaml

    try:
        content = yaml.safe_load(tracker.read_text(encoding="utf-8")) or {}
        stages = list(content.get("stages", {}).values()) if tracker.name == "dvc.lock" else [content]
        yield from (out for stage in stages for out in stage.get("outs", ()))
    except (yaml.YAMLError, AttributeError, UnicodeDecodeError):
        return


def _columns(file: Path) -> list[str]:
    """Return the columns' names; of a file that cannot be read, its own, so that it stands alone."""
    import polars as pl

    try:
        if FORMATS[file.suffix.lower()] == "csv":
            return header.read(file, file.name, layout.default())
        return list(pl.read_parquet_schema(file))
    except (ConfigError, pl.exceptions.PolarsError, OSError):
        return [file.name]
