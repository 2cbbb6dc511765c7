"""Joint drift: whether a classifier can tell the rows of today from those of the reference, column by column alike as they may be."""

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final

from model_ci.frozen import dataclass
from model_ci.profile.profile import Column
from model_ci.profile.sketch import as_floats

if TYPE_CHECKING:
    import pyarrow as pa

    from model_ci.types import Array


_FOLDS: Final = 5
_CODES: Final = 200


@dataclass(frozen=True, kw_only=True)
class Separation:
    """How well the two could be told apart: the area under the curve of rows not learnt from, and its p-value."""

    auc: float
    p_value: float
    rows: tuple[int, int]


def sample(batches: "Iterable[pa.RecordBatch]", rows: int, seed: int) -> "pa.Table":
    """Draw so many rows, each with the same chance, in one reading."""
    import numpy as np
    import pyarrow as pa

    draw = np.random.default_rng(seed)
    kept: pa.Table | None = None
    keys = np.zeros(0)
    for batch in batches:
        new = draw.random(batch.num_rows)
        limit = keys.max() if len(keys) >= rows else 1.0
        chosen = np.flatnonzero(new < limit)
        table = pa.Table.from_batches([batch]).take(chosen)
        kept = table if kept is None else pa.concat_tables([kept, table], promote_options="permissive")
        keys = np.concatenate([keys, new[chosen]])
        if len(keys) > rows:
            best = np.sort(np.argpartition(keys, rows)[:rows])
            kept, keys = kept.take(best), keys[best]
    return kept


def tell_apart(reference: "pa.Table", window: "pa.Table", columns: Sequence[Column], seed: int) -> Separation:
    """Cross-fit a boosted classifier; each fold's Mann-Whitney statistic is of rows it did not learn from.

    Rows are taken for independent of one another.
    """
    import numpy as np
    from sklearn.ensemble import HistGradientBoostingClassifier

    sides = reference, window
    features = np.column_stack([_encoded(column, sides) for column in columns])
    is_category = [column.grid is None for column in columns]
    truth = np.repeat([0, 1], [side.num_rows for side in sides])
    fold = np.random.default_rng(seed).permutation(len(truth)) % _FOLDS
    areas, deviations = [], []
    for i in range(_FOLDS):
        held = fold == i
        model = HistGradientBoostingClassifier(
            max_iter=50, max_leaf_nodes=15, categorical_features=is_category, random_state=seed
        ).fit(features[~held], truth[~held])
        area, deviation = _area(model.predict_proba(features[held])[:, 1], truth[held])
        areas.append(area)
        deviations.append((area - 0.5) / deviation)
    z = sum(deviations) / math.sqrt(_FOLDS)
    return Separation(
        auc=sum(areas) / _FOLDS,
        p_value=0.5 * math.erfc(z / math.sqrt(2)),
        rows=(reference.num_rows, window.num_rows),
    )


def _encoded(column: Column, sides: "Sequence[pa.Table]") -> "Array":
    import numpy as np

    arrays = [side.column(column.name).combine_chunks() for side in sides]
    if column.grid is not None:
        return np.concatenate([_with_nulls(array) for array in arrays])
    values = [None if v is None else column.write(v) for array in arrays for v in array.to_pylist()]
    names, counts = np.unique([v for v in values if v is not None], return_counts=True)
    frequent = names[np.argsort(-counts, kind="stable")][:_CODES].tolist()
    codes = {name: i for i, name in enumerate(frequent)}
    return np.array([np.nan if v is None else codes.get(v, _CODES) for v in values])


def _with_nulls(array: "pa.Array") -> "Array":
    import numpy as np

    codes = np.full(len(array), np.nan)
    there = array.is_valid().to_numpy(zero_copy_only=False)
    codes[there] = as_floats(array)
    codes[~np.isfinite(codes)] = np.nan
    return codes


def _area(scores: "Array", truth: "Array") -> tuple[float, float]:
    """Return the area, and its standard deviation were there nothing to tell; ties count half."""
    import numpy as np

    values, inverse, counts = np.unique(scores, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    ranks = (last - (counts - 1) / 2)[inverse]
    of, n = float(truth.sum()), float(len(truth))
    other = n - of
    if not of or not other or len(values) < 2:
        return 0.5, 1.0
    area = (float(ranks[truth == 1].sum()) - of * (of + 1) / 2) / (of * other)
    ties = float((counts.astype(float) ** 3 - counts).sum()) / (n * (n - 1))
    return area, math.sqrt((n + 1 - ties) / (12 * of * other))
