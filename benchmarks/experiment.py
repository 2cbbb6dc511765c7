"""How often a test of two variants is wrong when one looks after every batch: simulated tests whose truth is known.

Each test draws the units of two variants in the order of their arrival, and is looked at after every batch by the code
that decides about real ones, until it decides or ends. Beside it stands what one would write by hand: a t-test at the
same level at each look. Where nothing differs, any decision is false; a share of N tests has a standard error, and a level
counts as held when it is within two of them.
"""

import argparse
import math
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl
from scipy.stats import chi2, norm

from model_ci.stages.compare_variants.decision import Plan, Rail, decide
from model_ci.stages.compare_variants.estimate import Estimate, estimate
from model_ci.stages.compare_variants.exposures import Exposures
from model_ci.stages.compare_variants.ratio import p_values
from model_ci.stages.compare_variants.sequence import half_width

LEVEL: Final = 0.05
UNITS: Final = 10_000
FIRST: Final = 200  # units of each variant before the first look
BATCH: Final = 200
SHARPEST: Final = 5_000
Draw = Callable[[np.random.Generator, np.ndarray, float], np.ndarray]


@dataclass(frozen=True, kw_only=True)
class World:
    """Where tests come from: `draw` gives each row its value, its treatment being worth so much; `user` tells its user."""

    name: str
    draw: Draw
    effect: float
    share: float = 0.5
    clustered: bool = False


def yes_or_no(chance: float) -> Draw:
    """Rows that succeed with a chance."""
    return lambda draw, treated, effect: (draw.random(len(treated)) < chance + effect * treated).astype(float)


def heavy(draw: np.random.Generator, treated: np.ndarray, effect: float) -> np.ndarray:
    """Latencies: lognormal, so that one row in a hundred is ten times the median."""
    return np.exp(draw.normal(size=len(treated))) * (1 + effect * treated)


WORLDS: Final = (
    World(name="successes, 30 %", draw=yes_or_no(0.3), effect=0.03),
    World(name="rare errors, 1 %", draw=yes_or_no(0.01), effect=0.01),
    World(name="latencies, lognormal", draw=heavy, effect=0.1),
    World(name="successes, 30 %, split 90/10", draw=yes_or_no(0.3), effect=0.03, share=0.1),
    World(name="users who return, 30 %", draw=yes_or_no(0.3), effect=0.06, clustered=True),
)


