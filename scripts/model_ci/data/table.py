"""The rows that count, in memory: those to train on, and those held out."""

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from model_ci.config import Data
from model_ci.data import cut, source
from model_ci.data.cut import Cut
from model_ci.data.scan import Scan
from model_ci.data.source import DataVersion
from model_ci.data.span import Span
from model_ci.errors import ConfigError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pandas as pd
    import polars as pl


@dataclass(frozen=True, kw_only=True)
class Table:
    """Training and holdout rows with all columns, ordered by time when there is a time column."""

    version: DataVersion
    train: "pd.DataFrame"
    holdout: "pd.DataFrame"
    features: Sequence[str]
    target: str
    window: dict[str, Any]

    def as_record(self) -> dict[str, Any]:
        """Return which rows these are, as it stands in a run's record."""
        return self.window


def load(data: Data, *, seed: int, root: Path) -> Table:
    """Read the rows that count and part them into training and holdout rows.

    Rows without a label are left out and counted. Raises ConfigError when the data cannot be used.
    """
    found = source.resolve(data, root)
    version = source.version(found)
    scan = Scan(found, data.time_column)
    features = feature_names(data, scan)
    rows, chosen = _rows(data, scan, seed)
    source.confirm(found, version)
    labelled = rows.filter(rows[data.target].is_not_null())
    if chosen.clock and not labelled[chosen.clock.column].is_sorted():
        labelled = labelled.sort(chosen.clock.column, maintain_order=True)
    held = chosen.holdout(labelled)
    span = Span(chosen)
    span.add(labelled, held, unlabelled=rows.height - labelled.height)
    span.check(found.location)
    frame = _to_pandas(labelled)
    return Table(
        version=version,
        train=_part(frame, ~held),
        holdout=_part(frame, held),
        features=features,
        target=data.target,
        window=span.as_record(),
    )


def feature_names(data: Data, scan: Scan) -> list[str]:
    """Return the columns the model sees; raise ConfigError when a column that the configuration names is not there."""
    named = {"data.target": [data.target], "data.time_column": [data.time_column] if data.time_column else []}
    named |= {"data.features": list(data.features or ()), "data.exclude": list(data.exclude)}
    found = [_missing(key, name, scan) for key, names in named.items() for name in names if name not in scan.schema]
    taken = {data.target, data.time_column, *data.exclude}
    features = list(data.features) if data.features else [name for name in scan.schema if name not in taken]
    if not features and not found:
        found.append(f"data: {scan.source.location} has no column left to learn from; add features, or exclude fewer")
    used = [name for name in (data.target, *features) if name in scan.schema]
    found += [
        f"{scan.source.location}: {name}: holds {scan.schema[name]}, which no model can take; exclude or convert it"
        for name in used
        if scan.kinds[name] == "other"
    ]
    if found:
        raise ConfigError(*found)
    return features


def _rows(data: Data, scan: Scan, seed: int) -> tuple["pl.DataFrame", Cut]:
    import polars as pl

    if cut.needs_times(data):
        chosen = cut.find(data, scan, seed)
        frame = scan.collect(chosen.roughly(scan.lazy()))
    else:
        frame = scan.collect(scan.lazy())
        chosen = cut.find(data, scan, seed, frame)
    return pl.concat(chosen.window([frame])), chosen


def _missing(key: str, name: str, scan: Scan) -> str:
    alike = {column.lower(): column for column in scan.schema}
    near = difflib.get_close_matches(name.lower(), list(alike), n=1, cutoff=0.6)
    hint = f"did you mean {alike[near[0]]!r}?" if near else f"its columns are {', '.join(scan.schema)}"
    return f"{key}: {scan.source.location} has no column {name!r}; {hint}"


def _to_pandas(frame: "pl.DataFrame") -> "pd.DataFrame":
    """Convert so that equal columns get equal types, whatever rows they hold; absent values are NaN."""
    import polars as pl

    doubtful = [name for name, dtype in frame.schema.items() if dtype == pl.Boolean and frame[name].null_count()]
    return frame.with_columns(pl.col(doubtful).cast(pl.Float64)).to_pandas()


def _part(frame: "pd.DataFrame", chosen: "npt.NDArray[np.bool_]") -> "pd.DataFrame":
    return frame[chosen].reset_index(drop=True)
