"""Rows that repeat one another, by their hashes: 8 bytes for each row."""

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from model_ci.data.rowhash import RowHashes

_CHUNK: Final = 1 << 19


class Repeats:
    """Collects the hashes of rows, batch by batch.

    Two different rows share a hash of 64 bits once in some ten million data sets of a million rows: never, in practice.
    """

    def __init__(self) -> None:
        import numpy as np

        self._hashes: RowHashes = np.empty(_CHUNK, dtype=np.uint64)
        self._count = 0

    def add(self, hashes: "RowHashes") -> None:
        """Take the rows of one batch."""
        end = self._count + len(hashes)
        if end > len(self._hashes):
            # In place, by the system's page table: a list of parts would be held twice when it is joined.
            self._hashes.resize(end + _CHUNK, refcheck=False)
        self._hashes[self._count : end] = hashes
        self._count = end

    def count(self) -> int:
        """Return how many rows repeat an earlier one."""
        rows = self._in_order()
        return sum(
            int((rows[start + 1 : start + 1 + _CHUNK] == rows[start : start + _CHUNK][: len(rows) - start - 1]).sum())
            for start in range(0, len(rows), _CHUNK)
        )

    def share_in(self, other: "Repeats") -> tuple[int, int]:
        """Return how many of these rows stand in `other` as well, and how many there are."""
        import numpy as np

        rows, others = self._in_order(), other._in_order()
        seen = 0
        for start in range(0, len(rows) if len(others) else 0, _CHUNK):
            chunk = rows[start : start + _CHUNK]
            places = np.minimum(np.searchsorted(others, chunk), len(others) - 1)
            seen += int((others[places] == chunk).sum())
        return seen, len(rows)

    def _in_order(self) -> "RowHashes":
        hashes = self._hashes[: self._count]
        hashes.sort()
        return hashes
