"""How often the gates are wrong: simulated releases, whose truth is known, judged by the code that judges real ones.

Each release is a holdout drawn from a known distribution, with the predictions of a champion and of a challenger that
are correlated as those of real models are. The true difference is known exactly (by formula or quadrature), so the gate
can be put where a verdict is hardest: on the difference itself. There neither "passed" nor "worse" may come up more often
than 1 - confidence. A share of N releases has a standard error; a level counts as held when it is within two of them.
"""

import argparse
import math
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy.special import expit, ndtr

from model_ci.config import Gate
from model_ci.gates.comparison import Resampling, differences
from model_ci.gates.gate import Comparisons, judge, verdict
from model_ci.gates.metrics import Metric, measure, resolve
from model_ci.gates.outputs import Outputs

CONFIDENCE: Final = 0.95
NOMINAL: Final = 1 - CONFIDENCE
# rows -> (releases, resamples): fewer resamples where each costs more, the least that the configuration allows.
SIZES: Final = {500: (2000, 500), 5_000: (1000, 400), 50_000: (1000, 200)}
POWER: Final = 100  # releases where the challenger is far from the margin: no chance is close to a level there
SEPARATION: Final = 1.2  # of the classes, in standard deviations: a ROC AUC of 0.80
WORSE_SEPARATION: Final = 1.153  # 0.0094 of ROC AUC less
POSITIVE: Final = 0.2
ALIKE: Final = 0.8  # correlation of the two models' errors
RISE: Final = 0.03  # of MAE
SPREAD: Final = math.sqrt(3) / (math.pi / 2)  # mean of |t| with three degrees of freedom: 1.1027


@dataclass(frozen=True, kw_only=True)
class World:
    """Where releases come from: draws both models' outputs on so many rows.

    `margins` is how much worse the worse challenger truly is, by metric.
    """

    metrics: Mapping[str, Metric]
    margins: Mapping[str, float]

    def pair(self, draw: np.random.Generator, rows: int, margins: float) -> tuple[Outputs, Outputs]:
        """Return challenger and champion, the challenger truly worse by so many margins (better, when negative)."""
        raise NotImplementedError


class Classes(World):
    """Two normal scores per row, given the class, turned into the exact probability of it given each score."""

    def pair(self, draw: np.random.Generator, rows: int, margins: float) -> tuple[Outputs, Outputs]:
        truth = (draw.random(rows) < POSITIVE).astype(int)
        noise = draw.normal(size=rows) * math.sqrt(ALIKE)
        own = draw.normal(size=(2, rows)) * math.sqrt(1 - ALIKE)
        challenger = SEPARATION - margins * (SEPARATION - WORSE_SEPARATION)
        return _scored(truth, challenger, noise + own[0]), _scored(truth, SEPARATION, noise + own[1])


class Numbers(World):
    """Errors with heavy tails, t with three degrees of freedom: hard rows are hard for both models."""

    def pair(self, draw: np.random.Generator, rows: int, margins: float) -> tuple[Outputs, Outputs]:
        scale = np.sqrt(3 / draw.chisquare(3, rows))
        truth = draw.normal(size=rows)
        noise = draw.normal(size=rows) * math.sqrt(ALIKE)
        mine, theirs = scale * (noise + draw.normal(size=(2, rows)) * math.sqrt(1 - ALIKE))
        mine *= 1 + margins * RISE / SPREAD
        return tuple(Outputs(truth=truth, labels=truth + e, probabilities=None) for e in (mine, theirs))  # type: ignore[return-value]


def _scored(truth: np.ndarray, separation: float, noise: np.ndarray) -> Outputs:
    odds = math.log(POSITIVE / (1 - POSITIVE))
    p = expit(separation * (separation * truth + noise) - separation**2 / 2 + odds)
    return Outputs(truth=truth, labels=(p > 0.5).astype(int), probabilities=np.column_stack([1 - p, p]))


