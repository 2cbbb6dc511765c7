"""One column of today against its reference: how far apart, how surely, and what is new in it."""

from typing import TYPE_CHECKING, Final

from model_ci.frozen import dataclass
from model_ci.profile.sketch import Categories, Numbers, Sketch
from model_ci.stages.check_drift import statistics

if TYPE_CHECKING:
    from model_ci.record_types import CheckDriftColumnCategories, CheckDriftColumnDistribution, CheckDriftColumnRange
    from model_ci.types import Array


_CELLS: Final = 20  # of as many reference rows each, for the measures that need few cells
_FEW: Final = 10  # distinct values, up to which numbers are compared one by one
_NAMED: Final = 5
_DRAWN: Final = 24


@dataclass(kw_only=True)
class Facts:
    """What is shown of a column: the range of numbers or what categories came and went, and both distributions."""

    range: "CheckDriftColumnRange | None" = None
    categories: "CheckDriftColumnCategories | None" = None
    distribution: "CheckDriftColumnDistribution | None" = None


@dataclass(frozen=True, kw_only=True)
class ColumnDifference:
    """How a column's values and its share of nulls differ; a p-value is None where there is nothing to compare."""

    method: str
    score: float | None
    p_value: float | None
    nulls: tuple[float | None, float | None]  # the shares, reference and window
    nulls_p_value: float | None
    facts: "Facts"


def compare(reference: Sketch, window: Sketch, numbers: str, categories: str) -> ColumnDifference:
    """Compare two sketches of one column by the method for its kind; raises TypeError for two kinds."""
    if isinstance(reference, Numbers) and isinstance(window, Numbers):
        score, p_value, facts = _numbers(reference, window, numbers)
        method = numbers
    elif isinstance(reference, Categories) and isinstance(window, Categories):
        score, p_value, facts = _categories(reference, window, categories)
        method = categories
    else:
        raise TypeError("numbers and categories cannot be compared")
    absent = [_absent(s) for s in (reference, window)]
    sizes = [s.rows + a for s, a in zip((reference, window), absent, strict=True)]
    testable = all(sizes) and any(absent)
    return ColumnDifference(
        method=method,
        score=score,
        p_value=p_value,
        nulls=(_share(absent[0], sizes[0]), _share(absent[1], sizes[1])),
        nulls_p_value=statistics.two_shares(absent[0], sizes[0], absent[1], sizes[1]) if testable else None,
        facts=facts,
    )


def _numbers(reference: Numbers, window: Numbers, method: str) -> tuple[float | None, float | None, Facts]:
    bits = min(reference.grid.bits, window.grid.bits)
    reference, window = reference.coarser(bits), window.coarser(bits)
    if reference.grid != window.grid:
        raise ValueError("numbers on different grids cannot be compared")
    bins = (reference.counts + window.counts).nonzero()[0]
    counts = reference.counts[bins], window.counts[bins]
    sizes = reference.rows, window.rows
    facts = Facts(range=_range(reference, window, bins))
    if not all(sizes):
        return None, None, facts
    shares = counts[0] / sizes[0], counts[1] / sizes[1]
    places = reference.grid.middles(bins)
    distance = statistics.kolmogorov(*shares)
    if len(bins) <= _FEW:
        p_value = statistics.chi_square_tail(*statistics.chi_square(*map(_floats, counts)))
    else:
        p_value = statistics.kolmogorov_tail(distance, *sizes)
    match method:
        case "wasserstein":
            score = statistics.wasserstein(*shares, places) / _norm(reference)
        case "ks":
            score = distance
        case _:
            cells = _cells(shares[0], len(bins))
            score = _of_cells(method, *(_summed(c, cells) for c in counts))
    facts.distribution = _drawn_numbers(reference, window, bins)
    return score, p_value, facts


def _categories(reference: Categories, window: Categories, method: str) -> tuple[float | None, float | None, Facts]:
    """Compare by name; where the reference does not name all, what it does not name is one category."""
    import numpy as np

    names = sorted(reference.counts.keys() | (set() if reference.others else window.counts.keys()))
    counts = [np.array([float(s.counts[name]) for name in names]) for s in (reference, window)]
    unnamed = [float(s.rows - c.sum()) for s, c in zip((reference, window), counts, strict=True)]
    if any(unnamed):
        counts = [np.append(c, rest) for c, rest in zip(counts, unnamed, strict=True)]
        names = [*names, "(others)"]
    facts = Facts(categories=_changes(reference, window))
    if not (reference.rows and window.rows):
        return None, None, facts
    statistic, freedom = statistics.chi_square(*counts)
    p_value = statistics.chi_square_tail(statistic, freedom)
    if method == "chi_square":
        score = statistics.cramer(statistic, reference.rows + window.rows, 2)
    else:
        score = _of_cells(method, *counts)
    facts.distribution = _drawn_categories(names, *counts)
    return score, p_value, facts


