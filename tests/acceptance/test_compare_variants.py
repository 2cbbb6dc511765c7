"""`model-ci compare-variants` through its front door: what it decides, and what it refuses to decide on."""

import json
import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from model_ci import report

Command = Callable[..., Any]
START = datetime(2026, 3, 1, tzinfo=UTC)


def run_test(root: Path, users: int = 1500, better: float = 0.0, share: float = 0.5, **other: Any) -> None:
    """Log two variants that answer three requests of each user; the challenger errs less often by `better`."""
    draw, lines, labels = random.Random(7), [], ["request_id,sold"]
    versions = other.get("versions", {"champion": "3", "challenger": "4"})
    for i in range(users):
        variant = "challenger" if draw.random() < share else "champion"
        wrong = 0.3 - (better if variant == "challenger" else 0)
        for j in range(3):
            said = draw.randint(0, 1)
            labels.append(f"r{i}-{j},{1 - said if draw.random() < wrong else said}")
            slow = other.get("slower", 0) if variant == "challenger" else 0
            line = {
                "time": (START + timedelta(seconds=10 * i + j)).isoformat(timespec="milliseconds"),
                "request_id": f"r{i}-{j}", "variant": variant, "version": versions[variant],
                "user": f"u{i}", "route": "/invocations", "columns": ["size"], "inputs": [[draw.random()]],
                "outputs": [said], "probabilities": [[0.5, 0.5]], "duration_ms": 10 + slow + draw.expovariate(0.5),
            }  # fmt: skip
            lines.append(json.dumps(line))
    (root / "log").mkdir(exist_ok=True)
    (root / "log" / "predictions-20260301T000000Z-a-1-0.jsonl").write_text("\n".join(lines) + "\n")
    (root / "labels.csv").write_text("\n".join(labels) + "\n")


@pytest.fixture
def tried(project: Any) -> Any:
    """Configure a test of errors."""
    project.configure(compare_variants={"predictions": "log", "outcomes": "labels.csv", "metric": "error"})
    return project


def section(project: Any) -> dict[str, Any]:
    return project.record()["stages"]["compare-variants"]  # type: ignore[no-any-return]


def test_a_better_variant_is_promoted(tried: Any, command: Command) -> None:
    run_test(tried.root, better=0.15)
    tried.configure(compare_variants={"guard_rails": [{"metric": "duration_ms", "statistic": "p95", "limit": 25}]})
    answer = command(tried.root, "compare-variants")
    assert answer.code == 0, answer.text
    found = section(tried)
    assert (found["decision"], found["verdict"], found["unit"]) == ("promote", "passed", "user")
    assert found["metric"]["interval"][0] > 0
    assert found["metric"]["rows"] == [3 * n for n in found["metric"]["units"]]
    assert "and every guard rail holds" in answer.out


def test_a_worse_variant_is_rolled_back(tried: Any, command: Command) -> None:
    run_test(tried.root, better=-0.15)
    answer = command(tried.root, "compare-variants")
    assert answer.code == 3, answer.text
    assert section(tried)["decision"] == "roll back"
    assert tried.record()["verdict"] == "failed"
    (refusal,) = report.refusals(tried.record())
    assert (refusal.check, refusal.message) == ("compare-variants", section(tried)["why"])


def test_no_difference_keeps_running_until_the_end(tried: Any, command: Command) -> None:
    run_test(tried.root)
    assert command(tried.root, "compare-variants").code == 0
    assert (section(tried)["decision"], section(tried)["verdict"]) == ("keep running", "done")
    for end in ("1500", "1d"):
        answer = command(tried.root, "compare-variants", "--set", f"compare-variants.stop_after={end}")
        assert answer.code == 3, answer.text
        assert section(tried)["decision"] == "inconclusive at the horizon"
    answer = command(tried.root, "compare-variants", "--set", "compare-variants.min_gain=-0.1")
    assert answer.code == 0
    assert section(tried)["decision"] == "promote"