def true_log_loss(separation: float) -> float:
    """Return the expected log loss of the exact probabilities, by Gauss-Hermite quadrature."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(100)
    odds, total = math.log(POSITIVE / (1 - POSITIVE)), 0.0
    for label, share in ((1, POSITIVE), (0, 1 - POSITIVE)):
        logit = separation * (separation * label + nodes) - separation**2 / 2 + odds
        total += share * float(weights @ np.logaddexp(0, -logit if label else logit)) / math.sqrt(2 * math.pi)
    return total


def worlds() -> tuple[Classes, Numbers]:
    """Return both worlds with their true margins."""
    found = {name: resolve(name, "binary", _no_code) for name in ("roc_auc", "log_loss")}
    drop = float(ndtr(SEPARATION / math.sqrt(2)) - ndtr(WORSE_SEPARATION / math.sqrt(2)))
    rise = true_log_loss(WORSE_SEPARATION) - true_log_loss(SEPARATION)
    mae = {"mean_absolute_error": resolve("mean_absolute_error", "regression", _no_code)}
    return (
        Classes(metrics=found, margins={"roc_auc": drop, "log_loss": rise}),
        Numbers(metrics=mae, margins={"mean_absolute_error": RISE}),
    )


def _no_code(name: str) -> None:
    raise AssertionError(name)


def gate_at(metric: Metric, limit: float) -> Gate:
    """Return the gate of non-inferiority with this margin."""
    return Gate(metric=metric.name, **{"max_drop" if metric.greater_is_better else "max_rise": limit})


def compare(metrics: Mapping[str, Metric], challenger: Outputs, champion: Outputs, plan: Resampling) -> Comparisons:
    """Resample both models as an evaluation does."""
    found = differences(metrics, challenger, champion, plan)
    return Comparisons(differences=found, rows=len(champion.truth), confidence=CONFIDENCE, blocks=plan.many)


def said(metrics: Mapping[str, Metric], pair: tuple[Outputs, Outputs], compared: Comparisons, gate: Gate) -> str:
    """Return what one gate says of one release: the comparison, and the verdict must agree with it."""
    mine, theirs = (measure(metrics, side) for side in pair)
    outcomes = judge([gate], mine, theirs, compared)
    passed = verdict(outcomes)[0] == "passed"
    comparison = str(outcomes[0].comparison)
    assert passed == (comparison in ("better", "within tolerance"))
    return comparison


@dataclass(frozen=True, kw_only=True)
class Share:
    """How often something was said, and what is allowed; None: a power, which has no level."""

    what: str
    count: int
    of: int
    level: float | None = NOMINAL

    @property
    def value(self) -> float:
        """Return the share."""
        return self.count / self.of

    @property
    def error(self) -> float:
        """Return its standard error, at the level where there is one."""
        at = self.value if self.level is None else self.level
        return math.sqrt(at * (1 - at) / self.of)

    @property
    def held(self) -> bool:
        """Tell whether chance explains what is above the level."""
        return self.level is None or self.value <= self.level + 2 * self.error

    def __str__(self) -> str:
        mark = "" if self.held else " NOT HELD"
        return f"{self.what:<58} {self.value:7.2%}  ±{self.error:.2%}  of {self.of}{mark}"


# Truth in margins below the champion -> what is judged: (limit in margins, label, what counts, whether it has a level).
PASSED: Final = ("better", "within tolerance")
QUESTIONS: Final[Mapping[float, Sequence[tuple[float, str, tuple[str, ...], bool]]]] = {
    1: [
        (1, "exactly at the margin: passed (false acceptance)", PASSED, True),
        (1, "exactly at the margin: called worse (false rejection)", ("worse",), True),
        (1, "exactly at the margin: inconclusive", ("inconclusive",), False),
    ],
    0: [
        (1, "equal: called worse (false rejection)", ("worse",), True),
        (1, "equal: called better", ("better",), True),
        (0, "equal, margin 0: called worse (false rejection)", ("worse",), True),
        (1, "equal: passed", PASSED, False),
        (1, "equal: inconclusive", ("inconclusive",), False),
    ],
    2: [(1, "two margins worse: called worse", ("worse",), False), (1, "two margins worse: passed", PASSED, True)],
    -1: [(1, "one margin better: passed", PASSED, False), (1, "one margin better: called worse", ("worse",), True)],
}


def single(world: World, rows: int, releases: int, resamples: int) -> Iterator[tuple[str, Share]]:
    """Judge releases by one gate at a time."""
    for truth, questions in QUESTIONS.items():
        many = releases if truth in (0, 1) else POWER
        counts: Counter[tuple[str, float, str]] = Counter()
        for i in range(many):
            draw = np.random.default_rng([rows, i, int(truth) + 9])
            pair = world.pair(draw, rows, truth)
            compared = compare(world.metrics, *pair, Resampling(resamples=resamples, seed=int(draw.integers(2**31))))
            for name, metric in world.metrics.items():
                for limit in {question[0] for question in questions}:
                    gate = gate_at(metric, limit * world.margins[name])
                    counts[name, limit, said({name: metric}, pair, compared, gate)] += 1
        for name in world.metrics:
            for limit, what, words, level in questions:
                count = sum(counts[name, limit, word] for word in words)
                yield name, Share(what=what, count=count, of=many, level=NOMINAL if level else None)


def together(gates: int, rows: int, releases: int, resamples: int) -> list[Share]:
    """Judge an equal challenger by several gates at once, each metric over a noisy view of the same rows.

    The margins are 0, so that every gate alone is wrong as often as its level allows.
    """
    metrics = {f"m{i}": _view(i) for i in range(gates)}
    asked = [gate_at(metric, 0.0) for metric in metrics.values()]
    found: Counter[str] = Counter()
    for i in range(releases):
        draw = np.random.default_rng([rows, i, gates])
        pair = _views(draw, rows, gates)
        compared = compare(metrics, *pair, Resampling(resamples=resamples, seed=int(draw.integers(2**31))))
        mine, theirs = (measure(metrics, side) for side in pair)
        found["holm"] += any(o.comparison == "worse" for o in judge(asked, mine, theirs, compared))
        found["alone"] += any(judge([gate], mine, theirs, compared)[0].comparison == "worse" for gate in asked)
    return [
        Share(what=f"{gates} gates, equal: any called worse, with Holm", count=found["holm"], of=releases),
        Share(
            what=f"{gates} gates, equal: any called worse, each alone", count=found["alone"], of=releases, level=None
        ),
    ]


def _view(column: int) -> Metric:
    from model_ci.gates.weighted import by_rows

    return Metric(
        name=f"m{column}",
        function=lambda outputs: float(np.abs(outputs.truth - outputs.labels[:, column]).mean()),
        weighted=lambda outputs: by_rows(np.abs(outputs.truth - outputs.labels[:, column])),
        greater_is_better=False,
    )


def _views(draw: np.random.Generator, rows: int, columns: int) -> tuple[Outputs, Outputs]:
    """Return both models' outputs with one column a metric; the metrics' differences are correlated (0.5)."""
    truth, sides = draw.normal(size=rows), []
    for _ in range(2):
        errors = draw.normal(size=(rows, 1)) * math.sqrt(0.7) + draw.normal(size=(rows, columns)) * math.sqrt(0.3)
        sides.append(Outputs(truth=truth, labels=truth[:, None] + errors, probabilities=None))
    return sides[0], sides[1]


def in_blocks(rows_a_block: int, blocks: int, releases: int, resamples: int, drawn_whole: bool) -> list[Share]:
    """Judge by MAE where the rows of a block share half of what makes them hard, drawn with their block or without it."""
    rows = rows_a_block * blocks
    block = np.repeat(np.arange(blocks), rows_a_block)
    metric = resolve("mean_absolute_error", "regression", _no_code)
    found: Counter[str] = Counter()
    for i in range(releases):
        draw = np.random.default_rng([rows, blocks, i])
        truth = draw.normal(size=rows)
        sides = []
        for _ in range(2):
            scale = np.exp(0.7 * draw.normal(size=blocks)[block])
            sides.append(Outputs(truth=truth, labels=truth + scale * draw.normal(size=rows), probabilities=None))
        plan = Resampling(resamples=resamples, seed=int(draw.integers(2**31)), blocks=block if drawn_whole else None)
        pair = (sides[0], sides[1])
        metrics = {metric.name: metric}
        found[said(metrics, pair, compare(metrics, *pair, plan), gate_at(metric, 0.0))] += 1
    how = "drawn whole" if drawn_whole else "ignored"
    level = NOMINAL if drawn_whole else None
    label = f"{blocks} blocks of {rows_a_block} rows, {how}, equal, margin 0"
    passed = sum(found[word] for word in PASSED)
    return [
        Share(what=f"{label}: passed", count=passed, of=releases, level=level),
        Share(what=f"{label}: worse", count=found["worse"], of=releases, level=level),
    ]


def main() -> int:
    """Simulate and print; return 1 when a level is not held."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "rows", nargs="*", type=int, default=[], help="only these of 500, 5000, 50000 and 0 (several gates, blocks)"
    )
    chosen = parser.parse_args().rows or [*SIZES, 0]
    shares: list[Share] = []
    for rows in chosen:
        if not rows:
            shares += _print("several gates, 500 rows", [s for k in (5, 20) for s in together(k, 500, 1000, 1000)])
            plans = [(many, whole) for many in (20, 50, 200) for whole in (False, True)]
            found = [s for many, whole in plans for s in in_blocks(10, many, 2000, 1000, whole)]
            shares += _print("rows that belong together", found)
            continue
        releases, resamples = SIZES[rows]
        for world in worlds():
            by_metric: dict[str, list[Share]] = {}
            for name, share in single(world, rows, releases, resamples):
                by_metric.setdefault(name, []).append(share)
            for name, found in by_metric.items():
                title = f"{name}, {rows:,} rows, {resamples} resamples, margin {world.margins[name]:.4f}"
                shares += _print(title, found)
    missed = sum(not share.held for share in shares)
    print(
        f"{sum(s.level is not None for s in shares)} levels of {NOMINAL:.0%}, {missed} not held; {time.process_time():.0f} s of CPU"
    )
    return int(missed > 0)


def _print(title: str, shares: list[Share]) -> list[Share]:
    print(f"\n{title}", *(f"  {share}" for share in shares), sep="\n", flush=True)
    return shares


if __name__ == "__main__":
    sys.exit(main())
