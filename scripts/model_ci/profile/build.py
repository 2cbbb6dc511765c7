"""The profile of a training window, made while its rows are in memory."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

from model_ci.errors import ConfigError
from model_ci.frozen import dataclass
from model_ci.profile.profile import Column, Counted, Profile, Stored, by_group, column, of_season
from model_ci.profile.sketch import as_floats, family

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from model_ci.types import Array, JSONObject, Label, Series

PREDICTION: Final = "(prediction)"
ANSWERED_ROWS: Final = 10_000  # of the held-out rows, whose predictions are counted


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What a profile is to hold, by column; `classes` are the target's, none for a number."""

    features: Sequence[str]
    target: str
    classes: "Sequence[Label]"
    time: str | None
    season: str | None
    made: "JSONObject"


def probability(name: object) -> str:
    """Return the name that a class's probability has in a profile."""
    return f"(probability of {name})"


def build(rows: "pd.DataFrame", answers: "Mapping[str, Sequence[object] | Array]", asked: Asked) -> Profile:
    """Count the rows, and what the model answered of rows that it did not learn from.

    Columns whose values are neither numbers, text, booleans nor times are left out.
    """
    columns, arrays = [], []
    for name in [*asked.features, asked.target]:
        array = _array(rows[name])
        role = "target" if name == asked.target else "feature"
        described = column(name, role, array, categories=role == "target" and bool(asked.classes))
        if described is not None:
            columns.append(described)
            arrays.append(array)
    counted, answered = _stored(columns, arrays), _answers(answers, asked)
    ticks, span = _times(rows, asked)
    return Profile(
        columns=[*columns, *answered[0]],
        counted=Counted(rows=len(rows), sketches=Stored({**counted.records, **answered[1].records})),
        span=span,
        season=asked.season,
        seasons=_seasons(columns, arrays, ticks, asked.season),
        made={**asked.made, "clock": None if ticks is None else family(_array(rows[str(asked.time)]).type)},
    )


def _answers(answers: "Mapping[str, Sequence[object] | Array]", asked: Asked) -> tuple[list[Column], Stored]:
    import pyarrow as pa

    columns, arrays = [], []
    for name, values in answers.items():
        role = "prediction" if name == PREDICTION else "probability"
        array = pa.array(list(values))
        described = column(name, role, array, categories=role == "prediction" and bool(asked.classes))
        if described is not None:
            columns.append(described)
            arrays.append(array)
    return columns, _stored(columns, arrays)


def _stored(columns: Sequence[Column], arrays: "Sequence[pa.Array]") -> Stored:
    return Stored.of(zip(columns, arrays, strict=True))


def _batch(columns: Sequence[Column], arrays: "Sequence[pa.Array]") -> "pa.RecordBatch":
    import pyarrow as pa

    return pa.RecordBatch.from_arrays(list(arrays), names=[c.name for c in columns])


def _times(rows: "pd.DataFrame", asked: Asked) -> "tuple[Array | None, tuple[float | None, float | None]]":
    if asked.time is None or not len(rows):
        return None, (None, None)
    array = _array(rows[asked.time])
    if family(array.type) not in ("number", "time"):
        return None, (None, None)
    ticks = as_floats(array)
    if asked.season and family(array.type) != "time":
        raise ConfigError(f"check-drift.seasonal: {asked.time} counts in numbers, which have no {asked.season}")
    return ticks, (float(ticks.min()), float(ticks.max()))


def _seasons(
    columns: Sequence[Column], arrays: "Sequence[pa.Array]", ticks: "Array | None", season: str | None
) -> dict[int, Counted]:
    if season is None:
        return {}
    if ticks is None:
        raise ConfigError("check-drift.seasonal: the training rows have no times; set data.time_column")
    groups = by_group(_batch(columns, arrays), of_season(ticks.astype("int64"), season))
    return {name: Counted(rows=batch.num_rows, sketches=_stored(columns, batch.columns)) for name, batch in groups}


def _array(values: "Series") -> "pa.Array":
    """Convert a column; one of mixed types counts as text."""
    import pyarrow as pa

    try:
        array = pa.array(values, from_pandas=True)
    except pa.ArrowException:
        array = pa.array([None if absent else str(v) for v, absent in zip(values, values.isna(), strict=True)])
    return array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array
