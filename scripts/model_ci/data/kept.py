"""The rows of CSV files that were read last, so that the stages of one run do not parse them again."""

from collections import OrderedDict
from pathlib import Path
from typing import TYPE_CHECKING, Final

from model_ci.config import Csv
from model_ci.data.hashes import Stamp

if TYPE_CHECKING:
    import polars as pl

MOST_BYTES: Final = 1 << 28  # of all files that are kept; larger files are read again, a few rows at a time
_frames: "OrderedDict[tuple[Path, Stamp, Csv], pl.DataFrame]" = OrderedDict()


def get(file: Path, stamp: Stamp, csv: Csv) -> "pl.DataFrame | None":
    """Return the rows of a file that has not changed since they were read, None when they are not kept."""
    return _frames.get((file, stamp, csv))


def put(file: Path, stamp: Stamp, csv: Csv, frame: "pl.DataFrame") -> None:
    """Keep the rows of a file in place of those that were read first."""
    _frames[file, stamp, csv] = frame
    while sum(size for _, (size, *_), _ in _frames) > MOST_BYTES:
        _frames.popitem(last=False)
