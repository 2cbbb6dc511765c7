"""What makes a holdout lie: features that know the target, and rows that were seen in training."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from model_ci.data import rowhash
from model_ci.data.finding import Finding, share
from model_ci.stages.check_data.repeats import Repeats

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import polars as pl

    Numbers = npt.NDArray[np.float64]
    Codes = npt.NDArray[np.int64]

_ORDER: Final = "model-ci order"
MAX_ROWS: Final = 50_000
_FOLDS: Final = 5
_FEW: Final = 50  # numbers may predict by where they lie, not by their order: as many places are told apart
_SMOOTHING: Final = 1.0


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
        self, batch: "pl.DataFrame", hashes: Mapping[str, rowhash.RowHashes], wanted: "npt.NDArray[np.bool_]"
    ) -> None:
        """Take the wanted rows of one batch and the hashes of their values."""
        import polars as pl

        order = pl.Series(_ORDER, rowhash.of_rows(hashes, hashes, seed=1))
        part = batch.select(self._columns).with_columns(order).filter(pl.Series(wanted))
        self._parts.append(part)
        self._held += part.height
        if self._held > 2 * self._size:
            self._parts = [self._least()]
            self._held = self._size

    def rows(self) -> "pl.DataFrame":
        """Return the rows, in the order of their hashes."""
        return self._least().drop(_ORDER)

    def _least(self) -> "pl.DataFrame":
        import polars as pl

        return pl.concat(self._parts).sort(_ORDER, maintain_order=True).head(self._size)


def powers(rows: "pl.DataFrame", features: Sequence[str], target: str, task: str) -> dict[str, float]:
    """Return how well each feature predicts the target by itself."""
    return {name: power(rows[name], rows[target], task) for name in features}


def findings(found: Mapping[str, float], target: str, task: str, limit: float) -> list[Finding]:
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
        for name, value in found.items()
        if value > limit
    ]


def power(feature: "pl.Series", target: "pl.Series", task: str) -> float:
    """Return how well one feature predicts the target, from 0 (regression) or 0.5 (classes) to 1.

    Numbers are ranked. Text, and the place of a number among the others, are replaced by the target's mean in other
    rows of the same value, so that a column of many values does not look good by having seen its own answers. For several classes it is the mean of the
    classes, each against the rest: one class that is easily told apart is no leak.
    """
    import numpy as np
    import polars as pl

    if feature.dtype == pl.Boolean:
        feature = feature.cast(pl.Int64)
    if task == "regression":
        answers = [(1.0, _ranks(target.cast(pl.Float64).to_numpy()))]
    else:
        classes = target.unique().sort()
        answers = [(float((target == c).mean() or 0), (target == c).cast(pl.Float64).to_numpy()) for c in classes]
        answers = answers[-1:] if len(answers) == 2 else answers
    measure = _squared_correlation if task == "regression" else _distance_from_chance
    total = sum(weight for weight, _ in answers)
    scores = np.array([max(measure(c, answer) for c in _candidates(feature, answer)) for _, answer in answers])
    return float(sum(w * s for (w, _), s in zip(answers, scores, strict=True)) / total) if total else 0.0


def _candidates(feature: "pl.Series", answer: "Numbers") -> "Iterator[Numbers]":
    """Yield the ways to read a feature as one number per row."""
    import numpy as np
    import polars as pl

    codes = feature.rank("dense").fill_null(0).cast(pl.Int64).to_numpy()
    if not (feature.dtype.is_numeric() or feature.dtype.is_temporal()):
        yield _encoded(codes, answer)
        return
    ranks = feature.rank("average").cast(pl.Float64).fill_null(0.0).to_numpy()
    yield ranks
    few = codes.max(initial=0) <= _FEW
    yield _encoded(codes if few else np.ceil(ranks * _FEW / len(ranks)).astype(np.int64), answer)


def _encoded(codes: "Codes", answer: "Numbers") -> "Numbers":
    """Replace each code by the mean answer of the rows of the same code in the other folds."""
    import numpy as np

    folds = np.arange(len(codes)) % _FOLDS
    size, mean = int(codes.max(initial=0)) + 1, float(answer.mean()) if len(answer) else 0.0
    all_sums, all_counts = np.bincount(codes, answer, size), np.bincount(codes, minlength=size)
    encoded = np.empty(len(codes))
    for fold in range(_FOLDS):
        inside = folds == fold
        sums = all_sums - np.bincount(codes[inside], answer[inside], size)
        counts = all_counts - np.bincount(codes[inside], minlength=size)
        encoded[inside] = ((sums + _SMOOTHING * mean) / (counts + _SMOOTHING))[codes[inside]]
    return encoded


def _distance_from_chance(score: "Numbers", positive: "Numbers") -> float:
    """Return the area under the ROC curve, in whichever direction it is the larger."""
    ranks = _ranks(score)
    positives = positive.sum()
    negatives = len(positive) - positives
    if not positives or not negatives:
        return 0.5
    area = (ranks[positive > 0].sum() - positives * (positives + 1) / 2) / (positives * negatives)
    return float(max(area, 1 - area))


def _squared_correlation(score: "Numbers", answer: "Numbers") -> float:
    import numpy as np

    if score.std() == 0 or answer.std() == 0:
        return 0.0
    return float(np.corrcoef(score, answer)[0, 1] ** 2)


def _ranks(values: "Numbers") -> "Numbers":
    import polars as pl

    ranks: Any = pl.Series(values).rank("average").to_numpy()
    return ranks  # type: ignore[no-any-return]
