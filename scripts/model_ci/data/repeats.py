"""Rows that repeat one another, by their hashes: 8 bytes for each row."""

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from model_ci.data.rowhash import RowHashes

_CHUNK: Final = 1 << 18


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
        seen = 0
        for start in range(0, len(rows) if len(others) else 0, _CHUNK):
            chunk = rows[start : start + _CHUNK]
            places = np.minimum(np.searchsorted(others, chunk), len(others) - 1)
            seen += int((others[places] == chunk).sum())
        return seen, len(rows)

    def in_order(self) -> "RowHashes":
        """Return all hashes, sorted; each part is given back as soon as it is copied, so that they are held once."""
        import numpy as np

        if len(self._parts) != 1:
            rows = np.empty(sum(map(len, self._parts)), dtype=np.uint64)
            place = len(rows)
            while self._parts:
                part = self._parts.pop()
                rows[place - len(part) : place] = part
                place -= len(part)
            self._parts = [rows]
        self._parts[0].sort()
        return self._parts[0]
