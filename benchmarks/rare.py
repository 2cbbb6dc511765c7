"""How often gates are wrong on rare classes, few rows, heavy tails and used holdouts; a part of verdicts.py.

The code that judges is that of the gates. Only the metrics of labels are resampled from the table of what both models say, which is
the same as drawing rows and much faster.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from scipy.special import expit

from model_ci.config import Gate
from model_ci.gates.calibration import Bins, expected_calibration_error
from model_ci.gates.comparison import Resampling, alone, between, ready
from model_ci.gates.condition import Absolute, Comparisons
from model_ci.gates.gate import judge
from model_ci.gates.metrics import Metric, measure, resolve
from model_ci.gates.outputs import Outputs, Scores

SEPARATION: Final = 1.2
WORSE: Final = 0.9  # 0.064 of ROC AUC less
ALIKE: Final = 0.8
RESAMPLES: Final = 500
TRUTH_ROWS: Final = 1_000_000  # that the true values come from
CLASSES: Final = (
    (50, 0.3),
    (100, 0.3),
    (500, 0.02),
    (500, 0.05),
    (1000, 0.03),
    (2000, 0.01),
    (2000, 0.02),
    (2000, 0.05),
)
OF_LABELS: Final = ("recall", "precision", "f1", "balanced_accuracy", "accuracy")
OF_SCORES: Final = ("roc_auc", "average_precision", "log_loss", "brier_score")
TAILS: Final = (("t", 3.0, 1), ("t", 2.0, 1), ("pareto", 2.1, 1), ("t", 5.0, 2), ("t", 3.0, 2), ("lognormal", 1.0, 1))
LOWER: Final = ("log_loss", "brier_score", "mean_absolute_error", "mean_squared_error")


@dataclass(frozen=True, kw_only=True)
class Cell:
    """What was judged, how often it passed, was inconclusive for want of rows, and whether there is a level to hold."""

    what: str
    passed: int
    refused: int
    of: int
    level: bool


def pair(draw: np.random.Generator, rows: int, share: float, separation: float, cut: float) -> tuple[Outputs, Outputs]:
    """Return challenger and champion; the labels are those above the champion's `cut` of the log odds."""
    truth = (draw.random(rows) < share).astype(int)
    noise = draw.normal(size=rows) * math.sqrt(ALIKE)
    own = draw.normal(size=(2, rows)) * math.sqrt(1 - ALIKE)
    return tuple(  # type: ignore[return-value]
        _scored(truth, each, noise + own[i], share, cut) for i, each in enumerate((separation, SEPARATION))
    )


def _scored(truth: np.ndarray, separation: float, noise: np.ndarray, share: float, cut: float) -> Outputs:
    odds = separation * (separation * truth + noise) - separation**2 / 2 + math.log(share / (1 - share))
    p = expit(odds)
    return Outputs(truth=truth, labels=(odds > cut).astype(int), probabilities=np.column_stack([1 - p, p]))


def metrics(names: Sequence[str], task: str = "binary") -> dict[str, Metric]:
    """Return metrics by name."""
    return {name: resolve(name, task, _no_code) for name in names}


def _no_code(name: str) -> None:
    raise AssertionError(name)


def truths(share: float, names: Sequence[str]) -> tuple[float, dict[str, float]]:
    """Return the cut that calls 1.5 times the positive share positive, and by how much the worse challenger's values are lower."""
    draw = np.random.default_rng(1)
    odds = np.log(np.clip(pair(draw, TRUTH_ROWS, share, SEPARATION, 0.0)[1].probabilities[:, 1], 1e-300, None))  # type: ignore[index]
    likely = np.exp(odds)
    cut = float(np.quantile(np.log(likely / (1 - likely)), 1 - 1.5 * share))
    sides = pair(draw, TRUTH_ROWS, share, WORSE, cut)
    values = [measure(metrics(names), side).values for side in sides]
    return cut, {name: float(values[0][name] or 0) - float(values[1][name] or 0) for name in names}


