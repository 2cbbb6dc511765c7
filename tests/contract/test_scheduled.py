"""The scheduled workflow and the scheduled pipeline: the same on both platforms, and nothing in them starts itself."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.ci.lint_templates import interpolate
from tests.ci.yaml12 import load, load_all
from tests.contract.test_ci_safety import HOSTILE, execute, install_stub, recorded

ROOT = Path(__file__).parents[2]
WORKFLOW = ROOT / ".github" / "workflows" / "scheduled.yml"
TEMPLATE = ROOT / "gitlab" / "scheduled.gitlab-ci.yml"
SELF_STARTING = re.compile(r"/dispatches|gh workflow run|^\s*trigger:|trigger/pipeline|createWorkflowDispatch", re.M)


def test_nothing_starts_itself() -> None:
    assert list(load(WORKFLOW)["on"]) == ["workflow_call"]
    shipped = [*ROOT.glob(".github/workflows/*.yml"), *ROOT.glob("actions/*/action.yml"), *ROOT.glob("gitlab/*.yml")]
    shipped += ROOT.glob("templates/*.yml")
    code = [
        f for f in (ROOT / "scripts").rglob("*.py") if f.name != "record_types.py"
    ]  # a key of the record is named trigger
    shipped += [*code, *(ROOT / "scripts").rglob("*.sh")]
    assert [f.name for f in shipped if SELF_STARTING.search(f.read_text())] == []
    for job in gitlab_jobs().values():
        assert all("push" not in rule.get("if", "") and 'pipeline"' not in rule.get("if", "") for rule in job["rules"])


def test_the_example_starts_it_by_time_by_hand_and_by_event_alone() -> None:
    example = load(ROOT / "example-project" / ".github" / "workflows" / "model-ci-scheduled.yml")
    assert set(example["on"]) == {"schedule", "workflow_dispatch", "repository_dispatch"}


def test_both_platforms_say_the_same() -> None:
    theirs = load(WORKFLOW)["on"]["workflow_call"]["inputs"]
    ours = load_all(TEMPLATE)[0]["spec"]["inputs"]
    for name in theirs.keys() & ours.keys() - {"approval-environment"}:
        assert (theirs[name]["description"], theirs[name]["default"]) == (
            ours[name]["description"],
            ours[name]["default"],
        )


def test_only_a_decision_trains() -> None:
    train = load(WORKFLOW)["jobs"]["train"]
    assert "needs.watch.outputs.retrain == 'true'" in train["if"]
    assert "needs.watch.outputs.approval == 'none' || needs.approve.result == 'success'" in train["if"]
    assert gitlab_jobs()["train"]["script"][0].startswith('if [ "${RETRAIN:-}" != true ]')


def gitlab_jobs(**inputs: Any) -> dict[str, Any]:
    header, body = load_all(TEMPLATE)
    body = interpolate(body, {n: i["default"] for n, i in header["spec"]["inputs"].items()} | inputs)
    base = body.pop(".model-ci-operation")
    return {name: base | job | {"script": [*flat(job["script"])]} for name, job in body.items()}


def flat(script: list[Any]) -> Iterator[str]:
    """Take a script's lists apart, as GitLab does."""
    for line in script:
        yield from flat(line) if isinstance(line, list) else [line]


@pytest.mark.parametrize("approval", ["", "required"])
@pytest.mark.parametrize("retrain", ["", "false", "true"])
def test_gitlab_trains_only_when_it_was_decided_and_approved(retrain: str, approval: str, tmp_path: Path) -> None:
    install_stub(tmp_path, "uvx")
    install_stub(tmp_path, "uv")
    job = gitlab_jobs()["train"]
    env = {"RETRAIN": retrain, "APPROVAL": approval, "REASON": "retrain 1: drift"}
    env |= {key: v["value"] for key, v in job["variables"].items() if key.startswith("INPUT_")}
    execute(["bash", "-eo", "pipefail", "-c", "\n".join(job["script"])], tmp_path, env, may_fail=True)
    arguments = recorded(tmp_path) if (tmp_path / "arguments").is_file() else []
    assert ("--reason=retrain 1: drift" in arguments) == (retrain == "true" and not approval)


@pytest.mark.parametrize("value", HOSTILE)
@pytest.mark.parametrize("name", ["watch", "train"])
def test_hostile_values_are_passed_on_unchanged(name: str, value: str, tmp_path: Path) -> None:
    header = load_all(TEMPLATE)[0]["spec"]["inputs"]
    hostile = {n: value for n in header if n not in ("working-directory", "approval", "on-verdict")}
    job = gitlab_jobs(**hostile)[name]
    assert [line for line in flat(load_all(TEMPLATE)[1][name]["script"]) if "$[[" in line] == []
    assert all(v["expand"] is False for n, v in job["variables"].items() if n.startswith("INPUT_"))
    install_stub(tmp_path, "uvx")
    install_stub(tmp_path, "uv")
    env = {key: v["value"] for key, v in job["variables"].items() if key.startswith("INPUT_")}
    env |= {"RETRAIN": "true", "REASON": value}
    execute(["bash", "-eo", "pipefail", "-c", "\n".join(job["script"])], tmp_path, env)
    arguments = recorded(tmp_path)
    assert f"--reason={value}" in arguments
    assert f"--stages={value}" in arguments
    assert not list(tmp_path.rglob("x"))
