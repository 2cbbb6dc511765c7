"""Hashes of rows by their values: the same on every machine, in every batch, and under every version of a library."""

import hashlib
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Final, TypeAlias

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import polars as pl

RowHashes: TypeAlias = "npt.NDArray[np.uint64]"

_ABSENT: Final = 0x9E3779B97F4A7C15
_EXACT: Final = 2.0**53  # up to here every whole number is a floating-point number
_FIRST: Final = 0xBF58476D1CE4E5B9
_SECOND: Final = 0x94D049BB133111EB


def of_columns(frame: "pl.DataFrame") -> "dict[str, RowHashes]":
    """Return a hash of each value, by column; equal numbers of different types are equal.

    Columns of lists, structures or bytes do not count.
    """
    return {column.name: _of_column(column) for column in frame if _counts(column)}


def of_rows(columns: "Mapping[str, RowHashes]", names: Iterable[str], seed: int = 0) -> "RowHashes":
    """Join the hashes of the columns `names` to one a row; their order does not matter."""
    import numpy as np

    total = np.zeros(len(next(iter(columns.values()), ())), dtype=np.uint64)
    for name in names:
        if name in columns:
            total += columns[name]
    total += np.uint64(_of_text(f"seed {seed}"))
    return _mixed(total)


def salted(hashes: "RowHashes", salt: int) -> "RowHashes":
    """Return other hashes of the same rows, which these tell nothing about."""
    import numpy as np

    return _mixed(hashes ^ np.uint64(_of_text(f"salt {salt}")))


def shares(hashes: "RowHashes") -> "npt.NDArray[np.float64]":
    """Spread hashes evenly over 0 to 1."""
    import numpy as np

    return (hashes >> np.uint64(11)).astype(np.float64) * 2.0**-53


def _counts(column: "pl.Series") -> bool:
    import polars as pl

    return not (column.dtype.is_nested() or column.dtype in (pl.Binary, pl.Object))


def _of_column(column: "pl.Series") -> "RowHashes":
    import numpy as np
    import polars as pl

    absent = column.is_null().to_numpy() if column.null_count() else None
    if isinstance(column.dtype, pl.Categorical | pl.Enum):
        column = column.cast(pl.String)
    if column.dtype == pl.String:
        bits = _text_bits(column)
    else:
        if column.dtype.is_temporal():
            column = column.cast(pl.Datetime("us")).cast(pl.Int64)
        bits = _number_bits(column)
    if absent is not None:
        bits = np.where(absent, np.uint64(_ABSENT), bits)
    return _mixed(bits ^ np.uint64(_of_text(column.name)))


def _number_bits(column: "pl.Series") -> "RowHashes":
    import numpy as np
    import polars as pl

    numbers = column.cast(pl.Float64).fill_null(0.0).to_numpy()
    bits = (numbers + 0.0).view(np.uint64)  # adding 0 makes -0.0 the 0.0 that it equals
    if column.dtype in (pl.Int64, pl.UInt64) and np.abs(numbers).max(initial=0.0) >= _EXACT:
        # Identifiers of 64 bits are no floating-point numbers: neighbours would become one.
        inexact = (column.cast(pl.Float64).cast(column.dtype, strict=False) != column).fill_null(value=False)
        bits = np.where(inexact.to_numpy(), column.fill_null(0).to_numpy().view(np.uint64), bits)
    return bits


def _text_bits(column: "pl.Series") -> "RowHashes":
    import polars as pl

    values = column.unique().drop_nulls()
    hashes = [_of_text(value) for value in values]
    bits = column.replace_strict(values, pl.Series(hashes, dtype=pl.UInt64), default=0, return_dtype=pl.UInt64)
    return bits.fill_null(0).to_numpy()


def _of_text(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")


def _mixed(bits: "RowHashes") -> "RowHashes":
    """Spread every bit over all others (the finalizer of SplitMix64)."""
    import numpy as np

    bits = bits ^ (bits >> np.uint64(30))
    bits *= np.uint64(_FIRST)
    bits ^= bits >> np.uint64(27)
    bits *= np.uint64(_SECOND)
    bits ^= bits >> np.uint64(31)
    return bits
