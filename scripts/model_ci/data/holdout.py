"""Which rows are held out: by what they are, so that a row stays on its side when others come, go or move."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from model_ci.config import Data
from model_ci.data import identity, rowhash
from model_ci.data.scan import HELD_OUT
from model_ci.errors import ConfigError
from model_ci.frozen import dataclass
from model_ci.terms import HoldoutKind

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import polars as pl

    from model_ci.data.rowhash import RowHashes

    Mask = npt.NDArray[np.bool_]

_HASH: Final = "hash"
_CLASS: Final = "class"


@dataclass(frozen=True, kw_only=True)
class Sides:
    """The side of a row, for every holdout but one by time.

    At random and by group the hash of the row's key, or of its group, decides. `chosen` holds the hashes that are held
    out where they were chosen class by class, in ascending order.
    """

    data: Data
    names: Sequence[str]
    chosen: "RowHashes | None" = None

    @classmethod
    def of(cls, data: Data, features: Sequence[str]) -> "Sides":
        """Find the columns that decide."""
        match data.holdout.by:
            case HoldoutKind.RANDOM:
                return cls(data=data, names=identity.columns(data, features))
            case HoldoutKind.GROUP:
                return cls(data=data, names=(str(data.holdout.group),))
        return cls(data=data, names=())

    def hashes(self, frame: "pl.DataFrame") -> "dict[str, RowHashes]":
        """Return the hashes of the values that decide, by column; raise ConfigError where a key or group is absent."""
        if self.data.holdout.by == HoldoutKind.GROUP:
            require_present(frame, self.names, "data.holdout.group")
        elif self.data.holdout.key:
            require_present(frame, self.names, "data.holdout.key")
        return rowhash.of_columns(frame.select(self.names))

    def survey(self, frame: "pl.DataFrame") -> "list[pl.Series]":
        """Return what of some rows is needed to know their side, and to choose by class."""
        import polars as pl

        if self.data.holdout.by == HoldoutKind.FILE:
            return [frame[HELD_OUT]]
        columns = [pl.Series(_HASH, self._joined(self.hashes(frame)))]
        if self.data.holdout.stratify:
            target = self.data.target
            columns.append(pl.Series(_CLASS, rowhash.of_columns(frame.select(target))[target]))
        return columns

    def held(self, frame: "pl.DataFrame", columns: "dict[str, RowHashes]") -> "Mask":
        """Return for each row whether it is held out; `columns` is what `hashes` returned."""
        if self.data.holdout.by == HoldoutKind.FILE:
            return frame[HELD_OUT].to_numpy()
        return self._held(self._joined(columns))

    def held_of(self, survey: "pl.DataFrame") -> "Mask":
        """Return the same for rows that were surveyed."""
        if self.data.holdout.by == HoldoutKind.FILE:
            return survey[HELD_OUT].to_numpy()
        return self._held(survey[_HASH].to_numpy())

    def _joined(self, columns: "dict[str, RowHashes]") -> "RowHashes":
        return rowhash.of_rows(columns, self.names, self.data.holdout.seed)

    def _held(self, hashes: "RowHashes") -> "Mask":
        import numpy as np

        if self.chosen is None:
            return rowhash.shares(hashes) < self.data.holdout.share
        if not len(self.chosen):
            return np.zeros(len(hashes), dtype=np.bool_)
        places = np.minimum(np.searchsorted(self.chosen, hashes), len(self.chosen) - 1)
        return np.asarray(self.chosen[places] == hashes)


def require_present(frame: "pl.DataFrame", names: Sequence[str], where: str) -> None:
    """Raise ConfigError where a row lacks what identifies it or its group: all such rows would be one."""
    absent = {name: frame[name].null_count() for name in names if frame[name].null_count()}
    if absent:
        raise ConfigError(
            *(
                f"{where}: {count} of {frame.height} rows have no {name}, so that nothing tells which row or group each is; "
                "fill it in, or take the rows out"
                for name, count in absent.items()
            )
        )


def stratified(sides: Sides, rows: "pl.DataFrame") -> Sides:
    """Choose the same share of each class, those of the least hashes; `rows` are all labelled ones, surveyed.

    A group belongs to the rarest class that it has a row of: a customer with one fraud among many purchases counts
    as one with fraud.
    """
    import numpy as np
    import polars as pl

    units = (
        rows.select(_HASH, _CLASS, pl.len().over(_CLASS).alias("size"))
        .sort("size", _CLASS)
        .unique(_HASH, keep="first", maintain_order=True)
        .sort(_CLASS, _HASH)
    )
    share = sides.data.holdout.share
    count, place = pl.len().over(_CLASS), pl.int_range(pl.len()).over(_CLASS)
    # A class of two units or more has one on each side, however small the share is.
    most = pl.min_horizontal(pl.max_horizontal((count * share).round(), 1), count - 1)
    chosen = units.filter(place < most)[_HASH].to_numpy()
    return Sides(data=sides.data, names=sides.names, chosen=np.sort(chosen))