def test_a_broken_guard_rail_rolls_a_better_variant_back(tried: Any, command: Command) -> None:
    run_test(tried.root, better=0.15, slower=3)
    for statistic, condition in (("mean", "margin"), ("p95", "margin"), ("mean", "limit"), ("p95", "limit")):
        value = {"margin": 1, "limit": {"mean": 12.5, "p95": 17}.get(statistic)}[condition]
        rail = {"metric": "duration_ms", "statistic": statistic, condition: value}
        tried.configure(compare_variants={"guard_rails": [rail]})
        answer = command(tried.root, "compare-variants")
        assert answer.code == 3, answer.text
        assert "the guard rail duration_ms" in section(tried)["why"]
        rail[condition] = 1000
        tried.configure(compare_variants={"guard_rails": [rail]})
        assert command(tried.root, "compare-variants").code == 0


def test_a_guard_rail_not_known_to_hold_keeps_from_promoting(tried: Any, command: Command) -> None:
    run_test(tried.root, better=0.15)
    tried.configure(compare_variants={"guard_rails": [{"metric": "duration_ms", "margin": 0.01}]})
    assert command(tried.root, "compare-variants").code == 0
    assert section(tried)["decision"] == "keep running"
    assert section(tried)["metric"]["state"] == "passed"


def test_too_few_units_decide_nothing(tried: Any, command: Command) -> None:
    run_test(tried.root, users=200, better=0.3)
    answer = command(tried.root, "compare-variants")
    assert answer.code == 0
    assert section(tried)["decision"] == "keep running"
    assert "at least 200 are needed" in answer.out


def test_other_shares_than_meant_are_not_trusted(tried: Any, command: Command) -> None:
    run_test(tried.root, better=0.15, share=0.35)
    answer = command(tried.root, "compare-variants")
    assert answer.code == 3
    assert section(tried)["decision"] == "not trusted"
    assert "50.00% were meant" in answer.out
    assert command(tried.root, "compare-variants", "--set", "compare-variants.share=0.35").code == 0


def change(root: Path, old: str, new: str, count: int = -1) -> None:
    file = next((root / "log").iterdir())
    file.write_text(file.read_text().replace(old, new, count))


@pytest.mark.parametrize(
    ("old", "new", "count", "told"),
    [
        ('"r1-0"', '"r0-0"', 1, "stand there more than once"),
        ('"version": "3"', '"version": "2"', 5, "served the versions 2, 3"),
        ('{"time"', '{"tim', 1, "not whole requests"),
        ("T00:00:00", "T09:00:00", 1, "more than a minute older"),
    ],
)
def test_a_log_that_contradicts_itself_is_not_trusted(
    tried: Any, command: Command, old: str, new: str, count: int, told: str
) -> None:
    run_test(tried.root, better=0.15)
    change(tried.root, old, new, count)
    answer = command(tried.root, "compare-variants")
    assert answer.code == 3, answer.text
    assert section(tried)["decision"] == "not trusted"
    assert told in section(tried)["why"]
    (rule,) = {f["rule"] for f in section(tried)["findings"] if f["level"] == "failure"}
    assert command(tried.root, "compare-variants", "--set", f"compare-variants.allow=[{rule}]").code == 0


def test_successes_that_are_known_sooner_are_not_trusted(tried: Any, command: Command) -> None:
    run_test(tried.root)
    file = tried.root / "labels.csv"
    logged = next((tried.root / "log").iterdir()).read_text().splitlines()
    treated = {json.loads(line)["request_id"] for line in logged if json.loads(line)["variant"] == "challenger"}
    head, *lines = file.read_text().splitlines()
    kept = [line for i, line in enumerate(lines) if i % 3 or line.split(",")[0] not in treated]
    file.write_text("\n".join([head, *kept]) + "\n")
    assert command(tried.root, "compare-variants").code == 3
    assert "known of 100.0% of the control's rows and 66.7% of the treatment's" in section(tried)["why"]


