"""When a model is trained again: never without end, whatever happens."""

import json
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from model_ci.errors import ServiceError
from model_ci.git import Branch
from model_ci.records import history
from model_ci.records.history import Decision, History, Training
from model_ci.stages.retrain import causes, decision
from model_ci.stages.retrain.decision import Cause, Rules

START = datetime(2026, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)
RULES = Rules(cooldown_s=86400, budget=3, per_s=7 * 86400, patience=3)
DRIFT = Cause(kind="drift", what="3 columns", key="drift|1 a|d1")
ASKED = Cause(kind="demand", what="new labels", key="demand|1 a|d1")


def decided(day: float, *, retrain: bool = True, keys: tuple[str, ...] = (), resets: bool = False) -> Decision:
    return Decision(run_id=f"r{day}", at=START + day * DAY, retrain=retrain, keys=keys, resets=resets)


def trained(day: float, after: float | None = None, *, promoted: bool) -> Training:
    reason = "" if after is None else f"retrain r{after}: drift"
    return Training(run_id=f"t{day}", at=START + day * DAY, reason=reason, promoted=promoted)


def decide(past: History, day: float, *found: Cause, go_on: bool = False) -> decision.Decided:
    return decision.decide(found or (DRIFT,), past, START + day * DAY, RULES, go_on=go_on)


def held(found: decision.Decided) -> list[str]:
    return [h.by for h in found.held]


def test_without_a_past_a_cause_is_acted_on() -> None:
    found = decide(History(), 0)
    assert found.retrain
    assert not found.held


def test_without_a_cause_nothing_is_done() -> None:
    found = decision.decide([], History(), START, RULES, go_on=False)
    assert not found.retrain
    assert not found.held


def test_the_cooldown_ends_after_its_time() -> None:
    past = History(decisions=[decided(0, keys=("other",))])
    early = decide(past, 0.99)
    assert (early.retrain, held(early)) == (False, ["cooldown"])
    assert early.held[0].until == START + DAY
    assert decide(past, 1).retrain


def test_the_budget_is_of_a_sliding_week() -> None:
    past = History(
        decisions=[decided(day) for day in (0, 2, 4)],
        trainings=[trained(day + 0.1, day, promoted=True) for day in (0, 2, 4)],
    )
    full = decide(past, 6)
    assert (full.retrain, held(full)) == (False, ["budget"])
    assert full.held[0].until == START + 7 * DAY
    assert decide(past, 7).retrain


def test_the_same_reason_is_acted_on_once() -> None:
    past = History(decisions=[decided(0, keys=(DRIFT.key,))])
    again = decide(past, 10)
    assert (again.retrain, held(again)) == (False, ["duplicate"])
    assert decide(past, 10, Cause(kind="drift", what="3 columns", key="drift|1 a|d2")).retrain
    refused = History(decisions=[decided(0, keys=(DRIFT.key,), retrain=False)])
    assert decide(refused, 10).retrain


def test_the_breaker_opens_after_trainings_in_vain_and_a_person_closes_it() -> None:
    days = (0, 10, 20)
    past = History(decisions=[decided(day) for day in days], trainings=[trained(10.1, 10, promoted=False)])
    found = decide(past, 30)
    assert (found.retrain, held(found), found.without_gain) == (False, ["breaker"], 3)
    assert decide(past, 30, ASKED, go_on=True).retrain
    after = History(decisions=[*past.decisions, decided(30, resets=True)], trainings=past.trainings)
    assert after.without_gain() == 1
    assert decide(after, 40).retrain


@pytest.mark.parametrize("promotion", [trained(10.1, 10, promoted=True), trained(15, promoted=True)])
def test_a_gain_closes_the_breaker_whoever_trained(promotion: Training) -> None:
    past = History(decisions=[decided(day) for day in (0, 10, 20)], trainings=[promotion])
    assert past.without_gain() == 1


def test_time_that_went_back_holds_everything() -> None:
    assert held(decide(History(decisions=[decided(5)]), 0)) == ["cooldown"]


def state(**keys: Any) -> causes.Situation:
    data = causes.NewData(
        sha256="d", newest="2026-02-01", new_rows=keys.pop("new_rows", 10), new_s=keys.pop("new_s", 864e3)
    )
    told: dict[str, Any] = dict.fromkeys(("drift", "monitor", "demand"))
    return causes.Situation(**{"champion": "1 a", "data": data, "trained": START} | told | keys)


ALL = causes.Conditions(
    on=frozenset(("drift", "quality", "demand")), every_s=30 * 86400, new_rows=1000, new_s=28 * 86400
)
BROKEN = {"findings": [{"rule": "quality", "level": "failure", "where": "roc_auc", "what": "0.6 is below 0.7"}]}
LATE = {"findings": [{"rule": "limit", "level": "failure", "where": "latency_p95_ms", "what": "80 is above 50"}]}