def small(releases: int, part: str) -> Iterator[Cell]:
    """Judge metrics of two classes at the margin, and an equal challenger with the same margin."""
    names = OF_LABELS if part == "labels" else OF_SCORES
    of = metrics(names)
    for rows, share in CLASSES:
        cut, margins = truths(share, names)
        for truth, separation in (("at the margin", WORSE), ("equal", SEPARATION)):
            counts = {name: [0, 0] for name in names}
            for number in range(releases):
                draw = np.random.default_rng([rows, int(share * 1000), number, separation == WORSE])
                if number % 50 == 0:
                    plan = Resampling(resamples=RESAMPLES, seed=number)
                    weights = np.concatenate([*plan.weights(rows)])
                sides = pair(draw, rows, share, separation, cut)
                resampled = _of_table(sides, draw) if part == "labels" else None
                for name, metric in of.items():
                    drawn = _drawn(metric, sides, resampled[0] if resampled else weights, resampled)
                    state = _state(metric, sides, drawn, margins[name])
                    counts[name][0] += state == "passed"
                    counts[name][1] += state == "refused"
            for name, (passed, refused) in counts.items():
                at = truth == "at the margin"
                what = f"{name}, {rows} rows, {share:.0%} positive, {truth}"
                yield Cell(what=what, passed=passed, refused=refused, of=releases, level=at)


