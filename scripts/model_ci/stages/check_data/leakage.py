"""What makes a holdout lie: features that know the target, and rows that were seen in training."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from model_ci.data import rowhash
from model_ci.data.finding import Finding, share
from model_ci.frozen import dataclass
from model_ci.stages.check_data.repeats import Repeats

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import polars as pl

    Numbers = npt.NDArray[np.float64]
    Codes = npt.NDArray[np.int64]

_POSITION: Final = "model-ci order"
MAX_ROWS: Final = 50_000
_FOLDS: Final = 5
_FEW: Final = 50  # numbers may predict by where they lie, not by their order: as many places are told apart
_SMOOTHING: Final = 1.0
_COLUMNS: Final = 64  # measured at once


class Overlap:
    """Counts the rows of the holdout that stand, feature by feature and with the target, in the training rows."""

    def __init__(self, columns: Sequence[str]) -> None:
        self._columns = columns
        self._train, self._holdout = Repeats(), Repeats()

    def add(self, hashes: Mapping[str, rowhash.RowHashes], held: "npt.NDArray[np.bool_]") -> None:
        """Take the hashes of the values of one batch, and which rows are held out."""
        rows = rowhash.of_rows(hashes, self._columns)
        self._train.add(rows[~held])
        self._holdout.add(rows[held])

    def counts(self) -> tuple[int, int]:
        """Return how many rows of the holdout were seen in training, and how many it has."""
        return self._holdout.share_in(self._train)

    def findings(self, allowed: float) -> list[Finding]:
        """Tell when more than the allowed share overlaps."""
        seen, rows = self.counts()
        if seen <= allowed * rows:
            return []
        what = (
            f"{share(seen, rows)} of the holdout stand in the training rows as well, {allowed:.2%} may; take repeated rows "
            "out, or raise check-data.overlap when different cases may well look the same"
        )
        return [Finding(rule="overlap", where="holdout", what=what, count=seen)]


class Sample:
    """Keeps the rows with the least hashes: the same ones wherever and in whatever order the rows come."""

    def __init__(self, columns: Sequence[str], size: int = MAX_ROWS) -> None:
        self._columns, self._size = list(columns), size
        self._parts: list[pl.DataFrame] = []
        self._held = 0

    def add(
        self, batch: "pl.DataFrame", hashes: Mapping[str, rowhash.RowHashes], chosen: "npt.NDArray[np.bool_]"
    ) -> None:
        """Take the wanted rows of one batch and the hashes of their values."""
        import polars as pl

        sort_key = pl.Series(_POSITION, rowhash.of_rows(hashes, hashes, seed=1))
        part = batch.select(self._columns).with_columns(sort_key).filter(pl.Series(chosen))
        self._parts.append(part)
        self._held += part.height
        if self._held > 2 * self._size:
            self._parts = [self._least()]
            self._held = self._size

    def rows(self) -> "pl.DataFrame":
        """Return the rows, in the order of their hashes."""
        return self._least().drop(_POSITION)

    def _least(self) -> "pl.DataFrame":
        import polars as pl

        return pl.concat(self._parts).sort(_POSITION, maintain_order=True).head(self._size)


def powers(rows: "pl.DataFrame", features: Sequence[str], target: str, task: str) -> dict[str, float]:
    """Return how well each feature predicts the target by itself, from 0 (regression) or 0.5 (classes) to 1.

    Numbers are ranked. Text, and the place of a number among the others, are replaced by the target's mean in other
    rows of the same value, so that a column of many values does not look good by having seen its own answers. For
    several classes it is the mean of the classes, each against the rest: one class that is easily told apart is no leak.
    """
    answers = _answers(rows[target], task)
    measured: dict[str, float] = {}
    for begin in range(0, len(features), _COLUMNS):
        measured |= _measured(rows.select(features[begin : begin + _COLUMNS]), answers, task)
    return measured


def findings(powers: Mapping[str, float], target: str, task: str, limit: float) -> list[Finding]:
    """Tell which features predict the target better than the limit."""
    measure = "squared correlation of ranks" if task == "regression" else "area under the ROC curve"
    return [
        Finding(
            rule="leakage",
            where=name,
            what=(
                f"predicts {target} all by itself ({measure} {value:.4f}, at most {limit} may be); it may hold the answer: "
                "put it in data.exclude, or raise check-data.leakage when it is known at the time of prediction"
            ),
        )
        for name, value in powers.items()
        if value > limit
    ]


@dataclass(frozen=True, kw_only=True)
class _Answer:
    """What is to be predicted, as numbers: ranks, or 1 for the rows of one class; `weight` is the share of these rows."""

    weight: float
    values: "Numbers"


def _answers(target: "pl.Series", task: str) -> list[_Answer]:
    import polars as pl

    if task == "regression":
        return [_Answer(weight=1.0, values=target.cast(pl.Float64).rank("average").cast(pl.Float64).to_numpy())]
    same = ((target == value).cast(pl.Float64).to_numpy() for value in target.unique().sort())
    answers = [_Answer(weight=float(values.mean()) if len(values) else 0.0, values=values) for values in same]
    return answers[-1:] if len(answers) == 2 else answers


def _measured(columns: "pl.DataFrame", answers: Sequence[_Answer], task: str) -> dict[str, float]:
    """Measure some columns at once: each query of polars costs more than a column of a few thousand rows."""
    import polars as pl

    columns = columns.with_columns(pl.col(pl.Boolean).cast(pl.Int64))
    ordered = [n for n, dtype in columns.schema.items() if dtype.is_numeric() or dtype.is_temporal()]
    codes = columns.select(pl.all().rank("dense").fill_null(0).cast(pl.Int64))
    absent = pl.all().null_count()
    ranks = columns.select(ordered).select((pl.all().rank("average") + absent).fill_null((absent + 1) / 2))
    measure = _squared_correlation if task == "regression" else _distance_from_chance
    total = sum(answer.weight for answer in answers)
    measured = dict.fromkeys(columns.columns, 0.0)
    for name in columns.columns:
        placed = ranks[name].cast(pl.Float64).to_numpy() if name in ordered else None
        read = [*_readings(codes[name].to_numpy(), placed)]
        best = (max(measure(cells, answer.values) for cells in read) for answer in answers)
        if total:
            measured[name] = sum(a.weight * score for a, score in zip(answers, best, strict=True)) / total
    return measured


@dataclass(frozen=True, kw_only=True)
class _Cells:
    """A feature read as few numbers: the cell of each row, and how many rows each has.

    Without `values` the number of a cell is the mean answer of the rows of the same code in the other folds.
    """

    of_row: "Codes"
    counts: "Numbers"
    values: "Numbers | None" = None

    def sums(self, answer: "Numbers") -> "Numbers":
        """Sum the answers of each cell's rows."""
        import numpy as np

        return np.bincount(self.of_row, answer, len(self.counts)).astype(float)

    def numbers(self, sums: "Numbers", mean: float) -> "Numbers":
        """Return the number of each cell, given the sum of the answers in each."""
        if self.values is not None:
            return self.values
        sums, counts = sums.reshape(-1, _FOLDS), self.counts.reshape(-1, _FOLDS)
        others, many = sums.sum(axis=1, keepdims=True) - sums, counts.sum(axis=1, keepdims=True) - counts
        encoded: Numbers = ((others + _SMOOTHING * mean) / (many + _SMOOTHING)).ravel()
        return encoded


