"""Whole columns, for what can only be said of the values themselves; one column at a time, so that memory holds one."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from model_ci.profile.profile import Column
from model_ci.profile.sketch import as_floats, plain
from model_ci.stages.check_drift import counting, evidently
from model_ci.stages.check_drift.counting import Part, Work

if TYPE_CHECKING:
    import pyarrow as pa

    from model_ci.types import Array


def score(
    column: Column,
    reference: tuple[Sequence[Part], Work],
    window: tuple[Sequence[Part], Work],
    method: str | None,
    threshold: float | None,
) -> evidently.Score | None:
    """Score a column as Evidently does; None where either side has no value of it."""
    one, other = values(column, *reference), values(column, *window)
    if not len(one) or not len(other):
        return None
    return evidently.score(one, other, numbers=column.grid is not None, method=method, threshold=threshold)


def values(column: Column, parts: Sequence[Part], work: Work) -> "Array":
    """Return a column's values in the window of `work`, without nulls and infinities."""
    import numpy as np

    alone = replace(work, columns=(column,), every=None)
    arrays = [_plain(array, column) for part in parts for array in _arrays(part, alone)]
    return np.concatenate(arrays) if arrays else np.zeros(0)


def _arrays(part: Part, work: Work) -> "list[pa.Array]":
    name = work.names.get(work.columns[0].name, work.columns[0].name)
    inside = (counting.within(batch, work) for batch in part.batches(work.read))
    return [b.column(b.schema.get_field_index(name)) for b in inside if b.schema.get_field_index(name) >= 0]


def _plain(array: "pa.Array", column: Column) -> "Array":
    import numpy as np

    if column.grid is not None:
        numbers = as_floats(array)
        return numbers[np.isfinite(numbers)]
    array = array.drop_null()
    coded = array if hasattr(array, "dictionary") else array.dictionary_encode()
    names = np.array([column.write(v) for v in coded.dictionary.to_pylist()], dtype=object)
    return np.take(names, plain(coded.indices))