def rows(world: World, draw: np.random.Generator, effect: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return units, treatment and values of one test, row by row."""
    if not world.clustered:
        treated = draw.random(UNITS) < world.share
        return np.arange(UNITS), treated, world.draw(draw, treated, effect)
    # A few users send most of the requests, and each is right or wrong in a way of its own.
    users = UNITS // 4
    weight = draw.pareto(1.5, users) + 0.2
    user = draw.choice(users, size=UNITS, p=weight / weight.sum())
    group, habit = draw.random(users) < world.share, draw.beta(1.5, 3.5, users)
    treated = group[user]
    return user, treated, (draw.random(UNITS) < habit[user] + effect * treated).astype(float)


def looks(world: World, test: tuple[np.ndarray, np.ndarray, np.ndarray]) -> Iterator[tuple[int, Estimate]]:
    """Yield what is known after each batch."""
    units, treated, values = test
    for end in range(BATCH, UNITS + 1, BATCH):
        found = estimate(units[:end], treated[:end], values[:end])
        if min(found.control.units, found.treatment.units) >= FIRST:
            yield end, found


def decided(found: Estimate) -> bool:
    """Decide as the stage does where there are no guard rails."""
    return bool(abs(found.difference) > half_width(found.variance, found.units, LEVEL, SHARPEST))


def by_hand(test: tuple[np.ndarray, np.ndarray, np.ndarray], end: int) -> bool:
    """Welch's t-test of the rows so far, as if it were the only look and no two rows had one user."""
    _, treated, values = (part[:end] for part in test)
    a, b = values[~treated], values[treated]
    error = math.sqrt(a.var(ddof=1) / len(a) + b.var(ddof=1) / len(b))
    return bool(error and abs(a.mean() - b.mean()) / error > norm.ppf(1 - LEVEL / 2))


def one(world: World, draw: np.random.Generator, effect: float) -> tuple[int | None, bool]:
    """Return at how many rows the test decided, if ever, and whether the t-tests would have."""
    test = rows(world, draw, effect)
    ours: int | None = None
    theirs = False
    for end, found in looks(world, test):
        ours = end if ours is None and decided(found) else ours
        theirs = theirs or by_hand(test, end)
        if ours is not None and theirs:
            break
    return ours, theirs


def _fixed(world: World) -> float:
    """Return the power of one look at the end, by simulation."""
    draw = np.random.default_rng(3)
    hits = 0
    for _ in range(200):
        found = estimate(*rows(world, draw, world.effect))
        hits += abs(found.difference) > norm.ppf(1 - LEVEL / 2) * math.sqrt(found.variance)
    return hits / 200


def held(share: float, level: float, tests: int) -> bool:
    """Tell whether a share of false decisions is within two standard errors of the level."""
    return share <= level + 2 * math.sqrt(level * (1 - level) / tests)


def worlds(tests: int) -> bool:
    """Print the false decisions and the power in each world; tell whether every level held."""
    print(
        "| world | false decisions | t-test at every look | effect | found | rows, median | found by one look at the end |"
    )
    print("|---|---|---|---|---|---|---|")
    fine = True
    for i, world in enumerate(WORLDS):
        draw = np.random.default_rng([1, i])
        null = [one(world, draw, 0.0) for _ in range(tests)]
        false = sum(ours is not None for ours, _ in null) / tests
        naive = sum(theirs for _, theirs in null) / tests
        real = [one(world, draw, world.effect)[0] for _ in range(max(tests // 10, 50))]
        ends = sorted(end for end in real if end is not None)
        middle = f"{ends[len(ends) // 2]:,}" if ends else "-"
        fine &= held(false, LEVEL, tests)
        print(
            f"| {world.name} | {false:.2%} | {naive:.1%} | {world.effect:+g} | {len(ends) / len(real):.0%} | {middle} | "
            f"{_fixed(world):.0%} |",
            flush=True,
        )
    return fine


def whole(tests: int) -> bool:
    """Print how often the whole decides falsely: metric, three guard rails, one of them at its edge, and the shares."""
    draw = np.random.default_rng(2)
    # A latency whose 95 % quantile is the limit itself, one whose margin is ample, and one whose margin is used up.
    rails = [
        Rail(name="p95", greater_is_better=False, quantile=0.95, limit=math.exp(norm.ppf(0.95)), margin=None),
        Rail(name="ample", greater_is_better=False, quantile=None, limit=None, margin=1.0),
        Rail(name="edge", greater_is_better=True, quantile=None, limit=None, margin=0.02),
    ]
    plan = Plan(
        greater_is_better=True, min_gain=0.0, rails=rails, level=LEVEL, mismatch_level=0.001, share=0.5,
        min_units=FIRST, sharpest=SHARPEST,
    )  # fmt: skip
    said: dict[str, int] = {}
    for _ in range(tests):
        treated = draw.random(UNITS // 2) < 0.5
        latency = heavy(draw, treated, 0.0)
        edge = (draw.random(len(treated)) < 0.3 - 0.02 * treated).astype(float)
        values = [yes_or_no(0.3)(draw, treated, 0.0), latency, latency, edge]
        columns = {f"metric {i}": v for i, v in enumerate(values)}
        frame = pl.DataFrame({"unit": np.arange(len(treated)), "treated": treated, **columns})
        for end in range(2 * BATCH, frame.height + 1, 2 * BATCH):
            seen = frame.head(end)
            exposures = Exposures(
                frame=seen, assigned=seen["treated"], unit="user", first=None, last=None, findings=(), versions={}
            )
            decision = decide(exposures, plan, ended=False)["decision"]
            if decision != "keep running":
                said[decision] = said.get(decision, 0) + 1
                break
    shares = {name: said.get(name, 0) / tests for name in ("promote", "roll back", "not trusted")}
    print("\n| whole test, nothing better, nothing worse than allowed | share |\n|---|---|")
    for name, share in shares.items():
        print(f"| {name} | {share:.2%} |")
    false = held(shares["promote"] + shares["roll back"], LEVEL, tests)
    return false and held(shares["not trusted"], 0.001, tests)


def shares(tests: int) -> bool:
    """Print how often sound shares are called unsound, by the p-value that holds at every look and by a chi-square test."""
    print(
        "\n| share of the treatment, 50 % meant | called unsound | chi-square at every look | units, median |\n|---|---|---|---|"
    )
    fine = True
    for real in (0.5, 0.48, 0.45):
        draw = np.random.default_rng([4, int(real * 100)])
        ours, theirs, ends = 0, 0, []
        many = np.arange(1, UNITS + 1)
        for _ in range(tests if real == 0.5 else max(tests // 10, 50)):
            treated = draw.random(UNITS) < real
            below = np.flatnonzero(p_values(treated, 0.5) <= LEVEL)
            ours += bool(len(below))
            ends += [int(below[0])] if len(below) else []
            statistic = (2 * np.cumsum(treated) - many) ** 2 / many
            theirs += bool((statistic[FIRST::BATCH] > chi2.ppf(1 - LEVEL, 1)).any())
        count = tests if real == 0.5 else max(tests // 10, 50)
        middle = f"{sorted(ends)[len(ends) // 2]:,}" if ends else "-"
        print(f"| {real:.0%} | {ours / count:.2%} | {theirs / count:.1%} | {middle} |", flush=True)
        if real == 0.5:
            fine = held(ours / count, LEVEL, count)
    return fine


def main(arguments: Sequence[str]) -> int:
    """Simulate; return 1 when a level did not hold."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-n", type=int, default=2000, help="tests in which nothing differs, of each kind")
    parser.add_argument("parts", nargs="*", choices=["worlds", "whole", "shares", []], default=[])
    options = parser.parse_args(arguments)
    parts = {"worlds": worlds, "whole": whole, "shares": shares}
    begin = time.process_time()
    fine = [parts[name](options.n) for name in options.parts or parts]
    print(f"\n{options.n} tests of each kind, {time.process_time() - begin:.0f} s CPU")
    return 0 if all(fine) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
