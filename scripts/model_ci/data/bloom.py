"""A set of rows in two bytes a row: a Bloom filter over the hashes of the rows (Bloom 1970)."""

from typing import TYPE_CHECKING, Final

from model_ci.data import rowhash
from model_ci.frozen import dataclass

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    import numpy.typing as npt

    from model_ci.data.rowhash import RowHashes

    Mask = npt.NDArray[np.bool_]

BITS_PER_ROW: Final = 16
_PROBES: Final = 8


@dataclass(frozen=True, kw_only=True)
class Bloom:
    """A set of hashes: a hash that was added is always in it, another one rarely.

    `size` is the number of bits, and `packed` holds them, eight a byte.
    """

    size: int
    packed: "npt.NDArray[np.uint8]"

    @classmethod
    def of(cls, hashes: "RowHashes") -> "Bloom":
        """Make the set of some hashes."""
        import numpy as np

        distinct = np.unique(hashes)
        size = BITS_PER_ROW * len(distinct)
        bits = np.zeros(size, dtype=np.bool_)
        for places in _places(distinct, size):
            bits[places] = True
        return cls(size=size, packed=np.packbits(bits))

    @classmethod
    def from_bytes(cls, content: bytes) -> "Bloom":
        """Read what `to_bytes` wrote."""
        import numpy as np

        return cls(size=8 * len(content), packed=np.frombuffer(content, dtype=np.uint8))

    def to_bytes(self) -> bytes:
        """Write the bits."""
        return self.packed.tobytes()

    def contains(self, hashes: "RowHashes") -> "Mask":
        """Return for each hash whether it is in the set."""
        import numpy as np

        inside = np.full(len(hashes), self.size > 0)
        for places in _places(hashes, self.size):
            inside &= (self.packed[places >> np.uint64(3)] >> (~places & np.uint64(7)).astype(np.uint8)) & 1 == 1
        return inside

    @property
    def false_positives(self) -> float:
        """Return the chance that a hash which was not added is taken for one that was."""
        import numpy as np

        return float((np.bitwise_count(self.packed).sum() / self.size) ** _PROBES) if self.size else 0.0


def _places(hashes: "RowHashes", size: int) -> "Iterator[RowHashes]":
    """Yield the bits of each hash, one at a time, by double hashing (Kirsch and Mitzenmacher 2006)."""
    import numpy as np

    if not size:
        return
    place, step = rowhash.salted(hashes, 1), rowhash.salted(hashes, 2) | np.uint64(1)
    for _ in range(_PROBES):
        yield place % np.uint64(size)
        place = place + step
