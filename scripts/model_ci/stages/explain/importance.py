"""How much each input column counts for all rows together, and how that changed."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeVar

from model_ci.explanation.attributions import Attributions
from model_ci.frozen import dataclass

T = TypeVar("T", float, "float | None")

if TYPE_CHECKING:
    from model_ci.record_types import ColumnShare, ExplainChange


@dataclass(frozen=True, kw_only=True)
class ColumnImportance:
    """A column's mean absolute attribution, and its share of all columns'; None where it is no number."""

    name: str
    share: float | None
    mean_abs: float | None


@dataclass(frozen=True, kw_only=True)
class Shift:
    """A column's share and rank beside the champion's; a column that one of the two does not see has no share there."""

    name: str
    share: float
    champion_share: float
    shift: float
    rank: int | None
    champion_rank: int | None


def importance(attributions: Attributions) -> list[ColumnImportance]:
    """Return the columns, the one that counts most first; the mean is over rows and, for several classes, over classes."""
    import numpy as np

    means = np.abs(attributions.values).mean(axis=(0, 2)).tolist()
    total = sum(means)
    if not np.isfinite(total):
        return [
            ColumnImportance(name=name, share=None, mean_abs=mean if np.isfinite(mean) else None)
            for name, mean in zip(attributions.columns, means, strict=True)
        ]
    columns = [
        ColumnImportance(name=name, share=mean / total if total else 0.0, mean_abs=mean)
        for name, mean in zip(attributions.columns, means, strict=True)
    ]
    return sorted(columns, key=lambda column: (-(column.share or 0.0), column.name))


def changes(ours: Sequence[ColumnImportance], theirs: Sequence[ColumnImportance]) -> list[Shift]:
    """Compare with the champion's columns, the largest shift first; empty when either has no shares."""
    if any(column.share is None for column in (*ours, *theirs)):
        return []
    mine, other = _ranked(ours), _ranked(theirs)
    shifts = []
    for name in dict.fromkeys([*mine, *other]):
        rank, share = mine.get(name, (None, 0.0))
        their_rank, their_share = other.get(name, (None, 0.0))
        shifts.append(
            Shift(
                name=name, share=share, champion_share=their_share, shift=share - their_share,
                rank=rank, champion_rank=their_rank,
            )
        )  # fmt: skip
    return sorted(shifts, key=lambda change: -abs(change.shift))


def columns_record(columns: Sequence[ColumnImportance]) -> "list[ColumnShare]":
    """Return columns as they stand in a run's record."""
    return [{"name": c.name, "share": _digits(c.share), "mean_abs": _digits(c.mean_abs)} for c in columns]


def changes_record(shifts: Sequence[Shift]) -> "list[ExplainChange]":
    """Return changes as they stand in a run's record."""
    return [
        {
            "name": c.name,
            "share": _digits(c.share),
            "champion_share": _digits(c.champion_share),
            "shift": _digits(c.shift),
            "rank": c.rank,
            "champion_rank": c.champion_rank,
        }
        for c in shifts
    ]


def _digits(value: T) -> T:
    """Keep nine digits of a number."""
    return value if value is None else type(value)(f"{value:.9g}")


def _ranked(columns: Sequence[ColumnImportance]) -> dict[str, tuple[int | None, float]]:
    return {column.name: (i + 1, column.share or 0.0) for i, column in enumerate(columns)}
