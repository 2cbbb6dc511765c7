"""The mathematics of a test of variants, against what can be computed another way."""

import math
from typing import Any

import numpy as np
import polars as pl
import pytest
from scipy.special import betaln

from model_ci.errors import ConfigError
from model_ci.stages.compare_variants import measures, ratio
from model_ci.stages.compare_variants.decision import Plan, Rail, decide
from model_ci.stages.compare_variants.estimate import estimate
from model_ci.stages.compare_variants.exposures import Exposures
from model_ci.stages.compare_variants.sequence import half_width

PLAN: dict[str, Any] = {
    "greater_is_better": True, "min_gain": 0.0, "rails": (), "level": 0.05, "mismatch_level": 0.001, "share": 0.5,
    "min_units": 50, "sharpest": 1000,
}  # fmt: skip


def test_the_bounds_are_those_of_the_paper() -> None:
    # Waudby-Smith et al. 2024, Theorem 2.2: sd * sqrt(2 (t rho^2 + 1) / (t^2 rho^2) * log(sqrt(t rho^2 + 1) / alpha)).
    t, sd, alpha, sharpest = 400.0, 1.7, 0.05, 1000
    # The paper's closed form for the best rho is approximate; ours is exact, so take ours from the width at the optimum.
    grid = np.geomspace(1e-4, 1e-1, 20_001)
    at = np.sqrt(2 * (sharpest * grid + 1) / (sharpest**2 * grid) * np.log(np.sqrt(sharpest * grid + 1) / alpha))
    rho2 = grid[at.argmin()]
    theirs = sd * math.sqrt(2 * (t * rho2 + 1) / (t**2 * rho2) * math.log(math.sqrt(t * rho2 + 1) / alpha))
    assert float(half_width(sd**2 / t, t, alpha, sharpest)) == pytest.approx(theirs, rel=1e-5)


def test_the_bounds_are_wider_than_those_of_one_look_and_close_in() -> None:
    units = np.array([100, 1_000, 10_000, 100_000])
    widths = half_width(1 / units, units, 0.05, 1000)
    assert (widths * np.sqrt(units) > 1.96 * 1.3).all()
    assert (np.diff(widths) < 0).all()


def test_rows_that_are_units_have_the_textbook_variance() -> None:
    draw = np.random.default_rng(0)
    values, treated = draw.normal(size=500), draw.random(500) < 0.3
    found = estimate(np.arange(500), treated, values)
    a, b = values[~treated], values[treated]
    assert found.difference == pytest.approx(b.mean() - a.mean())
    assert found.variance == pytest.approx(a.var(ddof=1) / len(a) + b.var(ddof=1) / len(b))
    assert (found.control.units, found.treatment.rows) == (len(a), len(b))


def test_rows_that_repeat_their_unit_tell_nothing_more() -> None:
    draw = np.random.default_rng(0)
    values, treated = draw.normal(size=500), draw.random(500) < 0.5
    once = estimate(np.arange(500), treated, values)
    thrice = estimate(np.repeat(np.arange(500), 3), np.repeat(treated, 3), np.repeat(values, 3))
    assert thrice.variance == pytest.approx(once.variance)
    assert thrice.units == once.units


@pytest.mark.parametrize("both", [False, True])
def test_the_variance_of_units_of_many_rows_is_what_simulation_finds(both: bool) -> None:
    draw = np.random.default_rng(1)
    differences, variances = [], []
    for _ in range(600):
        unit = draw.choice(200, size=1200, p=(w := draw.pareto(2, 200) + 0.3) / w.sum())
        treated = draw.random(1200) < 0.5 if both else (draw.random(200) < 0.5)[unit]
        habit = draw.normal(size=(200, 2)) @ np.array([[1.0, 0.4], [0.0, 0.6]])
        found = estimate(unit, treated, habit[unit, treated.astype(int)] + draw.normal(size=1200))
        differences.append(found.difference)
        variances.append(found.variance)
    assert np.mean(variances) == pytest.approx(np.var(differences), rel=0.2)


def test_no_failure_yet_is_no_proof_of_none_ever() -> None:
    found = estimate(np.arange(200), np.arange(200) % 2 == 1, np.zeros(200))
    assert found.treatment.variance == pytest.approx((1 / 102) * (101 / 102) / 102)


def test_the_sample_ratio_is_judged_by_the_odds_of_the_paper() -> None:
    treated = np.array([True] * 30 + [False] * 10)
    # Under shares of (0.5, 0.5) with a prior Beta(50, 50): the marginal likelihood against 2^-n.
    odds = [
        betaln(50 + k, 50 + n - k) - betaln(50, 50) + n * math.log(2)
        for n, k in zip(range(1, 41), np.cumsum(treated).tolist(), strict=True)
    ]
    assert ratio.p_values(treated, 0.5)[-1] == pytest.approx(math.exp(-max(0, *odds)))
    assert (np.diff(ratio.p_values(treated, 0.5)) <= 0).all()


