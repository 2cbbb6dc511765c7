"""Where the newest regime begins: the longest recent stretch of rows in which no change is detected."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from model_ci.errors import ConfigError
from model_ci.frozen import dataclass

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Numbers = npt.NDArray[np.float64]
    Blocks = npt.NDArray[np.int64]

FEWEST_BLOCKS: Final = 20
_TAIL: Final = 0.05  # of the blocks' means on each side, which are outliers


@dataclass(frozen=True, kw_only=True)
class Change:
    """A detected change: the signal that told of it, and the first row of the regime after it."""

    signal: str
    row: int


def find(signals: "Mapping[str, Numbers]", blocks: "Blocks", confidence: float) -> list[Change]:
    """Find the changes in signals (rows,) whose rows are in order; `blocks` numbers the block of each row.

    ADWIN (Bifet and Gavalda, 2007) on the means of the blocks, scaled to 0 to 1 between their 5th and 95th percentile:
    two parts of its window differ by more than chance explains, at a level of 1 - `confidence` shared by the signals.
    Fewer than 20 blocks tell of no change.
    """
    starts = _starts(blocks)
    if len(starts) < FEWEST_BLOCKS:
        return []
    level = (1 - confidence) / max(len(signals), 1)
    changes = [
        Change(signal=name, row=int(starts[block]))
        for name, values in signals.items()
        for block in _adwin(_scaled(_means(values, starts)), level)
    ]
    return sorted(changes, key=lambda change: change.row)


def _starts(blocks: "Blocks") -> "npt.NDArray[np.int64]":
    import numpy as np

    return np.flatnonzero(np.diff(blocks, prepend=blocks[:1] - 1))


def _means(values: "Numbers", starts: "npt.NDArray[np.int64]") -> "Numbers":
    """Average each block; one without a value counts as the blocks do on average."""
    import numpy as np

    known = np.isfinite(values)
    sums = np.add.reduceat(np.where(known, values, 0.0), starts)
    counts = np.add.reduceat(known.astype(float), starts)
    overall = sums.sum() / max(counts.sum(), 1)
    return np.asarray(np.divide(sums, counts, out=np.full(len(sums), overall), where=counts > 0))


def _scaled(means: "Numbers") -> "Numbers":
    import numpy as np

    low, high = np.quantile(means, [_TAIL, 1 - _TAIL])
    return np.asarray(np.clip((means - low) / (high - low), 0, 1)) if high > low else np.zeros(len(means))


def _adwin(values: "Numbers", level: float) -> list[int]:
    """Return the first value of each new regime.

    ADWIN tells that there was a change, and drops only whole buckets of old values. Where the change was is told by the
    split of the regime so far that leaves the least squares; ADWIN begins anew from there.
    """
    detector, begin, i, starts = _detector()(delta=level, clock=1), 0, 0, []
    while i < len(values):
        detector.update(float(values[i]))
        i += 1
        if detector.drift_detected:
            begin += _split(values[begin:i])
            starts.append(begin)
            detector, i = _detector()(delta=level, clock=1), begin
    return starts


def _split(values: "Numbers") -> int:
    """Return where the means of the two parts explain most of the spread."""
    import numpy as np

    before = np.arange(1, len(values))
    after = len(values) - before
    sums = np.cumsum(values)
    apart = sums[:-1] / before - (sums[-1] - sums[:-1]) / after
    return int(np.argmax(before * after * apart**2)) + 1


def _detector() -> Any:
    try:
        from river.drift import ADWIN
    except ModuleNotFoundError:
        raise ConfigError(
            "data.window.kind: dynamic needs river, which is not installed; install model-ci[adaptive]"
        ) from None
    return ADWIN
