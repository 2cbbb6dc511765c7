"""What the differences amount to: which columns drifted, in how many windows, and whether that is too much."""

from collections.abc import Mapping, Sequence
from dataclasses import field
from typing import TYPE_CHECKING, Final

from model_ci.frozen import dataclass
from model_ci.profile.profile import Column
from model_ci.profile.sketch import Sketch
from model_ci.stages.check_drift import statistics
from model_ci.stages.check_drift.comparison import ColumnDifference, compare

if TYPE_CHECKING:
    from model_ci.record_types import CheckDriftColumn


DRAWN_COLUMNS: Final = 12


@dataclass(frozen=True, kw_only=True)
class DriftRules:
    """When a column drifted, and when that is too much.

    A column drifts in a window when the difference is at least its threshold (or that of the nulls), and significant at
    `level` after Benjamini and Hochberg's correction for all tests of the window. It drifted when it did so in `needed`
    of the last `of` windows. Data drifted when the columns that did carry more than `max_share` of the model's weight.
    """

    numbers: str
    categories: str
    threshold: float
    thresholds: Mapping[str, float]
    nulls: float
    level: float
    needed: int = 1
    of: int = 1
    max_share: float = 0.2
    fail_on: Sequence[str] = ("data", "prediction", "label")


@dataclass(frozen=True, kw_only=True)
class JudgedWindow:
    """One window of rows, counted, with the reference it is to be compared with."""

    rows: int
    sketches: Mapping[str, Sketch]
    reference: Mapping[str, Sketch]
    absent: frozenset[str] = frozenset()  # columns that the rows have not


@dataclass(kw_only=True)
class JudgedColumn:
    """A column, judged in one window."""

    column: Column
    difference: ColumnDifference
    threshold: float
    p_adjusted: float | None = None
    nulls_p_adjusted: float | None = None
    reasons: list[str] = field(default_factory=list)

    @property
    def drifted(self) -> bool:
        """Whether something of it moved far and surely."""
        return bool(self.reasons)


def judge(columns: Sequence[Column], window: JudgedWindow, rules: DriftRules) -> list[JudgedColumn]:
    """Compare every column that is there with its reference, correcting for their number."""
    judged = [
        JudgedColumn(
            column=column,
            difference=compare(
                window.reference[column.name], window.sketches[column.name], rules.numbers, rules.categories
            ),
            threshold=rules.thresholds.get(column.name, rules.threshold),
        )
        for column in columns
        if column.name not in window.absent
    ]
    tests = [(j, "values") for j in judged if j.difference.p_value is not None]
    tests += [(j, "nulls") for j in judged if j.difference.nulls_p_value is not None]
    p_values = [(j.difference.p_value if what == "values" else j.difference.nulls_p_value) or 0.0 for j, what in tests]
    for (judged_column, what), p_adjusted in zip(tests, statistics.adjusted(p_values), strict=True):
        _decide(judged_column, what, p_adjusted, rules)
    return judged


def _decide(judged: JudgedColumn, what: str, p_adjusted: float, rules: DriftRules) -> None:
    difference = judged.difference
    if what == "values":
        judged.p_adjusted = p_adjusted
        score = difference.score
        # What is no number is far: it never passes for near.
        if p_adjusted <= rules.level and not (score is not None and score < judged.threshold):
            judged.reasons.append(f"{difference.method} {score:.3g}, threshold {judged.threshold:g}")
        return
    judged.nulls_p_adjusted = p_adjusted
    before, now = (share or 0.0 for share in difference.nulls)
    if p_adjusted <= rules.level and not abs(now - before) < rules.nulls:
        judged.reasons.append(f"nulls from {before:.1%} to {now:.1%}")


def weights(columns: Sequence[Column], importance: Mapping[str, float] | None) -> dict[str, float]:
    """Return each input column's weight in the model; equal ones where nobody explained the model."""
    features = [c.name for c in columns if c.role == "feature"]
    known = {name: importance.get(name, 0.0) for name in features} if importance else {}
    total = sum(known.values())
    if not total > 0:
        return dict.fromkeys(features, 1 / max(len(features), 1))
    return {name: weight / total for name, weight in known.items()}


def in_enough_windows(seen: Sequence[bool | None], rules: DriftRules) -> bool:
    """Tell whether a column drifted in enough of the last windows; oldest first, None where it was not judged."""
    return sum(bool(s) for s in seen[-rules.of :]) >= rules.needed


def kinds(drifted: Sequence[Column], weight: Mapping[str, float], rules: DriftRules) -> dict[str, bool]:
    """Tell which kinds of drift there are: of the data, the predictions, the labels."""
    share = sum(weight.get(c.name, 0.0) for c in drifted if c.role == "feature")
    return {
        "data": share > rules.max_share,
        "prediction": any(c.role in ("prediction", "probability") for c in drifted),
        "label": any(c.role == "target" for c in drifted),
    }


def as_record(
    judged: JudgedColumn, weight: float | None, seen: Sequence[bool | None], *, drifted: bool
) -> "CheckDriftColumn":
    """Return a column as it stands in a run's record."""
    difference, column = judged.difference, judged.column
    return {
        "name": column.name,
        "role": column.role,
        "kind": "category" if column.grid is None else "number",
        "method": difference.method,
        "score": _finite(difference.score),
        "threshold": judged.threshold,
        "p_value": difference.p_value,
        "p_adjusted": judged.p_adjusted,
        "nulls": {
            "reference": difference.nulls[0],
            "window": difference.nulls[1],
            "p_adjusted": judged.nulls_p_adjusted,
        },
        "importance": weight,
        "drifted_now": judged.drifted,
        "drifted": drifted,
        "windows": list(seen),
        "reasons": judged.reasons,
        "range": difference.facts.range,
        "categories": difference.facts.categories,
        "distribution": difference.facts.distribution,
    }


def _finite(value: float | None) -> float | None:
    import math

    return value if value is not None and math.isfinite(value) else None
