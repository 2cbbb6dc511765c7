"""How often the gates are wrong: simulated releases, whose truth is known, judged by the code that judges real ones.

Each release is a holdout drawn from a known distribution, with the predictions of a champion and of a challenger that
are correlated as those of real models are. The true difference is known exactly (by formula or quadrature), so the gate
can be put where a verdict is hardest: on the difference itself. There neither "passed" nor "worse" may come up more often
than 1 - confidence. A share of N releases has a standard error; a level counts as held when it is within two of them.
"""

import argparse
import ast
import hashlib
import json
import math
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import rare
from scipy.special import expit, ndtr
from scipy.stats import binom

from model_ci import gates
from model_ci.config import Gate
from model_ci.gates import sliced
from model_ci.gates.comparison import Resampling, differences, holm
from model_ci.gates.gate import Comparisons, judge, verdict
from model_ci.gates.metrics import Metric, measure, resolve
from model_ci.gates.outputs import Outputs, Scores
from model_ci.gates.slices import Slice

CONFIDENCE: Final = 0.95
NOMINAL: Final = 1 - CONFIDENCE
BAR: Final = 0.07  # of false acceptance on rare classes, few rows and heavy tails
RARE: Final = {"quick": False}
# rows -> (releases of classes, of numbers, resamples): fewer where each costs more, the least that the configuration allows.
SIZES: Final = {500: (5000, 5000, 500), 5_000: (2000, 10_000, 400), 50_000: (1000, 1000, 200)}
SLICES: Final = {100: 400, 200: 400, 500: 200}  # rows in each -> releases
MANY: Final = 5  # slices of a release
_JUDGES: Final = (
    "basis",
    "calibration",
    "comparison",
    "condition",
    "confusion",
    "estimate",
    "gap",
    "gate",
    "outputs",
    "proportion",
    "sliced",
    "weighted",
)  # what verdicts rest on
CELLS: Final = 250_000  # rows of all releases that share their resamples
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

    `margins` is how much worse the worse challenger truly is, by metric; `values` what an equal one truly has.
    """

    metrics: Mapping[str, Metric]
    margins: Mapping[str, float]
    values: Mapping[str, float]

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
    values = {"roc_auc": float(ndtr(SEPARATION / math.sqrt(2))), "log_loss": true_log_loss(SEPARATION)}
    return (
        Classes(metrics=found, margins={"roc_auc": drop, "log_loss": rise}, values=values),
        Numbers(metrics=mae, margins={"mean_absolute_error": RISE}, values={"mean_absolute_error": SPREAD}),
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
    def chance(self) -> float:
        """Return how often a level that is held looks at least as bad."""
        return 1.0 if self.level is None else float(binom.sf(self.count - 1, self.of, self.level))

    def __str__(self) -> str:
        mark = f"  p={self.chance:.4f}" if self.chance < NOMINAL else ""
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


class Counts:
    """What was counted, a part at a time; parts that a file has already are not simulated again."""

    def __init__(self, file: Path | None) -> None:
        self.file, self.known = file, {}
        for line in file.read_text(encoding="utf-8").splitlines() if file and file.exists() else ():
            part = json.loads(line)
            if part["code"] == _code():
                self.known[part["part"]] = part["counts"]

    def of(self, part: str, count: Callable[[], Mapping[str, int]]) -> Counter[str]:
        """Return what is counted in a part."""
        if part not in self.known:
            self.known[part] = dict(count())
            if self.file:
                with self.file.open("a", encoding="utf-8") as handle:
                    handle.write(json.dumps({"code": _code(), "part": part, "counts": self.known[part]}) + "\n")
        return Counter(self.known[part])


@cache
def _code() -> str:
    """Identify the gates' code, whatever its comments and line breaks are."""
    folder = Path(gates.__file__).parent
    trees = [ast.dump(ast.parse((folder / f"{name}.py").read_bytes())) for name in _JUDGES]
    return hashlib.sha256("".join(trees).encode()).hexdigest()[:16]


@dataclass(frozen=True, kw_only=True)
class Batch(Outputs):
    """One side of many releases that are judged on the same resamples, as those of a project with one seed are."""

    each: Sequence[Outputs]


def batch(sides: Sequence[Outputs]) -> Batch:
    """Put releases together; what is of all of them is nothing, and no metric asks for it."""
    nothing = np.zeros(len(sides[0].truth))
    return Batch(truth=nothing, labels=nothing, probabilities=None, each=sides)


def of_release(name: str, metric: Metric, number: int) -> Metric:
    """Return the metric of one release of a batch; its value is that of the resample that has every row once."""

    @cache
    def ready(side: int) -> Any:
        return metric.weighted(sides[side].each[number])

    sides: dict[int, Any] = {}

    def weighted(outputs: Any) -> Any:
        sides[id(outputs)] = outputs
        return ready(id(outputs))

    def value(outputs: Any) -> float:
        return float(weighted(outputs)(np.ones((1, len(outputs.truth))))[0])

    return Metric(name=name, function=value, weighted=weighted, greater_is_better=metric.greater_is_better)


