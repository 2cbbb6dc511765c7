"""Rows that repeat one another, by their hashes: 8 bytes for each row."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from model_ci.data.rowhash import RowHashes


class Repeats:
    """Collects the hashes of rows, batch by batch.

    Two different rows share a hash of 64 bits once in some ten million data sets of a million rows: never, in practice.
    """

    def __init__(self) -> None:
        self._parts: list[RowHashes] = []

    def add(self, hashes: "RowHashes") -> None:
        """Take the rows of one batch."""
        self._parts.append(hashes)

    def count(self) -> int:
        """Return how many rows repeat an earlier one."""
        rows = self.in_order()
        return int((rows[1:] == rows[:-1]).sum())

    def share_in(self, other: "Repeats") -> tuple[int, int]:
        """Return how many of these rows stand in `other` as well, and how many there are."""
        import numpy as np

        rows, others = self.in_order(), other.in_order()
        if not len(others):
            return 0, len(rows)
        places = np.searchsorted(others, rows)
        places[places == len(others)] = 0
        return int((others[places] == rows).sum()), len(rows)

    def in_order(self) -> "RowHashes":
        """Return all hashes, sorted in place so that they are held only once."""
        import numpy as np

        if len(self._parts) != 1:
            self._parts = [np.concatenate(self._parts) if self._parts else np.empty(0, dtype=np.uint64)]
        self._parts[0].sort()
        return self._parts[0]
