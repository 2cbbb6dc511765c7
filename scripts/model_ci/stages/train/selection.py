"""Which of the training rows are learnt from: those since the last change, and of these a sample, where asked for."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from model_ci.config import Data
from model_ci.data import times
from model_ci.errors import ConfigError
from model_ci.frozen import dataclass
from model_ci.stages.train import change, sample

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pandas as pd

_BLOCK: Final = "1d"
_BLOCK_ROWS: Final = 100


@dataclass(frozen=True, kw_only=True)
class Signal:
    """What is watched for a change: numbers by row, by name; `why` says why it is not what was asked for.

    The values are of the rows from `first` on: a model's loss on rows it learnt from tells nothing of a change.
    """

    kind: str  # loss, target or features
    values: "Mapping[str, npt.NDArray[np.float64]]"
    first: int = 0
    why: str | None = None


@dataclass(frozen=True, kw_only=True)
class Selection:
    """The rows that are learnt from, and how they were chosen, as it stands in a run's record."""

    rows: "pd.DataFrame"
    record: Mapping[str, Any]


def choose(data: Data, train: "pd.DataFrame", signal: Signal | None, seed: int) -> Selection:
    """Choose among training rows that are in the order of time; `signal` is needed for a dynamic window."""
    rows, dynamic, drawn = train, None, None
    if signal is not None:
        rows, dynamic = _newest(data, train, signal)
    if data.window.sample.rows is not None:
        rows, drawn = _sampled(data, rows, seed)
    return Selection(rows=rows, record={"offered": len(train), "rows": len(rows), "dynamic": dynamic, "sample": drawn})


def of_target(data: Data, train: "pd.DataFrame", why: str | None) -> Signal:
    """Watch the target: its number, or the number of its value, each a signal where there are more than two."""
    import numpy as np
    import pandas as pd

    values = train[data.target]
    watched: dict[str, Any]
    if pd.api.types.is_numeric_dtype(values) and values.nunique() != 2:
        watched = {data.target: values.to_numpy(dtype=float)}
    else:
        classes = sorted(values.unique().tolist(), key=str)
        named = classes[1:] if len(classes) == 2 else classes
        watched = {f"{data.target} = {c}": (values == c).to_numpy().astype(np.float64) for c in named}
    return Signal(kind="target", values=watched, why=why)


def of_features(train: "pd.DataFrame", features: "list[str]") -> Signal:
    """Watch every column of numbers by its ranks, and of every other one how frequent its values are."""
    import pandas as pd

    watched: dict[str, Any] = {}
    for name in features:
        values = train[name]
        ranked = values if pd.api.types.is_numeric_dtype(values) else values.astype(object).map(values.value_counts())
        watched[name] = ranked.rank(pct=True).to_numpy(dtype=float)
    return Signal(kind="features", values=watched)


def _newest(data: Data, train: "pd.DataFrame", signal: Signal) -> tuple["pd.DataFrame", dict[str, Any]]:
    rows = train.iloc[signal.first :]
    blocks = _blocks(data, rows)
    changes = change.find(signal.values, blocks, data.window.confidence) if len(rows) else []
    change_row = signal.first + max(c.row for c in changes) if changes else 0
    first = max(min(change_row, len(train) - data.window.min_rows), 0)
    moments = train[str(data.time_column)]
    record = {
        "signal": signal.kind,
        "why": signal.why,
        "watched_rows": len(rows),
        "changes": [{"signal": c.signal, "at": _shown(moments.iloc[signal.first + c.row])} for c in changes],
        "since": _shown(moments.iloc[first]),
        "rows": len(train) - first,
        "held_by_min_rows": first < change_row,
    }
    return train.iloc[first:].reset_index(drop=True), record


def _blocks(data: Data, rows: "pd.DataFrame") -> "npt.NDArray[np.int64]":
    import numpy as np
    import pandas as pd

    moments, block = rows[str(data.time_column)], data.window.block
    timed = pd.api.types.is_datetime64_any_dtype(moments)
    if block is None:
        block = _BLOCK if timed else _BLOCK_ROWS
    if isinstance(block, int):
        return np.arange(len(rows)) // block
    if not timed:
        raise ConfigError(
            f"data.window.block: {block!r} is a duration, but {data.time_column} counts in numbers without a unit; "
            "give a number of rows"
        )
    since = (moments - moments.iloc[0].normalize()).dt.total_seconds()
    return np.asarray(since // times.seconds(block), dtype=np.int64)


def _sampled(data: Data, rows: "pd.DataFrame", seed: int) -> tuple["pd.DataFrame", dict[str, Any]]:
    settings = data.window.sample
    drawn = sample.draw(rows, settings, data.target, data.time_column, seed)
    far = max(drawn.distances, key=lambda d: d.distance)
    record = {
        "by": settings.by,
        "half_life": settings.half_life,
        "of_rows": len(rows),
        "rows": len(drawn.index),
        "furthest": {"column": far.column, "distance": far.distance, "allowed": far.allowed},
    }
    return rows.iloc[drawn.index].reset_index(drop=True), record


def _shown(moment: Any) -> Any:
    return moment.isoformat() if hasattr(moment, "isoformat") else getattr(moment, "item", lambda: moment)()
