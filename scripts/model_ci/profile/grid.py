"""The bins of a number: equally wide around its centre, growing with the distance beyond; counted with shifts, not searches."""

from typing import TYPE_CHECKING, Any, Final

from model_ci.frozen import dataclass

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Numbers = NDArray[np.float64]
    Indices = NDArray[np.int64]

BITS: Final = 11
_OCTAVES: Final = 20
_MANTISSA: Final = 52
_ONE: Final = 1023  # the exponent of 1.0
_BLOCK: Final = 1 << 15  # values that stay in the processor's cache


@dataclass(frozen=True, kw_only=True)
class Grid:
    """Bins around `center`: 2**bits equal ones up to `scale` away on either side, as many again for each doubling.

    A bin is the leading bits of 1 + |x - center| / scale as a double is written. So all grids of one centre and scale fit
    into one another, and two counts on them add up exactly, in any order.
    """

    center: float
    scale: float
    bits: int = BITS

    @property
    def side(self) -> int:
        """The number of bins on either side; those farther away fall into the last one."""
        return _OCTAVES << self.bits

    def count(self, values: "Numbers", counts: "Indices") -> None:
        """Add finite values to the `counts` by bin, from the lowest bin to the highest.

        It touches those bins only that values fall between: of many columns the rest never takes up memory.
        """
        import numpy as np

        for begin in range(0, len(values), _BLOCK):
            at = self.indices(values[begin : begin + _BLOCK])
            low = int(at.min())
            at -= low
            tally = np.bincount(at)
            counts[low : low + len(tally)] += tally

    def indices(self, values: "Numbers") -> "Indices":
        """Return the bin of each finite value."""
        import numpy as np

        with np.errstate(over="ignore"):
            distance = np.subtract(values, self.center, dtype=np.float64)
            distance *= 1 / self.scale
        below = distance.view(np.int64) >> 63  # -1 below the centre, 0 above
        np.abs(distance, out=distance)
        distance += 1.0
        bins = distance.view(np.int64)
        bins >>= _MANTISSA - self.bits
        bins -= _ONE << self.bits
        np.minimum(bins, self.side - 1, out=bins)
        bins ^= below
        bins += self.side
        return bins

    def middles(self, indices: "Indices") -> "Numbers":
        """Return the value in the middle of each bin."""
        low, high = self.edges(indices)
        return (low + high) / 2

    def edges(self, indices: "Indices") -> "tuple[Numbers, Numbers]":
        """Return where each bin begins and ends."""
        import numpy as np

        above = indices >= self.side
        steps = np.where(above, indices - self.side, self.side - 1 - indices)
        near, far = self._distance(steps), self._distance(steps + 1)
        return (
            np.where(above, self.center + near, self.center - far),
            np.where(above, self.center + far, self.center - near),
        )

    def coarser(self, indices: "Indices", bits: int) -> "Indices":
        """Return the bins of the grid of fewer `bits` that these bins lie in."""
        import numpy as np

        shift, side = self.bits - bits, _OCTAVES << bits
        above = indices >= self.side
        steps = np.where(above, indices - self.side, self.side - 1 - indices) >> shift
        return np.where(above, side + steps, side - 1 - steps)

    def _distance(self, steps: "Indices") -> "Numbers":
        import numpy as np

        written = (steps + (_ONE << self.bits)) << (_MANTISSA - self.bits)
        distance: Any = (written.astype(np.int64).view(np.float64) - 1.0) * self.scale
        return distance  # type: ignore[no-any-return]


def fit(values: "Numbers") -> Grid:
    """Lay a grid for numbers like these finite ones: the middle half decides, so that outliers do not."""
    import numpy as np

    if not len(values):
        return Grid(center=0.0, scale=1.0)
    low, center, high = np.quantile(values, (0.25, 0.5, 0.75), method="inverted_cdf").tolist()
    scale = (high - low) / 1.349  # the standard deviation, were it a normal distribution
    if not scale > 0:
        others = values[values != center]
        scale = float(np.median(np.abs(others - center))) if len(others) else 0.0
    if not (np.isfinite(scale) and scale > abs(center) * 1e-12):
        scale = max(abs(center) * 1e-3, 1e-3)
    return Grid(center=float(center), scale=_round(scale))


def _round(scale: float) -> float:
    """Take the next power of two, so that nothing is lost when values are divided by it."""
    import math

    return 2.0 ** math.ceil(math.log2(scale))
