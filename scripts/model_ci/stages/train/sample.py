"""A part of the rows that stands for all of them, and the check that it does."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from model_ci.config import Sample
from model_ci.data import rowhash, times
from model_ci.errors import ConfigError
from model_ci.frozen import dataclass

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pandas as pd

    from model_ci.types import Series

    Numbers = npt.NDArray[np.float64]
    Index = npt.NDArray[np.int64]

_LEVEL: Final = 0.001  # of an error about a sample that is drawn as it should be, over all its columns
_BINS: Final = 10  # of a target of numbers
_SALT: Final = 0x5A3F  # a row's chance to be held out says nothing of its chance to be in the sample


@dataclass(frozen=True, kw_only=True)
class Distance:
    """How far a column of the sample is from that of all rows, of their distribution functions, and what is allowed."""

    column: str
    distance: float
    allowed: float


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """The rows that were drawn, in their order, each row's chance of it, and the distance of each column."""

    index: "Index"
    chances: "Numbers"
    distances: tuple[Distance, ...]


def draw(frame: "pd.DataFrame", settings: Sample, target: str, time_column: str | None, seed: int) -> Drawn:
    """Draw `settings.rows` of a frame's rows without replacement.

    Systematic sampling with the chances that are wanted, in an order by strata, so that each stratum has its share to
    one row (Madow, 1949); a reservoir keeps the rows of the smallest hashes of their values. Raises ConfigError when a
    column is further from that of all rows, weighted by their chances, than chance explains, or than `max_distance`.
    """
    import numpy as np

    size = min(int(settings.rows or len(frame)), len(frame))
    chances = np.full(len(frame), size / len(frame))
    if settings.by == "reservoir":
        index = _smallest(frame, size, seed)
    else:
        if settings.by == "decayed":
            chances = _chances(_weights(frame[str(time_column)], str(settings.half_life)), size)
        index = _systematic(chances, _by_target(frame, target, seed), seed)
    distances = tuple(_distances(frame, index, chances, settings.max_distance))
    _require_alike(distances, size, settings)
    return Drawn(index=index, chances=chances, distances=distances)


def _require_alike(distances: tuple[Distance, ...], size: int, settings: Sample) -> None:
    far = [d for d in distances if not d.distance <= d.allowed]
    if far:
        asked = "data.window.sample.max_distance allows" if settings.max_distance else "chance explains"
        raise ConfigError(
            *(
                f"data.window.sample: {d.column}: {size} rows do not represent all: their distribution is "
                f"{d.distance:.4f} away, {asked} {d.allowed:.4f}; draw more rows, or change train.seed"
                for d in far
            )
        )


def _smallest(frame: "pd.DataFrame", size: int, seed: int) -> "Index":
    import numpy as np
    import polars as pl

    hashes = rowhash.of_columns(pl.from_pandas(frame))
    return np.sort(np.argsort(rowhash.of_rows(hashes, hashes, seed ^ _SALT), kind="stable")[:size])


def _weights(moments: "Series", half_life: str) -> "Numbers":
    import numpy as np
    import pandas as pd

    if not pd.api.types.is_datetime64_any_dtype(moments):
        raise ConfigError(
            f"data.window.sample.half_life: {half_life!r} is a duration, but {moments.name} counts in numbers without a unit; "
            "sample by stratified or reservoir"
        )
    age = (moments.max() - moments).dt.total_seconds().to_numpy()
    return np.asarray(np.exp2(-age / times.seconds(half_life)))


def _chances(weights: "Numbers", size: int) -> "Numbers":
    """Return chances in proportion to the weights that add up to `size`, none above 1."""
    import numpy as np

    sure = np.zeros(len(weights), dtype=bool)
    while True:
        rest = weights * ~sure
        chances = np.where(sure, 1.0, rest * (size - sure.sum()) / max(rest.sum(), np.finfo(float).tiny))
        above = chances > 1
        if not above.any():
            return chances
        sure |= above


def _by_target(frame: "pd.DataFrame", target: str, seed: int) -> "Index":
    """Return the rows by the target's values, or ranges of it, and within these in their own order: that of time."""
    import numpy as np
    import pandas as pd

    values = frame[target]
    if pd.api.types.is_numeric_dtype(values) and values.nunique() > 2 * _BINS:
        strata = pd.qcut(values, _BINS, labels=False, duplicates="drop").to_numpy()
    else:
        strata = pd.factorize(values, sort=True)[0]
    return np.argsort(strata, kind="stable")


def _systematic(chances: "Numbers", places: "Index", seed: int) -> "Index":
    import numpy as np

    size = round(chances.sum())
    ends = np.cumsum(chances[places])
    ends *= size / ends[-1]
    marks = np.random.default_rng(seed).random() + np.arange(size)
    drawn = np.minimum(np.searchsorted(ends, marks, side="right"), len(places) - 1)
    return np.sort(places[drawn])


def _distances(frame: "pd.DataFrame", index: "Index", chances: "Numbers", most: float | None) -> Iterator[Distance]:
    """Compare the sample with all rows, each by its chance: the greatest difference of the distribution functions.

    The noise expected of n of N rows is that of Kolmogorov's statistic, shrunk as the sample nears the whole. Values
    that have no order are compared in the order of their frequency, which makes the bound a safe one.
    """
    import numpy as np

    level = _LEVEL / max(len(frame.columns), 1)
    shrunk = 1 / len(frame) if np.ptp(chances) == 0 else 0.0
    noise = float(np.sqrt(np.log(2 / level) / 2 * max(1 / len(index) - shrunk, 0)))
    for name in frame.columns:
        codes = _codes(frame[name])
        weight = np.bincount(codes, weights=chances) / chances.sum()
        seen = np.bincount(codes[index], minlength=len(weight)) / len(index)
        distance = float(np.abs(np.cumsum(weight - seen)).max())
        yield Distance(column=str(name), distance=distance, allowed=noise if most is None else most)


def _codes(values: "Series") -> "Index":
    """Number the values in their order, those of no order by their frequency; absent ones come first."""
    import numpy as np
    import pandas as pd

    ordered = pd.api.types.is_numeric_dtype(values) or pd.api.types.is_datetime64_any_dtype(values)
    codes = pd.factorize(values, sort=ordered)[0] + 1
    if ordered:
        return codes
    return np.argsort(np.argsort(-np.bincount(codes), kind="stable"), kind="stable")[codes]