def test_the_odds_have_mean_one_at_every_look_where_the_shares_are_right() -> None:
    # What makes the level hold under looking (Ville): all sequences of 8 units, each with its own chance.
    chance = 0.3
    mean = 0.0
    for bits in range(256):
        treated = np.array([bits >> i & 1 for i in range(8)], dtype=bool)
        hits = int(treated.sum())
        a, b = 100 * chance, 100 * (1 - chance)
        odds = math.exp(
            betaln(a + hits, b + 8 - hits) - betaln(a, b) - hits * math.log(chance) - (8 - hits) * math.log(1 - chance)
        )
        mean += chance**hits * (1 - chance) ** (8 - hits) * odds
        if odds > 1:
            assert ratio.p_values(treated, chance)[-1] <= 1 / odds + 1e-12
    assert mean == pytest.approx(1)


def exposures(treated: Any, *values: Any) -> Exposures:
    columns = {f"metric {i}": v for i, v in enumerate(values)}
    frame = pl.DataFrame({"unit": np.arange(len(treated)), "treated": treated, **columns})
    return Exposures(
        frame=frame, assigned=frame["treated"], unit="request", first=None, last=None, findings=(), versions={}
    )


@pytest.mark.parametrize(
    ("shift", "greater", "decision"), [(1, True, "promote"), (1, False, "roll back"), (-1, False, "promote"), (0, True, "keep running")]
)  # fmt: skip
def test_the_good_direction_is_the_metrics(shift: float, greater: bool, decision: str) -> None:
    draw = np.random.default_rng(0)
    treated = draw.random(2000) < 0.5
    judged = decide(
        exposures(treated, draw.normal(size=2000) + shift * treated),
        Plan(**PLAN | {"greater_is_better": greater}),
        ended=False,
    )
    assert judged["decision"] == decision
    low, high = judged["metric"]["interval"]
    assert low < (shift if greater else -shift) < high


@pytest.mark.parametrize(
    ("rail", "state"),
    [
        ({"limit": 0.5}, "passed"),
        ({"limit": -0.5}, "violated"),
        ({"limit": 0.01}, "undecided"),
        ({"limit": -0.5, "greater_is_better": True}, "passed"),
        ({"limit": 0.5, "greater_is_better": True}, "violated"),
        ({"margin": 0.5}, "passed"),
        ({"margin": 0.01}, "undecided"),
        ({"limit": 3.0, "quantile": 0.95}, "passed"),
        ({"limit": 1.0, "quantile": 0.95}, "violated"),
        ({"margin": 0.6, "quantile": 0.95}, "passed"),
    ],
)
def test_a_guard_rail_holds_or_breaks_in_its_direction(rail: dict[str, Any], state: str) -> None:
    draw = np.random.default_rng(0)
    treated = draw.random(4000) < 0.5
    empty: dict[str, Any] = {"greater_is_better": False, "quantile": None, "limit": None, "margin": None}
    plan = Plan(**PLAN | {"rails": (Rail(name="rail", **empty | rail),)})
    judged = decide(exposures(treated, draw.normal(size=4000) + treated, draw.normal(size=4000)), plan, ended=False)
    assert judged["guard_rails"][0]["state"] == state
    assert judged["decision"] == {"passed": "promote", "violated": "roll back", "undecided": "keep running"}[state]


def test_measures_compare_what_was_said_with_what_was_true() -> None:
    frame = pl.DataFrame(
        {"_prediction": ["a", "b", "a"], "_probability_0": [0.9, 0.2, 0.6], "_probability_1": [0.1, 0.8, 0.4],
         "_duration_ms": [1, 2, 3], "kind": ["a", "a", None]}
    )  # fmt: skip
    frame = pl.concat([frame, frame.with_columns(kind=pl.lit("b"))])

    def value(name: str) -> list[Any]:
        return measures.value(measures.resolve(name, None, "here"), frame, "kind").to_list()

    assert value("error") == [0, 1, None, 1, 0, 1]
    assert value("log_loss") == pytest.approx([-math.log(0.9), -math.log(0.2), None, -math.log(0.1), -math.log(0.8), -math.log(0.4)])  # fmt: skip
    assert value("brier_score") == pytest.approx([0.01, 0.64, None, 0.81, 0.04, 0.36])
    assert value("duration_ms") == [1, 2, 3, 1, 2, 3]
    with pytest.raises(ConfigError, match="holds String, no numbers"):
        value("absolute_error")


@pytest.mark.parametrize(
    ("prediction", "truth", "wrong"), [(1, 1.0, 0), (1, True, 0), ("1", 1, 0), (1.5, 2, 1), ("a", "b", 1)]
)
def test_labels_are_compared_whatever_they_are_written_as(prediction: Any, truth: Any, wrong: int) -> None:
    frame = pl.DataFrame({"_prediction": [prediction], "y": [truth]})
    assert measures.value(measures.resolve("error", None, "here"), frame, "y").to_list() == [wrong]


def test_classes_that_cannot_be_told_are_no_log_loss() -> None:
    frame = pl.DataFrame(
        {"_prediction": [0, 0], "_probability_0": [0.9, 0.2], "_probability_1": [0.1, 0.8], "y": [0, 0]}
    )
    with pytest.raises(ConfigError, match="the model has 2 classes, predictions and outcomes name 0"):
        measures.value(measures.resolve("log_loss", None, "here"), frame, "y")