def single(world: World, rows: int, releases: int, resamples: int, counts: Counts) -> Iterator[tuple[str, Share]]:
    """Judge releases by one gate at a time."""
    for truth, questions in QUESTIONS.items():
        many = releases if truth in (0, 1) else POWER
        size = min(many, max(1, CELLS // rows))
        limits = sorted({question[0] for question in questions})
        found: Counter[str] = Counter()
        for number, begin in enumerate(range(0, many, size)):
            here = min(size, many - begin)
            part = f"{type(world).__name__} {rows} rows, {resamples} resamples, truth {truth}, batch {number} of {here}"
            found += counts.of(part, partial(_judged, world, rows, resamples, truth, limits, number, here))
        for name in world.metrics:
            for limit, what, words, level in questions:
                count = sum(found[f"{name} {limit} {word}"] for word in words)
                yield name, Share(what=what, count=count, of=many, level=NOMINAL if level else None)


def _judged(
    world: World, rows: int, resamples: int, truth: float, limits: Sequence[float], number: int, many: int
) -> Counter[str]:
    draw = np.random.default_rng([rows, number, int(truth) + 9])
    pairs = [world.pair(draw, rows, truth) for _ in range(many)]
    sides = batch([mine for mine, _ in pairs]), batch([theirs for _, theirs in pairs])
    metrics = {
        f"{name}:{i}": of_release(f"{name}:{i}", metric, i)
        for i in range(many)
        for name, metric in world.metrics.items()
    }
    compared = compare(metrics, *sides, Resampling(resamples=resamples, seed=int(draw.integers(2**31))))
    found: Counter[str] = Counter()
    for name, metric in metrics.items():
        kind = name.partition(":")[0]
        for limit in limits:
            gate = gate_at(metric, limit * world.margins[kind])
            found[f"{kind} {limit} {said({name: metric}, sides, compared, gate)}"] += 1
    return found


def in_slices(world: World, rows: int, releases: int, resamples: int, counts: Counts) -> Iterator[tuple[str, Share]]:
    """Judge releases slice by slice, every slice of so many rows and of the same world."""
    for truth in (1, 0):
        found: Counter[str] = Counter()
        for number in range(0, releases, 100):
            part = (
                f"{type(world).__name__} {MANY} slices of {rows} rows, {resamples} resamples, truth {truth}, {number}"
            )
            found += counts.of(part, partial(_judged_in_slices, world, rows, resamples, truth, number))
        for name in world.metrics:
            slices, lines = releases * MANY, _IN_SLICES[truth]
            for key, what, of_slice, level in lines:
                of = slices if of_slice else releases
                yield name, Share(what=what, count=found[f"{name} {key}"], of=of, level=NOMINAL if level else None)


_IN_SLICES: Final = {
    1: [
        ("passed", "exactly at the margin: a slice passed", True, True),
        ("worse", "exactly at the margin: a slice called worse", True, True),
    ],
    0: [
        ("worse", "equal, margin 0: a slice called worse", True, True),
        ("beyond", "exactly at an absolute limit: a slice called failed", True, True),
        ("any worse", f"equal, margin 0: any of {MANY} slices called worse, with Holm", False, True),
        ("gap", "slices alike, no gap allowed: called failed", False, True),
    ],
}


def _judged_in_slices(world: World, rows: int, resamples: int, truth: float, first: int) -> Counter[str]:
    found: Counter[str] = Counter()
    parts = [Slice(name=str(i), rows=np.arange(i * rows, (i + 1) * rows)) for i in range(MANY)]
    for number in range(first, first + 100):
        draw = np.random.default_rng([rows, number, int(truth) + 9, MANY])
        mine, theirs = world.pair(draw, rows * MANY, truth)
        plan = Resampling(resamples=resamples, seed=int(draw.integers(2**31)))
        sides = sliced.Sides(challenger=mine, champion=theirs, first=False, plan=plan, confidence=CONFIDENCE)
        for name, metric in world.metrics.items():
            found.update(f"{name} {word}" for word in _of_slices(world, metric, parts, sides, truth))
    return found


def _of_slices(
    world: World, metric: Metric, parts: Sequence[Slice], sides: sliced.Sides, truth: float
) -> Iterator[str]:
    """Yield what the gates say of one release's slices; each slice also by itself, without the others' company."""
    least = {"by": "slice", "min_rows": 1, "metric": metric.name}
    relative, limit = ("max_drop", "min") if metric.greater_is_better else ("max_rise", "max")
    asked = {relative: truth * world.margins[metric.name]}
    if not truth:
        asked |= {limit: world.values[metric.name], "max_gap": 0.0}
    gate = Gate(**least, **asked)
    outcomes = {o.condition: o for o in sliced.judge(gate, metric, parts, sides)}
    for part in outcomes[relative].slices:
        yield {"within tolerance": "passed", "better": "passed"}.get(str(part.comparison), str(part.comparison))
    if truth:
        return
    yield from ("beyond" for part in outcomes[limit].slices if _sure(gate, part))
    alone = Gate(**least, **{relative: 0.0})
    empty = Scores(values={}, reasons={})
    if judge([alone], empty, empty, sliced={alone: [outcomes[relative]]})[0].comparison == "worse":
        yield "any worse"
    if _sure(gate, outcomes["max_gap"]):
        yield "gap"


def _sure(gate: Gate, outcome: Any) -> bool:
    """Tell whether a failure is more than chance, were it the only test."""
    return bool(outcome.state == "failed" and outcome.chance <= NOMINAL)


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
    parser.add_argument("parts", nargs="*", help=f"only these of {', '.join(_PARTS)}")
    parser.add_argument("--keep", type=Path, help="file that counts are kept in, to go on with")
    parser.add_argument(
        "--quick", action="store_true", help="a tenth of the releases of rare classes, tails and holdouts"
    )
    arguments = parser.parse_args()
    RARE.update(quick=arguments.quick)
    if unknown := set(arguments.parts) - set(_PARTS):
        parser.error(f"no such part: {', '.join(sorted(unknown))}; there are {', '.join(_PARTS)}")
    counts = Counts(arguments.keep)
    shares = [share for name in arguments.parts or _PARTS for share in _PARTS[name](counts)]
    levels = [share for share in shares if share.level is not None]
    missed = [s for s, bad in zip(levels, holm([s.chance for s in levels], NOMINAL), strict=True) if bad]
    apart = sum(share.value > NOMINAL + 2 * share.error for share in levels)
    print(
        f"\n{len(levels)} levels of {NOMINAL:.0%}, {len(missed)} not held (Holm); "
        f"{apart} more than two standard errors above, {len(levels) * float(ndtr(-2)):.1f} would be by chance; "
        f"{time.process_time():.0f} s of CPU",
        *(f"NOT HELD: {share}" for share in missed),
        sep="\n",
    )
    return int(bool(missed))


def _size(rows: int, counts: Counts) -> list[Share]:
    of_classes, of_numbers, resamples = SIZES[rows]
    return _by_metric(
        f"{rows:,} rows, {resamples} resamples",
        lambda w: single(w, rows, of_classes if isinstance(w, Classes) else of_numbers, resamples, counts),
    )


def _slices(counts: Counts) -> list[Share]:
    shares = []
    for rows, releases in SLICES.items():
        title = f"{MANY} slices of {rows} rows, 500 resamples"
        shares += _by_metric(title, lambda w, r=rows, n=releases: in_slices(w, r, n, 500, counts))
    return shares


def _several(_: Counts) -> list[Share]:
    return _print("several gates, 500 rows", [s for k in (5, 20) for s in together(k, 500, 1000, 1000)])


def _blocks(_: Counts) -> list[Share]:
    plans = [(many, whole) for many in (20, 50, 200) for whole in (False, True)]
    found = [s for many, whole in plans for s in in_blocks(10, many, 2000, 1000, whole)]
    return _print("rows that belong together", found)


def _rare(part: str, releases: int, count: Callable[[int], Iterator[rare.Cell]]) -> Callable[[Counts], list[Share]]:
    """Return what counts a part of rare.py: at most 7 % may pass where the challenger is truly at the margin."""

    def shares(counts: Counts) -> list[Share]:
        many = releases // 10 if RARE["quick"] else releases
        kept = counts.of(
            f"{part} of {many}", lambda: {json.dumps([c.what, c.of, c.level, c.refused]): c.passed for c in count(many)}
        )
        found = []
        for text, passed in kept.items():
            what, of, level, refused = json.loads(text)
            few = f", too few rows in {refused / of:.0%}" if refused else ""
            found.append(Share(what=f"{what}{few}", count=passed, of=of, level=BAR if level else None))
        return _print(part, found)

    return shares


def _by_metric(title: str, simulate: Callable[[World], Iterator[tuple[str, Share]]]) -> list[Share]:
    shares: list[Share] = []
    for world in worlds():
        by_metric: dict[str, list[Share]] = {}
        for name, share in simulate(world):
            by_metric.setdefault(name, []).append(share)
        for name, found in by_metric.items():
            shares += _print(f"{name}, {title}, margin {world.margins[name]:.4f}", found)
    return shares


def _print(title: str, shares: list[Share]) -> list[Share]:
    print(f"\n{title}", *(f"  {share}" for share in shares), sep="\n", flush=True)
    return shares


_PARTS: Final[Mapping[str, Callable[[Counts], list[Share]]]] = {
    **{str(rows): (lambda counts, r=rows: _size(r, counts)) for rows in SIZES},
    "slices": _slices,
    "several": _several,
    "blocks": _blocks,
    "labels": _rare("labels", 2000, partial(rare.small, part="labels")),
    "scores": _rare("scores", 2000, partial(rare.small, part="scores")),
    "tails": _rare("tails", 2000, rare.tails),
    "absolute": _rare("absolute", 2000, rare.absolute),
    "calibration": _rare("calibration", 2000, rare.calibration),
    "reuse": _rare("reuse", 1000, rare.reuse),
}

if __name__ == "__main__":
    sys.exit(main())
