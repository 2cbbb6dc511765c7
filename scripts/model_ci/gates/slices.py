"""Slices: parts of the held-out rows that are judged apart, by the values of one or two columns."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from model_ci.errors import ConfigError
from model_ci.frozen import dataclass

if TYPE_CHECKING:
    import pandas as pd

    from model_ci.types import Array, Series

_MOST: Final = 1000
_ABSENT: Final = "(absent)"


@dataclass(frozen=True, kw_only=True)
class Slice:
    """The rows with one value, or one pair of values; `rows` are their positions."""

    name: str
    rows: "Array"


def cut(frame: "pd.DataFrame", columns: Sequence[str], bins: int) -> list[Slice]:
    """Slice the rows by the values of the columns, those without a value apart; every row is in one slice.

    A column of more different numbers than `bins` is cut at its quantiles in these very rows, so that its slices are
    equally large whatever the numbers are. Raises ConfigError for a column that is not there, or too many slices.
    """
    import numpy as np

    missing = [c for c in columns if c not in frame.columns]
    if missing:
        there = ", ".join(frame.columns)
        raise ConfigError(*(f"evaluate.gates: by: no column {name!r}; there are {there}" for name in missing))
    parts = [_labels(frame[c], bins) for c in columns]
    names = np.array([", ".join(row) for row in zip(*parts, strict=True)], dtype=object)
    distinct, slice_of_row = np.unique(names.astype(str), return_inverse=True)
    if len(distinct) > _MOST:
        raise ConfigError(
            f"evaluate.gates: by: {' and '.join(columns)} make {len(distinct)} slices, at most {_MOST} can be judged; "
            "name columns with fewer values"
        )
    return [Slice(name=str(name), rows=np.flatnonzero(slice_of_row.ravel() == i)) for i, name in enumerate(distinct)]


def _labels(column: "Series", bins: int) -> list[str]:
    values = _binned(column, bins) if column.dtype.kind in "iuf" and column.nunique() > bins else column
    absent = column.isna()
    return [f"{column.name}={_ABSENT if gone else value}" for value, gone in zip(values, absent, strict=True)]


def _binned(column: "Series", bins: int) -> list[str]:
    """Name each number's bin by its bounds: the lower belongs to it, the upper only in the last."""
    import numpy as np

    present = column.dropna().to_numpy(dtype=float)
    edges = np.unique(np.quantile(present, np.linspace(0, 1, bins + 1)))
    last = max(len(edges) - 2, 0)
    numbers = column.to_numpy(dtype=float, na_value=np.nan)
    chosen = np.clip(np.searchsorted(edges, numbers, side="right") - 1, 0, last)
    names = [
        f"[{edges[i]:.6g}, {edges[min(i + 1, len(edges) - 1)]:.6g}{']' if i == last else ')'}" for i in range(last + 1)
    ]
    return [names[i] for i in chosen]
