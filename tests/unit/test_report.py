"""The report: verdict first, everything from the record, and no value that becomes markup."""

import xml.etree.ElementTree as ET
from collections.abc import Callable
from typing import Any

import pytest
from tests.conftest import Project

from model_ci import report
from model_ci.stages.content import _in_a_word, content

HOSTILE = "<img src=x onerror=alert(1)> | `code` [a](javascript:x) @team #7 \n## forged"


@pytest.fixture
def record(ran: Callable[..., Project]) -> dict[str, Any]:
    return ran("--stages", "train,evaluate").record()


def test_the_verdict_comes_first(record: dict[str, Any]) -> None:
    assert report.markdown(content(record)).startswith("## ✅ shop: passed\n")
    assert report.text(content(record)).startswith("shop: passed\n")
    assert "| roc_auc | - | 0." in report.markdown(content(record))


def test_values_stay_text(record: dict[str, Any]) -> None:
    record["stages"]["train"]["parameters"] = {"x": HOSTILE}
    record["stages"]["evaluate"]["gates"][0]["reason"] = HOSTILE
    record["stages"]["evaluate"]["gates"][0]["state"] = "failed"
    record["trigger"]["reason"] = HOSTILE
    text = report.markdown(content(record))
    assert "<img" not in text
    assert "\n## forged" not in text
    assert "[a](javascript" not in text
    assert "@team" not in text.replace("\\@team", "")
    rows = [line for line in text.splitlines() if "onerror" in line and line.startswith("|")]
    assert {line.replace("\\|", "").count("|") for line in rows if "parameters" in line or "trigger" in line} == {3}


def test_junit_names_each_gate(record: dict[str, Any]) -> None:
    gate = record["stages"]["evaluate"]["gates"][0]
    gate |= {"state": "failed", "reason": '0.1 is "not" <at least> 0.6 & more'}
    suite = ET.fromstring(report.junit(record)).find("testsuite")
    assert suite is not None
    cases = {case.get("name"): case for case in suite}
    assert suite.get("failures") == "1"
    failure = cases["roc_auc min 0.6"].find("failure")
    assert failure is not None
    assert failure.get("message") == gate["reason"]
    assert cases["roc_auc max_drop 0.01"].find("skipped") is not None


def test_metrics_for_gitlab(record: dict[str, Any]) -> None:
    lines = report.metrics(record).splitlines()
    assert lines[0].startswith("roc_auc 0.")
    assert lines[-1] == "# EOF"


def test_text_for_eyes_has_color_and_the_same_words(record: dict[str, Any]) -> None:
    text = report.text(content(record), color=True, width=200)
    assert "\x1b[" in text
    assert "There is no champion yet" in text


@pytest.mark.parametrize(
    ("verdicts", "told"),
    [
        ({"check-drift": "failed", "monitor": "passed"}, "check-drift failed"),
        ({"check-drift": "passed", "monitor": "passed", "record": "done"}, "check-drift, monitor passed"),
        ({"retrain": "done"}, "nothing was judged"),
    ],
)
def test_a_report_on_a_service_is_headed_by_what_said_no(verdicts: dict[str, str], told: str) -> None:
    stages = {name: {"verdict": verdict} for name, verdict in verdicts.items()}
    verdict = next((v for v in ("failed", "passed") if v in verdicts.values()), "not judged")
    assert _in_a_word({"line": "operation", "stages": stages, "verdict": verdict}) == told