def test_outcomes_of_other_predictions_are_not_trusted(tried: Any, command: Command) -> None:
    run_test(tried.root)
    (tried.root / "labels.csv").write_text("request_id,sold\nx1,1\n")
    assert command(tried.root, "compare-variants").code == 3
    assert "are these the outcomes of this log?" in section(tried)["why"]


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"predictions": None}, "compare-variants.predictions: is not set"),
        ({"metric": None}, "compare-variants.metric: is not set"),
        ({"predictions": "nowhere"}, "nowhere: no such prediction log"),
        ({"outcomes": None}, "compare-variants.outcomes: is not set; name the table with sold by request_id"),
        ({"treatment": "new"}, "no row of a variant 'new' in log; there are challenger, champion"),
        ({"metric": "revenue"}, "say whether more of it is better"),
        ({"metric": "revenue", "better": "higher"}, "labels.csv: no column 'revenue'; there are request_id, sold"),
        ({"metric": "error", "better": "higher"}, "less error is better"),
        ({"since": "yesterday"}, "compare-variants.since: 'yesterday' is no time"),
        ({"since": "2030-01-01"}, "there are none, not even a row"),
        (
            {"guard_rails": [{"metric": "sold", "better": "higher", "statistic": "p95", "limit": 1}]},
            "guard_rails[0].statistic: quantiles are for what is better when it is less",
        ),
        ({"guard_rails": [{"metric": "duration_ms"}]}, "compare-variants.guard_rails"),
        ({"confidence": 95}, "compare-variants.confidence"),
    ],
)
def test_what_cannot_be_compared_is_a_mistake(
    tried: Any, command: Command, settings: dict[str, Any], told: str
) -> None:
    run_test(tried.root, users=20)
    tried.configure(compare_variants=settings)
    answer = command(tried.root, "compare-variants")
    assert answer.code == 2, answer.text
    assert told in answer.err


@pytest.mark.parametrize("variant", ["champion", "challenger"])
def test_one_variant_alone_is_no_test(tried: Any, command: Command, variant: str) -> None:
    run_test(tried.root, users=20, share=float(variant == "challenger"))
    answer = command(tried.root, "compare-variants")
    assert answer.code == 2
    assert f"there are {variant}" in answer.err


def test_an_empty_log_is_a_mistake(tried: Any, command: Command) -> None:
    run_test(tried.root, users=0)
    change(tried.root, "\n", "")
    answer = command(tried.root, "compare-variants")
    assert answer.code == 2
    assert "there are none, not even a row" in answer.err


def table(root: Path, revenue: Callable[[random.Random, bool], str], users: bool = True) -> None:
    draw, lines = random.Random(3), ["time,variant,revenue,failed" + (",user" if users else "")]
    for i in range(2000):
        treated = draw.random() < 0.5
        time = (START + timedelta(seconds=i)).isoformat()
        user = f",u{i % 700}" if users else ""
        lines.append(f"{time},{'challenger' if treated else 'champion'},{revenue(draw, treated)},0{user}")
    (root / "requests.csv").write_text("\n".join(lines) + "\n")


def test_a_table_with_a_row_a_request_is_enough(project: Any, command: Command) -> None:
    table(project.root, lambda draw, treated: f"{draw.expovariate(1) + treated:.4f}")
    rail = {"metric": "failed", "better": "lower", "limit": 0.05}
    project.configure(
        compare_variants={"predictions": "requests.csv", "metric": "revenue", "better": "higher", "guard_rails": [rail]}
    )
    answer = command(project.root, "compare-variants")
    assert answer.code == 0, answer.text
    found = section(project)
    assert (found["decision"], found["unit"]) == ("promote", "user")
    assert found["metric"]["interval"][0] < 1 < found["metric"]["interval"][1]
    assert "saw both variants" in answer.out
    table(project.root, lambda draw, treated: f"{draw.expovariate(1) + treated:.4f}", users=False)
    assert command(project.root, "compare-variants").code == 0
    assert section(project)["unit"] == "request"


def test_what_never_varies_and_what_is_no_number_decides_nothing(project: Any, command: Command) -> None:
    project.configure(compare_variants={"predictions": "requests.csv", "metric": "revenue", "better": "higher"})
    table(project.root, lambda draw, treated: "5.0")
    assert command(project.root, "compare-variants", "--set", "compare-variants.min_gain=-1").code == 0
    assert section(project)["decision"] == "keep running"
    table(project.root, lambda draw, treated: "NaN" if draw.random() < 0.01 else f"{draw.random() + treated}")
    answer = command(project.root, "compare-variants")
    assert answer.code == 3
    assert "are NaN or infinite" in section(project)["why"]


