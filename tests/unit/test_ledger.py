"""The ledger: what serves and who changed it, appended whoever else appends."""

import json
import subprocess
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from tests.conftest import Project

from model_ci import ci, config
from model_ci.errors import ServiceError
from model_ci.release import ledger
from model_ci.targets import CHALLENGER, CHAMPION, Deployment, Variant

ONE = Variant(name=CHAMPION, image="shop@sha256:1", digest="sha256:1", version="1", run_id="r1", weight=100, replicas=2)
FIRST = Deployment(environment="staging", variants=(ONE,))
BOTH = Deployment(
    environment="staging",
    variants=(replace(ONE, weight=90), replace(ONE, name=CHALLENGER, version="2", digest="sha256:2", weight=10)),
)


def loaded(repository: Project) -> config.Config:
    return config.load(repository.root / "model-ci.yaml")


def entry(action: str, wanted: Deployment | None, before: Deployment | None) -> ledger.Entry:
    return ledger.new(action, "staging", wanted, before, run_id="r1", reason="why", where=ci.Context(actor="ann"))


def test_what_is_appended_is_read_back_the_newest_last(repository: Project) -> None:
    there = loaded(repository)
    assert ledger.read(there, "staging") == []
    entries = [entry("deploy", FIRST, None), entry("weights", BOTH, FIRST), entry("remove", None, BOTH)]
    for each in entries:
        ledger.append(there, each)
    assert ledger.read(there, "staging") == entries
    assert ledger.read(there, "production") == []


def test_a_line_says_who_what_and_when(repository: Project) -> None:
    ledger.append(loaded(repository), entry("deploy", FIRST, None))
    shown = ["git", "show", "model-ci/records:ledger/staging.jsonl"]
    line = json.loads(subprocess.run(shown, cwd=repository.root, check=True, capture_output=True).stdout)
    assert (line["actor"], line["action"], line["reason"], line["run_id"]) == ("ann", "deploy", "why", "r1")
    assert line["variants"][0]["digest"] == "sha256:1"
    assert line["previous"] == []


def test_nothing_is_lost_when_many_append_at_once(repository: Project) -> None:
    there = loaded(repository)
    several = [replace(entry("weights", BOTH, FIRST), reason=str(i)) for i in range(6)]
    at_once = [threading.Thread(target=ledger.append, args=(there, each)) for each in several]
    for each in at_once:
        each.start()
    for each in at_once:
        each.join()
    assert sorted(each.reason or "" for each in ledger.read(there, "staging")) == list("012345")


def test_a_damaged_ledger_is_an_error(repository: Project) -> None:
    there = loaded(repository)
    ledger._branch(there).append({"ledger/staging.jsonl": b"{}\n"}, "Damage")
    with pytest.raises(ServiceError, match=r"ledger/staging\.jsonl on branch 'model-ci/records': cannot be read"):
        ledger.read(there, "staging")


@pytest.mark.parametrize("weights", [(50, 40), (100, 100)])
def test_weights_that_do_not_sum_to_a_hundred_are_no_deployment(weights: tuple[int, int]) -> None:
    variants = (replace(ONE, weight=weights[0]), replace(ONE, name=CHALLENGER, weight=weights[1]))
    with pytest.raises(ValueError, match="not a deployment"):
        Deployment(environment="staging", variants=variants)


def test_later_keys_are_left_out(tmp_path: Path) -> None:
    record = FIRST.as_record()
    record["variants"][0]["colour"] = "green"
    assert Deployment.from_record(record) == FIRST
