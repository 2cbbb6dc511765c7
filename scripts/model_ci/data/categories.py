"""Categorical columns of Parquet: the categories that a file names, in their order."""

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from model_ci.data.hashes import Stamp, stamp
from model_ci.errors import ConfigError
from model_ci.frozen import dataclass

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, kw_only=True)
class Categories:
    """The categories of a column; `ordered` says whether their order means something."""

    values: tuple[str, ...]
    ordered: bool


def read(files: Sequence[Path]) -> dict[str, Categories]:
    """Return the categorical columns of all files together.

    Raises ConfigError when files order the categories of one column differently.
    """
    columns: dict[str, Categories] = {}
    for file in files:
        for name, other in _of_file(file, stamp(file)).items():
            columns[name] = _joined(name, columns[name], other, file) if name in columns else other
    return columns


def apply(frame: "pd.DataFrame", columns: Mapping[str, Categories]) -> "pd.DataFrame":
    """Return a frame whose text in these columns is categorical; what is no category is absent."""
    import pandas as pd

    kinds = {
        name: pd.CategoricalDtype(list(known.values), ordered=known.ordered)
        for name, known in columns.items()
        if name in frame.columns
    }
    changed = {name: _kept_in(frame[name], kind) for name, kind in kinds.items() if frame[name].dtype != kind}
    return frame.assign(**changed) if changed else frame


def _kept_in(values: "pd.Series[Any]", kind: "pd.CategoricalDtype") -> "pd.Series[Any]":
    plain = values.astype(object)
    return plain.where(plain.isin(kind.categories)).astype(kind)


@lru_cache(maxsize=256)
def _of_file(file: Path, _: Stamp) -> Mapping[str, Categories]:
    import pyarrow.parquet as pq

    with pq.ParquetFile(file, pre_buffer=False) as parquet:
        schema = parquet.schema_arrow
        kinds = {field.name: field.type for field in schema if _is_categorical(field.type)}
        values: dict[str, dict[str, None]] = {name: {} for name in kinds}
        for batch in parquet.iter_batches(columns=list(kinds), use_threads=False) if kinds else ():
            for name in kinds:
                values[name] |= dict.fromkeys(batch.column(name).dictionary.drop_null().to_pylist())
    return {name: Categories(values=tuple(values[name]), ordered=bool(kinds[name].ordered)) for name in kinds}


def _is_categorical(dtype: object) -> bool:
    import pyarrow as pa

    return isinstance(dtype, pa.DictionaryType) and "string" in str(dtype.value_type)


def _joined(name: str, one: Categories, other: Categories, file: Path) -> Categories:
    if one.ordered != other.ordered or (one.ordered and not _agree(one.values, other.values)):
        raise ConfigError(
            f"{file.name}: {name}: orders its categories {', '.join(other.values)}, unlike {', '.join(one.values)} in the "
            "files before it; write the files with the same categories"
        )
    longer, shorter = (
        sorted((one.values, other.values), key=len, reverse=True) if one.ordered else (one.values, other.values)
    )
    return Categories(values=tuple(dict.fromkeys((*longer, *shorter))), ordered=one.ordered)


def _agree(one: Sequence[str], other: Sequence[str]) -> bool:
    """Whether one order is part of the other: between categories that only one file has, no order is known."""
    longer, shorter = sorted((one, other), key=len, reverse=True)
    return list(_kept(longer, shorter)) == list(shorter)


def _kept(values: Sequence[str], known: Sequence[str]) -> Iterator[str]:
    return (value for value in values if value in known)