class StandIn:
    """What stands in for a target, and for the stages that change it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, version: str | None) -> None:
        from model_ci.release import promotion, reversal
        from model_ci.run import Result
        from model_ci.targets import Deployment, Variant

        names = {"champion": "3"} | ({"challenger": version} if version else {})
        variants = tuple(
            Variant(name=name, image=f"shop:{v}", digest=f"sha256:{v * 64}", version=v, run_id=None, weight=100 // len(names), replicas=1)
            for name, v in names.items()
        )  # fmt: skip
        deployment = Deployment(environment="production", variants=variants)
        self.asked: list[Any] = []
        self.verdict = "done"
        monkeypatch.setattr("model_ci.targets.open_target", lambda *_: self)
        self.current = lambda: deployment

        def act(config: Any, run: Any) -> Result:
            self.asked.append(config)
            return Result(section={"why": "as asked"}, verdict=self.verdict)

        monkeypatch.setattr(promotion, "make", act)
        monkeypatch.setattr(reversal, "make", act)


@pytest.fixture
def acting(tried: Any) -> Any:
    """Let the stage act in an environment."""
    docker = {"target": "docker", "replicas": 1}
    tried.configure(deploy={"environments": {"production": docker}}, compare_variants={"act": True, "environment": "production"})  # fmt: skip
    return tried


@pytest.mark.parametrize(("better", "decision"), [(0.15, "promote"), (-0.15, "roll back")])
def test_a_decision_is_carried_out_on_a_stand_in_for_the_target(
    acting: Any, command: Command, monkeypatch: pytest.MonkeyPatch, better: float, decision: str
) -> None:
    target = StandIn(monkeypatch, version="4")
    run_test(acting.root, better=better)
    answer = command(acting.root, "compare-variants")
    assert answer.code == {"promote": 0, "roll back": 3}[decision], answer.text
    told = {"environment": "production", "carried_out": True, "verdict": "done", "why": "as asked"}
    assert section(acting)["act"] == told
    (asked,) = target.asked
    if decision == "promote":
        assert (asked.promote.to, asked.promote.source, asked.promote.version) == ("production", "production", "4")
    else:
        assert asked.rollback.environment == "production"
    assert "In production it was carried out" in answer.out
    target.verdict = "failed"
    assert command(acting.root, "compare-variants").code == 3
    assert section(acting)["act"]["carried_out"] is False


@pytest.mark.parametrize(("version", "told", "code"), [(None, "serves no challenger now", 0), ("5", "version 4 was tried, and version 5 serves", 3)])  # fmt: skip
def test_nothing_is_moved_that_was_not_tried_on_a_stand_in_for_the_target(
    acting: Any, command: Command, monkeypatch: pytest.MonkeyPatch, version: str | None, told: str, code: int
) -> None:
    target = StandIn(monkeypatch, version=version)
    run_test(acting.root, better=0.15)
    answer = command(acting.root, "compare-variants")
    assert answer.code == code, answer.text
    assert target.asked == []
    assert told in section(acting)["act"]["why"]


def test_what_is_not_sure_or_not_trusted_moves_nothing_on_a_stand_in_for_the_target(
    acting: Any, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = StandIn(monkeypatch, version="4")
    run_test(acting.root)
    assert command(acting.root, "compare-variants").code == 0
    run_test(acting.root, better=0.15, share=0.35)
    assert command(acting.root, "compare-variants").code == 3
    assert (target.asked, section(acting)["act"]) == ([], None)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"environment": "nowhere"}, "no environment 'nowhere'; there are production"),
        ({"treatment": "new"}, "compare-variants.act: only champion and challenger can be promoted or rolled back"),
    ],
)
def test_acting_where_nothing_can_be_done_is_a_mistake(
    acting: Any, command: Command, settings: dict[str, Any], told: str
) -> None:
    run_test(acting.root, users=20)
    acting.configure(compare_variants=settings)
    answer = command(acting.root, "compare-variants")
    assert answer.code == 2, answer.text
    assert told in answer.err