def _of_table(sides: tuple[Outputs, Outputs], draw: np.random.Generator) -> tuple[np.ndarray, tuple[Outputs, Outputs]]:
    """Return how often each cell of (truth, label, label) was drawn, and the cells as outputs of one row each."""
    cells = sides[0].truth * 4 + sides[0].labels * 2 + sides[1].labels
    counts = np.bincount(cells, minlength=8)
    of_cell = np.arange(8)
    each = tuple(
        Outputs(truth=of_cell // 4, labels=labels, probabilities=None) for labels in (of_cell // 2 % 2, of_cell % 2)
    )
    return draw.multinomial(counts.sum(), counts / counts.sum(), RESAMPLES).astype(float), each  # type: ignore[return-value]


def _drawn(metric: Metric, sides: Any, weights: np.ndarray, resampled: Any) -> np.ndarray:
    asked = resampled[1] if resampled else sides
    return ready(metric, asked[0], 0)(weights) - ready(metric, asked[1], 1)(weights)


def _state(metric: Metric, sides: tuple[Outputs, Outputs], drawn: np.ndarray, margin: float) -> str:
    """Judge one release by the gate whose limit is the true difference: passed, refused for want of rows, or another."""
    values = [value(metric, side) for side in sides]
    if not all(map(math.isfinite, values)):
        return "refused"
    scores = [Scores(values={metric.name: each}, reasons={}) for each in values]
    estimate = between(metric, *sides, values[0] - values[1], drawn)
    gate = _gate(metric.name, margin)
    compared = Comparisons(
        differences={metric.name: estimate} if estimate else {}, rows=len(sides[0].truth), confidence=0.95
    )
    outcome = judge([gate], scores[0], scores[1], compared, [metric.name] if metric.name in LOWER else [])[0]
    return "refused" if estimate is None or estimate.too_few else str(outcome.state)


def value(metric: Metric, side: Outputs) -> float:
    """Return a metric as that of the resample that has every row once, which is quicker than scikit-learn's function."""
    return float(metric.weighted(side)(np.ones((1, len(side.truth))))[0])


def _gate(name: str, margin: float) -> Gate:
    """Return the gate whose limit is where the truth is: a loss that is allowed, or a gain that is asked for."""
    lost = margin if name in LOWER else -margin
    if lost < 0:
        return Gate(metric=name, min_gain=-lost)
    return Gate(metric=name, **{"max_rise" if name in LOWER else "max_drop": lost})


def tails(releases: int) -> Iterator[Cell]:
    """Judge losses with heavy tails: the challenger's errors are larger by a share, which is the margin."""
    for rows in (50, 200, 1000):
        for kind, degree, power in TAILS:
            for factor in (1.05, 1.5):
                name = "mean_absolute_error" if power == 1 else "mean_squared_error"
                metric = metrics([name], "regression")[name]
                # The factor is of the loss, so an error grows by its root.
                margin = _mean(kind, degree, power) * (factor - 1)
                counts = [0, 0]
                for number in range(releases):
                    draw = np.random.default_rng([rows, int(degree * 10), power, int(factor * 100), number])
                    if number % 50 == 0:
                        weights = np.concatenate([*Resampling(resamples=RESAMPLES, seed=number).weights(rows)])
                    sides = _numbers(draw, rows, kind, degree, factor ** (1 / power))
                    state = _state(metric, sides, _drawn(metric, sides, weights, None), margin)
                    counts[0] += state == "passed"
                what = f"{name}, {rows} rows, errors {kind}({degree:g}), worse by {factor - 1:.0%}, at the margin"
                bounded = factor < 1.5  # beyond, too few rows show the tail: told in the docs, and no level
                yield Cell(what=what, passed=counts[0], refused=0, of=releases, level=bounded)


def _numbers(draw: np.random.Generator, rows: int, kind: str, degree: float, factor: float) -> tuple[Outputs, Outputs]:
    scale = {
        "t": lambda: np.sqrt(degree / draw.chisquare(degree, rows)),
        "pareto": lambda: draw.pareto(degree, rows) + 1,
        "lognormal": lambda: np.exp(degree * draw.normal(size=rows)),
    }[kind]()
    noise = draw.normal(size=rows) * math.sqrt(ALIKE)
    errors = [scale * (noise + draw.normal(size=rows) * math.sqrt(1 - ALIKE)) for _ in range(2)]
    truth = np.zeros(rows)
    sides = [Outputs(truth=truth, labels=e * by, probabilities=None) for e, by in zip(errors, (factor, 1), strict=True)]
    return sides[0], sides[1]


def _mean(kind: str, degree: float, power: int) -> float:
    """Return the true mean loss of an error that is normal, times a scale."""
    scale: Callable[[], float]
    if power == 1:
        gamma = math.gamma
        scale = {
            "t": lambda: math.sqrt(degree / 2) * gamma((degree - 1) / 2) / gamma(degree / 2),
            "pareto": lambda: degree / (degree - 1),
            "lognormal": lambda: math.exp(degree**2 / 2),
        }[kind]
        return scale() * math.sqrt(2 / math.pi)
    return {"t": lambda: degree / (degree - 2), "pareto": lambda: degree / (degree - 2)}[kind]()


def absolute(releases: int) -> Iterator[Cell]:
    """Hold a coin flip to `roc_auc min 0.6`, by the estimate and by the bound, and a model at 0.7 by the bound."""
    metric = metrics(["roc_auc"])["roc_auc"]
    for rows, share in ((50, 0.5), (500, 0.02), (500, 0.05), (500, 0.2), (2000, 0.05)):
        for name, separation in (("a coin flip", 0.0), ("truly 0.6", 0.3583), ("truly 0.7", 0.7416)):
            for bound in (False, True):
                passed = refused = 0
                for number in range(releases):
                    draw = np.random.default_rng([rows, int(share * 100), int(separation * 1000), number])
                    if number % 50 == 0:
                        weights = np.concatenate([*Resampling(resamples=RESAMPLES, seed=number).weights(rows)])
                    truth = (draw.random(rows) < share).astype(int)
                    p = expit(separation * truth + draw.normal(size=rows))
                    side = Outputs(truth=truth, labels=truth, probabilities=np.column_stack([1 - p, p]))
                    area = value(metric, side)
                    if not math.isfinite(area):
                        refused += 1
                        continue
                    scores = Scores(values={"roc_auc": area}, reasons={})
                    estimate = alone(metric, side, area, ready(metric, side)(weights)) if bound else None
                    held = Absolute(estimates={"roc_auc": estimate}, rows=rows, confidence=0.95, bound=True)
                    outcome = judge([Gate(metric="roc_auc", min=0.6)], scores, None, absolute=held if bound else None)[
                        0
                    ]
                    passed += outcome.state == "passed"
                    refused += bool(estimate and estimate.too_few)
                how = "bound" if bound else "estimate"
                what = f"roc_auc min 0.6 by {how}, {name}, {rows} rows, {share:.0%} positive"
                yield Cell(what=what, passed=passed, refused=refused, of=releases, level=bound and separation < 0.5)


def calibration(releases: int) -> Iterator[Cell]:
    """Hold a calibrated model, and models that are off, to `expected_calibration_error max 0.05`; refused is what is counted."""
    for rows in (50, 100, 200, 500, 2000):
        for off in (0.0, 0.03, 0.08, 0.15):
            plain = corrected = 0
            for number in range(releases):
                draw = np.random.default_rng([rows, int(off * 100), number])
                chance = draw.beta(2, 3, rows) * 0.85
                truth = (draw.random(rows) < chance + off).astype(int)
                given = np.column_stack([1 - chance, chance])
                bins = Bins.of(truth, given)
                plain += bins is not None and bins.plain > 0.05
                corrected += expected_calibration_error(truth, given) > 0.05
            what = f"expected_calibration_error max 0.05, {rows} rows, truly {off:g}: refused"
            yield Cell(what=f"{what}, plain mean", passed=plain, refused=0, of=releases, level=False)
            yield Cell(what=f"{what}, corrected", passed=corrected, refused=0, of=releases, level=off == 0)


def reuse(sequences: int, tries: int = 50, rows: int = 500) -> Iterator[Cell]:
    """Try challengers that are truly at the margin on one holdout until one passes; report and adjust."""
    from model_ci.judgement.reuse import level_of

    metric = metrics(["brier_score"])["brier_score"]
    _, margins = truths(0.2, ["brier_score"])
    first: dict[str, list[int]] = {"report": [], "adjust": []}
    levels = [level_of(0.95, k + 1) for k in range(tries)]
    for number in range(sequences):
        draw = np.random.default_rng([rows, number])
        truth = (draw.random(rows) < 0.2).astype(int)
        shared = draw.normal(size=rows)
        champion = _scored(
            truth, SEPARATION, shared * math.sqrt(ALIKE) + draw.normal(size=rows) * math.sqrt(1 - ALIKE), 0.2, 0.0
        )
        passed = {"report": tries, "adjust": tries}
        plan = Resampling(resamples=RESAMPLES, seed=number)
        weights = np.concatenate([*plan.weights(rows)])
        for k in range(tries):
            noise = shared * math.sqrt(ALIKE) + draw.normal(size=rows) * math.sqrt(1 - ALIKE)
            mine = _scored(truth, WORSE, noise, 0.2, 0.0)
            drawn = _drawn(metric, (mine, champion), weights, None)
            estimate = between(metric, mine, champion, value(metric, mine) - value(metric, champion), drawn)
            assert estimate
            p = estimate.chance_above(margins["brier_score"], 1)
            for name, level in (("report", 0.05), ("adjust", levels[k])):
                if p <= level and passed[name] == tries:
                    passed[name] = k
        for name, k in passed.items():
            first[name].append(k)
    for after in (1, 5, 10, 20, 50):
        for name, at in first.items():
            count = sum(k < after for k in at)
            what = f"any of {after} challengers at the margin passed on one holdout, reuse: {name}"
            yield Cell(what=what, passed=count, refused=0, of=sequences, level=name == "adjust" or after == 1)
