"""The table of conditions: every place that lists, judges, watches or shows a condition does so for each of them."""

import sys
from collections.abc import Iterator
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest

from model_ci.config import Gate
from model_ci.config import conditions as table
from model_ci.config.conditions import CONDITIONS, Condition, Judged, compares, tolerates
from model_ci.frozen import dataclass
from model_ci.gates.condition import opened
from model_ci.gates.gate import judge, verdict
from model_ci.gates.outputs import Scores
from model_ci.schema import load_schema
from model_ci.stages.evaluate import section
from model_ci.stages.monitor import over_time
from model_ci.terms import State

ROOT = Path(__file__).parents[2]
NOT_CONDITIONS = {"metric", "by", "bins", "min_rows"}
PLAIN = [c for c in CONDITIONS.values() if c.judged is not Judged.GAP]
FAKE = Condition(name="max_fake_drop", means="For this test.", judged=Judged.DIFFERENCE, sign=1)


@dataclass(frozen=True, kw_only=True)
class FakeGate(Gate):
    max_fake_drop: float | None = None


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[Condition]:
    """A condition that nobody but the table knows."""
    monkeypatch.setitem(table.CONDITIONS, FAKE.name, FAKE)  # type: ignore[arg-type]
    yield FAKE


def scores(value: float) -> Scores:
    return Scores(values={"auc": value}, reasons={})


def judged(gate: Gate, mine: float, theirs: float | None) -> dict[str, Any]:
    (outcome,) = judge([gate], scores(mine), None if theirs is None else scores(theirs))
    return outcome.as_record()


def of(condition: Condition, limit: float) -> Gate:
    return FakeGate(metric="auc", **{condition.name: limit})  # type: ignore[arg-type]


def test_a_gate_has_a_field_for_every_condition() -> None:
    assert {field.name for field in fields(Gate)} - NOT_CONDITIONS == set(CONDITIONS)


@pytest.mark.parametrize("name", ["config", "run"])
def test_the_schemas_have_the_conditions_as_the_table_has_them(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    import conditions_schema

    text = (ROOT / "schemas" / f"{name}.schema.json").read_text(encoding="utf-8")
    assert conditions_schema.written(name, text) == text, "run `make readme`"
    sys.modules.pop("conditions_schema")


def test_a_condition_of_the_table_reaches_both_schemas(fake: Condition, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    import conditions_schema

    for name, places in (("config", 2), ("run", 1)):
        text = (ROOT / "schemas" / f"{name}.schema.json").read_text(encoding="utf-8")
        assert conditions_schema.written(name, text).count(f'"{fake.name}"') >= places
    sys.modules.pop("conditions_schema")
    assert set(load_schema("config")["$defs"]["gate"]["properties"]) - NOT_CONDITIONS == set(CONDITIONS) - {fake.name}


@pytest.mark.parametrize("condition", [*PLAIN, FAKE], ids=lambda c: c.name)
def test_every_condition_is_judged_watched_and_shown(condition: Condition, fake: Condition) -> None:
    # far on the good side, and far on the bad one
    good, bad = (0.9, 0.1) if condition.sign >= 0 else (0.1, 0.9)
    gate = of(condition, 0.3)
    passed, failed = judged(gate, good, 0.5), judged(gate, bad, 0.5)
    assert (passed["state"], failed["state"]) == (State.PASSED, State.FAILED)
    first = judged(gate, good, None)
    assert first["state"] == (State.NO_CHAMPION if condition.compares else State.PASSED)
    assert verdict(judge([gate], scores(good), None))[0] == ("failed" if condition.compares else "passed")

    for record in (passed, failed):
        bar = section._bar(record, {"auc": {"greater_is_better": True}})
        assert bar is not None
        assert (bar.value >= bar.limit) == (bar.above == (record["state"] == State.PASSED))
        assert bar.difference == condition.compares

    ((over, finding),) = over_time.judge([[over_time.sure(failed, (bad, bad))]], 1)
    assert over["state"] == State.FAILED
    assert finding is not None and finding.rule == "quality"
    assert (over["champion"] is not None) == condition.compares
    without = over_time.judge([[{**failed, "champion": None, "difference": None}]], 1)
    assert [found.rule for _, found in without if found] == ["reference" if condition.compares else "quality"]


def test_the_names_that_selftest_asks_for_are_those_of_the_table() -> None:
    assert {name for name in CONDITIONS if compares(name)} == {
        n for n, c in CONDITIONS.items() if c.judged is Judged.DIFFERENCE
    }
    assert {name for name in CONDITIONS if compares(name) and not tolerates(name)} == {"min_gain"}
    assert not compares("own") and not tolerates("own")


SHARES = [c for c in CONDITIONS.values() if c.share]


@pytest.mark.parametrize(
    ("name", "mine", "theirs", "state"),
    [
        ("max_relative_drop", 0.76, 0.8, "passed"),  # exactly 5 % less
        ("max_relative_drop", 0.7599, 0.8, "failed"),
        ("max_relative_drop", 0.9, 0.8, "passed"),
        ("max_relative_drop", 0.0, 0.8, "failed"),
        ("max_relative_rise", 42.0, 40.0, "passed"),
        ("max_relative_rise", 42.001, 40.0, "failed"),
        ("max_relative_rise", 0.0, 40.0, "passed"),
    ],
)
def test_a_share_of_the_champions_value(name: str, mine: float, theirs: float, state: str) -> None:
    assert judged(of(CONDITIONS[name], 0.05), mine, theirs)["state"] == state


@pytest.mark.parametrize("condition", SHARES, ids=lambda c: c.name)
@pytest.mark.parametrize(
    ("mine", "theirs", "words"),
    [
        (0.0, 0.0, "the champion's value is 0, and a share needs one above 0"),
        (0.5, 0.0, "the champion's value is 0,"),
        (0.5, -0.5, "the champion's value is -0.5,"),
        (-0.5, -0.5, "the champion's value is -0.5,"),
        (-0.5, 0.5, "the model's value is -0.5, which is no share of the champion's 0.5"),
    ],
)
def test_a_share_of_nothing_never_passes(condition: Condition, mine: float, theirs: float, words: str) -> None:
    record = judged(of(condition, 0.9), mine, theirs)
    assert record["state"] == State.FAILED
    assert words in record["reason"]
    assert record["reason"].endswith(f"use max_{'drop' if condition.sign > 0 else 'rise'}")
    (over,) = over_time.judge([[record]], 1)
    assert over[1] is not None and over[1].rule == "reference"


def test_a_share_is_shown_in_both_measures() -> None:
    record = judged(of(CONDITIONS["max_relative_drop"], 0.1), 0.6, 0.8)
    assert record["reason"] == "0.2 lower than the champion, 0.08 (0.1 of 0.8) allowed"
    bar = section._bar(record, {})
    assert bar is not None and bar.limit == pytest.approx(-0.08) and bar.above


def test_a_gain_is_in_the_direction_of_the_metric() -> None:
    gate = Gate(metric="loss", min_gain=0.1)
    start = opened(gate, CONDITIONS["min_gain"], ["loss"])
    assert start.sign == -1
    assert replace(start, sign=1) == opened(gate, CONDITIONS["min_gain"], [])
