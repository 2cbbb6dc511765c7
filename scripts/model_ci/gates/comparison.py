"""How sure a difference is: challenger and champion on the same resamples of the same rows (paired bootstrap)."""

import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from model_ci.frozen import dataclass
from model_ci.gates import calibration
from model_ci.gates.estimate import Estimate, Moments, Same, of_resamples
from model_ci.gates.metrics import Metric, measure
from model_ci.gates.outputs import Outputs
from model_ci.gates.proportion import PairedProportion, Proportion
from model_ci.gates.weighted import Weighted

if TYPE_CHECKING:
    from model_ci.types import Array

_CHUNK_CELLS: Final = 50_000  # weights that are in memory at once; few enough to stay in the processor's cache
FEWEST: Final = 0.95  # share of resamples that must have a value for an interval to be one


@dataclass(frozen=True, kw_only=True)
class Resampling:
    """How the holdout is drawn again: whole blocks, so that rows which are not independent stay together.

    `blocks` numbers the block of each row, (rows,), from 0 without gaps; None: every row for itself.
    """

    resamples: int
    seed: int
    blocks: "Array | None" = None

    @property
    def many(self) -> int | None:
        """Return how many blocks there are."""
        return None if self.blocks is None else int(self.blocks.max()) + 1

    def units(self, rows: "Array") -> int:
        """Return how many are drawn independently of one another among some rows: the rows, or the blocks that they are of."""
        return len(rows) if self.blocks is None else len(set(self.blocks[rows].tolist()))

    def weights(self, rows: int) -> "Iterator[Array]":
        """Yield (resamples, rows) of how often each row was drawn, some resamples at a time."""
        import numpy as np

        generator = np.random.default_rng(self.seed)
        many = self.many or rows
        size = max(1, _CHUNK_CELLS // rows)
        for begin in range(0, self.resamples, size):
            chunk = min(size, self.resamples - begin)
            drawn = np.empty((chunk, many))
            for each in drawn:
                each[:] = np.bincount(generator.integers(0, many, many), minlength=many)
            yield drawn if self.blocks is None else drawn[:, self.blocks]


def differences(
    metrics: Mapping[str, Metric], challenger: Outputs, champion: Outputs, plan: Resampling
) -> dict[str, Estimate]:
    """Return the difference of each metric that both models have a value of, resampled in pairs.

    A metric that too many resamples have no value of is left out: there is no interval to judge by.
    """
    import numpy as np

    sides = {name: (ready(m, challenger, 0), ready(m, champion, 1)) for name, m in metrics.items()}
    parts: dict[str, list[Any]] = {name: [] for name in metrics}
    for weights in plan.weights(len(challenger.truth)):
        for name, (mine, theirs) in sides.items():
            with np.errstate(invalid="ignore"):
                parts[name].append(mine(weights) - theirs(weights))
    estimates: dict[str, Estimate] = {}
    for name, metric in metrics.items():
        value = value_of(metric, challenger) - value_of(metric, champion)
        estimate = between(metric, challenger, champion, value, np.concatenate(parts[name]), plan.blocks)
        if estimate:
            estimates[name] = estimate
    return estimates


def alone(
    metric: Metric, outputs: Outputs, value: float, drawn: "Array", blocks: "Array | None" = None
) -> Estimate | None:
    """Estimate one model's value: exactly where it is a share of independent rows, else from its resamples.

    None where too many resamples have no value.
    """
    if metric.calibrated:
        return None if blocks is not None else calibration.estimate(outputs, *metric.basis.support([outputs], None))
    counted = metric.basis.hits(outputs) if metric.basis.hits and blocks is None else None
    units, kind = metric.basis.support([outputs], blocks)
    if counted and counted[0].any():
        rows, hits = int(counted[0].sum()), int((counted[0] & counted[1]).sum())
        return Proportion(value=value, drawn_from=units, of=kind, hits=hits, rows=rows)
    influence = metric.basis.influence(outputs)
    return _resampled(value, drawn, units, kind, metric.basis.reach([influence]), influence, blocks)


def between(  # noqa: PLR0913, PLR0917 - both models, and what is known of how they differ
    metric: Metric, mine: Outputs, theirs: Outputs, value: float, drawn: "Array", blocks: "Array | None" = None
) -> Estimate | None:
    """Estimate by how much one model's value is above another's on the same rows; None where there is nothing to go by."""
    import numpy as np

    if value == 0 and mine.same_as(theirs):
        return Same(value=0.0, drawn_from=len(mine.truth))
    if metric.calibrated:
        return (
            None
            if blocks is not None
            else calibration.difference(mine, theirs, *metric.basis.support([mine, theirs], None))
        )
    units, kind = metric.basis.support([mine, theirs], blocks)
    if metric.basis.hits and blocks is None:
        (rows, my_hits), (their_rows, their_hits) = metric.basis.hits(mine), metric.basis.hits(theirs)
        if (rows == their_rows).all() and rows.any():
            only_mine, only_theirs = (
                int((rows & my_hits & ~their_hits).sum()),
                int((rows & their_hits & ~my_hits).sum()),
            )
            return PairedProportion(
                value=value,
                drawn_from=units,
                of=kind,
                only_mine=only_mine,
                only_theirs=only_theirs,
                rows=int(rows.sum()),
            )
    influence, other = metric.basis.influence(mine), metric.basis.influence(theirs)
    with np.errstate(invalid="ignore"):  # an infinite loss of both
        paired = None if influence is None or other is None else influence - other
    return _resampled(value, drawn, units, kind, metric.basis.reach([influence, other]), paired, blocks)


def _resampled(  # noqa: PLR0913, PLR0917 - what an estimate is made of
    value: float, drawn: "Array", units: int, kind: str, reach: float | None, influence: "Array | None",
    blocks: "Array | None",
) -> Estimate | None:  # fmt: skip
    import numpy as np

    finite = drawn[np.isfinite(drawn)]
    if len(finite) < FEWEST * len(drawn) or not math.isfinite(value):
        return None
    moments = None if influence is None else Moments.of(value, influence, blocks)
    return of_resamples(value, finite, units, kind, reach, moments)


def value_of(metric: Metric, outputs: Outputs) -> float:
    """Return the metric, NaN where it cannot be computed."""
    value = measure({metric.name: metric}, outputs).values[metric.name]
    return math.nan if value is None else value


def ready(metric: Metric, outputs: Outputs, side: int = 0) -> Weighted:
    """Return the metric of resamples of these outputs, NaN where it cannot be computed.

    Of two models that are compared, `side` 0 is the challenger and 1 the champion.
    """
    import numpy as np

    try:
        with warnings.catch_warnings(action="ignore"):
            weighted = metric.smoothed(outputs, side) if metric.smoothed else metric.weighted(outputs)
    except Exception:  # noqa: BLE001 - whatever a metric raises, it gives no value
        return lambda weights: np.full(len(weights), math.nan)

    def values(weights: "Array") -> "Array":
        try:
            with warnings.catch_warnings(action="ignore"):
                return weighted(weights)
        except Exception:  # noqa: BLE001
            return np.full(len(weights), math.nan)

    return values


def rows_needed(rows: int, value: float, interval: tuple[float, float], limit: float) -> int | None:
    """Return how many rows would settle on which side of `limit` the difference lies, were it what it seems to be.

    An interval shrinks with the square root of the rows. None when the difference is the limit itself.
    """
    bound = interval[0] if value > limit else interval[1]
    if value == limit:
        return None
    needed = rows * ((value - bound) / (value - limit)) ** 2
    digits = max(0, int(math.log10(needed)) - 1) if needed >= 1 else 0
    return int(math.ceil(needed / 10**digits) * 10**digits)


def holm(chances: Sequence[float], level: float) -> list[bool]:
    """Tell which hypotheses are rejected when the chance of any false rejection is kept below `level` (Holm 1979)."""
    rejected = [False] * len(chances)
    for rank, i in enumerate(sorted(range(len(chances)), key=lambda i: chances[i])):
        if chances[i] > level / (len(chances) - rank):
            break
        rejected[i] = True
    return rejected