def _of_cells(method: str, reference: "Array", window: "Array") -> float:
    shares = reference / reference.sum(), window / window.sum()
    match method:
        case "jensen_shannon":
            return statistics.jensen_shannon(*shares)
        case "total_variation":
            return statistics.total_variation(*shares)
    # Half a row more in every cell: an empty one has no logarithm, and no row proves that a value is impossible.
    smoothed = [(c + 0.5) / (c + 0.5).sum() for c in (reference, window)]
    return statistics.psi(*smoothed)


def _cells(shares: "Array", bins: int) -> "Array":
    """Put bins into cells of as many reference rows each, and one for what is below and above all of them."""
    import numpy as np

    there = shares.nonzero()[0]
    middle = np.cumsum(shares) - shares / 2
    cells = np.minimum((middle * _CELLS).astype(np.int64), _CELLS - 1) + 1
    places = np.arange(bins)
    return np.where(places < there[0], 0, np.where(places > there[-1], _CELLS + 1, cells))


def _summed(counts: "Array", cells: "Array") -> "Array":
    import numpy as np

    return np.bincount(cells, weights=counts, minlength=_CELLS + 2)


def _norm(reference: Numbers) -> float:
    moments = reference.moments
    mean, deviation = moments if moments else (0.0, 0.0)
    return deviation if deviation > 0 else max(abs(mean), 1.0) * 1e-3


def _range(reference: Numbers, window: Numbers, bins: "Array") -> "CheckDriftColumnRange":
    outside = None
    if window.rows and reference.rows:
        there = bins[reference.counts[bins] > 0]
        counts = window.counts[bins]
        outside = float(counts[(bins < there[0]) | (bins > there[-1])].sum() / window.rows)
    return {
        "reference": _bounds(reference),
        "window": _bounds(window),
        "outside": outside,
        "infinite": int(window.infinite),
    }


def _bounds(numbers: Numbers) -> list[float] | None:
    return None if numbers.low is None or numbers.high is None else [numbers.low, numbers.high]


def _changes(reference: Categories, window: Categories) -> "CheckDriftColumnCategories":
    """Tell which categories came and went, the most frequent ones by name; one that was rare is not missed."""
    new = [] if reference.others else [n for n in window.counts if window.counts[n] and n not in reference.counts]
    new.sort(key=lambda name: (-window.counts[name], name))
    expected = window.rows / reference.rows if reference.rows else 0
    gone = [n for n, c in reference.counts.items() if not window.counts.get(n) and c * expected >= 5]
    gone.sort(key=lambda name: (-reference.counts[name], name))
    rows = sum(window.counts[name] for name in new)
    return {
        "new": new[:_NAMED],
        "new_count": len(new),
        "new_share": _share(rows, window.rows),
        "vanished": gone[:_NAMED],
        "vanished_count": len(gone),
    }


def _drawn_numbers(reference: Numbers, window: Numbers, bins: "Array") -> "CheckDriftColumnDistribution":
    """Return both distributions in cells of equal width over where nearly all rows of either are."""
    import numpy as np

    low, high = (
        min(_quantile(s, 0.005) for s in (reference, window)),
        max(_quantile(s, 0.995) for s in (reference, window)),
    )
    places = reference.grid.middles(bins)
    width = (high - low) / _DRAWN or 1.0
    cells = np.clip((places - low) / width, 0, _DRAWN - 1).astype(np.int64)
    shares = [np.bincount(cells, weights=s.counts[bins], minlength=_DRAWN) / s.rows for s in (reference, window)]
    return {
        "from": low,
        "to": low + width * _DRAWN,
        "labels": None,
        "reference": _rounded(shares[0]),
        "window": _rounded(shares[1]),
    }


def _drawn_categories(names: list[str], reference: "Array", window: "Array") -> "CheckDriftColumnDistribution":
    shares = [reference / reference.sum(), window / window.sum()]
    ranked = sorted(range(len(names)), key=lambda i: (-max(shares[0][i], shares[1][i]), names[i]))[:12]
    return {
        "from": None,
        "to": None,
        "labels": [names[i] for i in ranked],
        "reference": _rounded(shares[0][ranked]),
        "window": _rounded(shares[1][ranked]),
    }


def _quantile(sketch: Numbers, share: float) -> float:
    import numpy as np

    bins = sketch.counts.nonzero()[0]
    at = np.searchsorted(np.cumsum(sketch.counts[bins]), share * sketch.counts.sum())
    return float(sketch.grid.middles(bins[[min(int(at), len(bins) - 1)]])[0])


def _absent(sketch: Sketch) -> float:
    return sketch.nulls + (sketch.infinite if isinstance(sketch, Numbers) else 0)


def _floats(counts: "Array") -> "Array":
    return counts.astype(float)


def _share(count: float, rows: float) -> float | None:
    return float(count / rows) if rows else None


def _rounded(shares: "Array") -> list[float]:
    return [round(float(s), 5) for s in shares]
