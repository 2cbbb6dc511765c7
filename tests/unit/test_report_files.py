"""Refusals beside the line of the configuration that asked for what was not given."""

import json
from typing import Any

from tests.forge.records import record

from model_ci import report
from model_ci.schema import Document

FILE = """\
evaluate:
  gates:
    - metric: roc_auc
      min: 0.6
      max_drop: 0.01
    - {metric: mean_cost, min_gain: 0.002}
    - metric: log_loss
      max_rise: 0.005
"""


def quality(made: dict[str, Any]) -> list[dict[str, Any]]:
    document = Document(FILE, "model-ci.yaml")
    made["config"]["values"] = document.value
    return json.loads(report.quality(made, "ml/model-ci.yaml", lambda path: document.position(path)[0]))  # type: ignore[no-any-return]


def test_each_gate_that_said_no_stands_at_its_line() -> None:
    found = quality(record())
    assert [(f["location"]["path"], f["location"]["lines"]["begin"]) for f in found] == [
        ("ml/model-ci.yaml", 8),
        ("ml/model-ci.yaml", 6),
    ]
    assert found[0]["description"].startswith("flight-delays: log_loss max_rise 0.005: 0.02 higher")
    assert len({f["fingerprint"] for f in found}) == 2
    assert {f["severity"] for f in found} == {"blocker"}


def test_what_passed_is_no_finding() -> None:
    made = record()
    made["stages"]["evaluate"]["verdict"] = "passed"
    assert quality(made) == []


def test_data_that_broke_its_contract_is_a_finding() -> None:
    made = record()
    del made["stages"]["evaluate"]
    made["stages"]["check-data"] |= {"verdict": "failed", "findings": [{"where": "age", "what": "12 rows below 0"}]}
    (found,) = quality(made)
    assert found["description"] == "flight-delays: age: 12 rows below 0"
    assert found["check_name"] == "model-ci check-data"