@pytest.mark.parametrize(
    ("keys", "day", "kinds"),
    [
        ({}, 1, []),
        ({"champion": None}, 1, ["first"]),
        ({}, 30, ["schedule"]),
        ({"trained": None}, 0, ["schedule"]),
        ({"drift": {"state": "drift", "why": "2 columns"}}, 1, ["drift"]),
        ({"drift": {"state": "not judged", "why": "too few rows"}}, 1, []),
        ({"drift": {"state": "broken", "why": "no column"}}, 1, []),
        ({"monitor": BROKEN}, 1, ["quality"]),
        ({"monitor": LATE}, 1, []),
        ({"new_rows": 1000}, 1, ["data"]),
        ({"new_s": 28 * 86400.0}, 1, ["data"]),
        ({"new_rows": None, "new_s": None}, 1, []),
        ({"demand": "labels of May"}, 1, ["demand"]),
    ],
)
def test_each_cause_by_itself(keys: dict[str, Any], day: int, kinds: list[str]) -> None:
    assert [c.kind for c in causes.find(state(**keys), ALL, START + day * DAY)] == kinds


class Years(RuleBasedStateMachine):
    """Checks at any time, trainings that gain or not or vanish, people who ask: the promises hold all the while."""

    def __init__(self) -> None:
        super().__init__()
        self.now, self.number = START, 0
        self.decisions: list[Decision] = []
        self.trainings: list[Training] = []
        self.data = 0

    @rule(hours=st.integers(0, 24 * 9))
    def time_passes(self, hours: int) -> None:
        self.now += timedelta(hours=hours)

    @rule()
    def data_arrives(self) -> None:
        self.data += 1

    @rule(kinds=st.sets(st.sampled_from(["drift", "quality", "data", "schedule", "demand"])), person=st.booleans())
    def check(self, kinds: set[str], person: bool) -> None:
        found = [Cause(kind=kind, what="", key=f"{kind}|{self.data}") for kind in sorted(kinds)]
        past = History(decisions=list(self.decisions), trainings=list(self.trainings))
        go_on = person and "demand" in kinds
        vain = past.without_gain()
        answer = decision.decide(found, past, self.now, RULES, go_on=go_on)
        if answer.retrain:
            assert kinds, "trained without a cause"
            assert vain < RULES.patience or go_on, "the breaker was open"
        self.number += 1
        self.decisions.append(
            Decision(
                run_id=f"<{self.number}>", at=self.now, retrain=answer.retrain,
                keys=tuple(c.key for c in found), resets=go_on,
            )
        )  # fmt: skip

    @rule(promoted=st.booleans(), linked=st.booleans())
    def train(self, promoted: bool, linked: bool) -> None:
        chosen = [d for d in self.decisions if d.retrain]
        if linked and not chosen:
            return
        reason = f"retrain {chosen[-1].run_id}: x" if linked else ""
        self.trainings.append(Training(run_id="t", at=self.now, reason=reason, promoted=promoted))

    @invariant()
    def never_two_within_the_cooldown(self) -> None:
        times = [d.at for d in self.decisions if d.retrain]
        assert all(b - a >= timedelta(seconds=RULES.cooldown_s) for a, b in pairwise(times))

    @invariant()
    def the_budget_is_kept_in_every_week(self) -> None:
        times = [d.at for d in self.decisions if d.retrain]
        for last in times:
            week = [t for t in times if last - timedelta(seconds=RULES.per_s) < t <= last]
            assert len(week) <= RULES.budget

    @invariant()
    def a_lasting_reason_is_acted_on_once(self) -> None:
        lasting = [
            k for d in self.decisions if d.retrain for k in d.keys if k.startswith(("drift|", "quality|", "data|"))
        ]
        only = [
            d.keys
            for d in self.decisions
            if d.retrain and not {"schedule", "demand"} & {k.split("|")[0] for k in d.keys}
        ]
        seen: set[str] = set()
        for keys in only:
            assert not set(keys) <= seen, lasting
            seen |= set(keys)


TestYears = Years.TestCase
TestYears.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)


def write(root: Path, name: str, record: Any) -> None:
    folder = root / ".model-ci" / "runs" / name
    folder.mkdir(parents=True)
    (folder / "run.json").write_text(record if isinstance(record, str) else json.dumps(record))


def test_a_damaged_record_is_an_error_and_none_a_first_run(tmp_path: Path) -> None:
    branch = Branch(root=tmp_path, name="model-ci/records", remote="origin")
    config: Any = SimpleNamespace(root=tmp_path, file="model-ci.yaml", model=SimpleNamespace(name="shop"))
    run: Any = SimpleNamespace(id="x", record={"config": {"folder": ""}})
    assert history.read(config, run, branch, remote_needed=False) == History(decisions=[], trainings=[])
    write(tmp_path, "20260101T000000000Z-aa", '{"run_id": ')
    with pytest.raises(ServiceError, match=r"20260101T000000000Z-aa/run\.json: cannot be read"):
        history.read(config, run, branch, remote_needed=False)