def _readings(codes: "Codes", ranks: "Numbers | None") -> "Iterator[_Cells]":
    """Yield the ways to read a feature as one number per row; code 0 is an absent value."""
    import numpy as np

    if ranks is None:
        yield _folded(codes)
        return
    counts = np.bincount(codes)
    values = np.zeros(len(counts))
    values[codes] = ranks
    yield _Cells(of_row=codes, counts=counts.astype(float), values=values)
    if len(counts) > _FEW + 1:
        places = np.ceil((ranks - counts[0]) * _FEW / len(ranks)).astype(np.int64)
        codes = np.where(codes == 0, 0, places)
    yield _folded(codes)


def _folded(codes: "Codes") -> _Cells:
    import numpy as np

    cells = codes * _FOLDS + np.arange(len(codes)) % _FOLDS
    size = (int(codes.max(initial=0)) + 1) * _FOLDS
    return _Cells(of_row=cells, counts=np.bincount(cells, minlength=size).astype(float))


def _distance_from_chance(cells: _Cells, positive: "Numbers") -> float:
    """Return the area under the ROC curve, in whichever direction it is the larger."""
    import numpy as np

    positives = positive.sum()
    negatives = len(positive) - positives
    if not positives or not negatives:
        return 0.5
    sums = cells.sums(positive)
    distinct, group = np.unique(cells.numbers(sums, float(positive.mean())), return_inverse=True)
    counts = np.bincount(group, cells.counts, len(distinct))
    ranks = np.cumsum(counts) - (counts - 1) / 2
    area = (ranks @ np.bincount(group, sums, len(distinct)) - positives * (positives + 1) / 2) / (positives * negatives)
    return float(max(area, 1 - area))


def _squared_correlation(cells: _Cells, answer: "Numbers") -> float:
    if not len(answer):
        return 0.0
    sums = cells.sums(answer)
    mean = float(answer.mean())
    numbers = cells.numbers(sums, mean)
    centred = numbers - cells.counts @ numbers / len(answer)
    spread = (cells.counts @ centred**2) * ((answer - mean) ** 2).sum()
    return float((centred @ (sums - cells.counts * mean)) ** 2 / spread) if spread > 0 else 0.0
