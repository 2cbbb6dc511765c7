"""The rows that count, in memory: those to train on, and those held out."""

import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from model_ci.config import Data
from model_ci.data import categories, cut, identity, source
from model_ci.data.cut import Cut, Part
from model_ci.data.holdout import require_present
from model_ci.data.scan import Scan
from model_ci.data.source import DataVersion
from model_ci.data.span import Span
from model_ci.errors import ConfigError
from model_ci.frozen import dataclass
from model_ci.terms import HoldoutKind

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pandas as pd
    import polars as pl

    from model_ci.types import JSON


@dataclass(frozen=True, kw_only=True)
class Table:
    """Training and holdout rows with all columns, ordered by time when there is a time column.

    `identity` names the columns by which a row is known again.
    """

    version: DataVersion
    train: "pd.DataFrame"
    holdout: "pd.DataFrame"
    features: Sequence[str]
    identity: Sequence[str]
    target: str
    window: "dict[str, JSON]"

    def as_record(self) -> "dict[str, JSON]":
        """Return which rows these are, as it stands in a run's record."""
        return self.window


def load(data: Data, *, root: Path) -> Table:
    """Read the rows that count and part them into training and holdout rows.

    Rows without a label are left out and counted. Raises ConfigError when the data cannot be used.
    """
    files = source.resolve(data, root)
    version = source.version(files)
    scan = Scan(files, data.time_column)
    features = feature_names(data, scan)
    part, chosen = _rows(data, scan, features)
    source.confirm(files, version)
    rows, held = _labelled(part, chosen)
    require_present(rows, data.holdout.key or (), "data.holdout.key")
    span = Span(chosen)
    span.add(rows, held, unlabelled=part.rows.height - rows.height)
    span.check(files.location)
    known = {name: values for name, values in scan.categories.items() if name != data.target}
    frame = categories.apply(_to_pandas(rows), known)
    return Table(
        version=version,
        train=_part(frame, ~held),
        holdout=_part(frame, held),
        features=features,
        identity=identity.columns(data, features),
        target=data.target,
        window=span.as_record(),
    )


def feature_names(data: Data, scan: Scan) -> list[str]:
    """Return the columns the model sees; raise ConfigError when a column that the configuration names is not there."""
    named = {"data.target": [data.target], "data.time_column": [data.time_column] if data.time_column else []}
    named |= {"data.features": list(data.features or ()), "data.exclude": list(data.exclude)}
    named |= {"data.holdout.key": list(data.holdout.key or ())}
    named |= {"data.holdout.group": [data.holdout.group] if data.holdout.group else []}
    wrong = [_missing(key, name, scan) for key, names in named.items() for name in names if name not in scan.schema]
    wrong += [
        f"data.holdout: {name} holds {scan.schema[name]}, by which no row can be known again; name another column"
        for name in (*(data.holdout.key or ()), *filter(None, [data.holdout.group]))
        if name in scan.schema and scan.kinds[name] == "other"
    ]
    taken = {data.target, data.time_column, *data.exclude}
    features = list(data.features) if data.features else [name for name in scan.schema if name not in taken]
    if not features and not wrong:
        wrong.append(f"data: {scan.source.location} has no column left to learn from; add features, or exclude fewer")
    used = [name for name in (data.target, *features) if name in scan.schema]
    wrong += [
        f"{scan.source.location}: {name}: holds {scan.schema[name]}, which no model can take; exclude or convert it"
        for name in used
        if scan.kinds[name] == "other"
    ]
    if wrong:
        raise ConfigError(*wrong)
    return features


def _rows(data: Data, scan: Scan, features: Sequence[str]) -> tuple[Part, Cut]:
    if data.holdout.by == HoldoutKind.TIME and cut.needs_times(data):
        chosen = cut.find(data, scan, features)
        frame = scan.collect(chosen.roughly(scan.lazy()))
    else:
        frame = scan.collect(scan.lazy())
        chosen = cut.find(data, scan, features, frame)
    part, *_ = chosen.parts([frame])
    return part, chosen


def _labelled(part: Part, chosen: Cut) -> "tuple[pl.DataFrame, npt.NDArray[np.bool_]]":
    """Return the rows with a label, in the order of time, and which of them are held out."""
    import numpy as np

    rows, held = part.rows, part.held
    labelled = rows[chosen.data.target].is_not_null()
    if not labelled.all():
        rows, held = rows.filter(labelled), held[labelled.to_numpy()]
    if chosen.clock and not rows[chosen.clock.column].is_sorted():
        places = np.argsort(rows[chosen.clock.column].to_numpy(), kind="stable")
        rows, held = rows[places], held[places]
    return rows, held


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
