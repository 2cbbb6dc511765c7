"""GitHub and GitLab offer the same stages, by the same inputs, with the same words."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.ci.yaml12 import load, load_all

from model_ci import __version__
from model_ci.stages import STAGES

ROOT = Path(__file__).parents[2]
GITLAB_ONLY = {"job-name", "stage", "after", "image", "toolkit"}
WORKFLOW_ONLY = {"runs-on", "container", "timeout-minutes", "lfs"}
NAMES = [*STAGES, "run"]
COMMANDS = ["comment", "notify", "selftest"]  # what is neither a stage nor runs any
OUTPUTS = {name: set(stage.outputs) for name, stage in STAGES.items()}
OUTPUTS["run"] = set().union(*OUTPUTS.values())


def action(name: str) -> dict[str, Any]:
    return load(ROOT / "actions" / name / "action.yml")  # type: ignore[no-any-return]


def template(name: str) -> tuple[dict[str, Any], dict[str, Any], str]:
    """Return the inputs, the job, and the text of its file."""
    file = ROOT / "gitlab" / f"{'pipeline' if name == 'run' else name}.gitlab-ci.yml"
    header, body = load_all(file)
    assert list(body) == ["$[[ inputs.job-name ]]"]
    return header["spec"]["inputs"], body["$[[ inputs.job-name ]]"], file.read_text()


def described(inputs: dict[str, Any], without: set[str]) -> dict[str, tuple[str, Any]]:
    return {n: (i["description"], i["default"]) for n, i in inputs.items() if n not in without}


def test_every_stage_has_an_action_and_a_template() -> None:
    assert {p.parent.name for p in ROOT.glob("actions/*/action.yml")} == {*NAMES, *COMMANDS}
    assert {p.name.removesuffix(".gitlab-ci.yml") for p in ROOT.glob("gitlab/*")} == {
        *STAGES,
        *COMMANDS,
        "pipeline",
        "scheduled",
    }


@pytest.mark.parametrize("name", NAMES)
def test_both_platforms_describe_the_same_inputs(name: str) -> None:
    inputs, _, _ = template(name)
    assert described(action(name)["inputs"], set()) == described(inputs, GITLAB_ONLY)
    assert set(inputs) >= GITLAB_ONLY - {"after"}
    assert ("stages" in inputs) == (name == "run")


def test_the_reusable_workflow_describes_the_same_inputs() -> None:
    workflow = load(ROOT / ".github" / "workflows" / "pipeline.yml")["on"]["workflow_call"]["inputs"]
    theirs = described(action("run")["inputs"], {"run"})
    assert described(workflow, WORKFLOW_ONLY) == theirs
    assert set(workflow) >= WORKFLOW_ONLY


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_is_the_same_on_both_platforms(name: str) -> None:
    inputs, job, text = template(name)
    assert described(action(name)["inputs"], {"token", "webhook", "heartbeat"}) == described(inputs, GITLAB_ONLY)
    assert text.startswith(f"# {action(name)['description']}\n")
    ours = action(name)["runs"]["steps"][1]["run"].replace("\\\n", " ").split()
    theirs = job["script"][-1].split()
    assert theirs[theirs.index("model-ci") + 1 :] == ours[1:]
    assert inputs["toolkit"]["default"] == f"model-ci=={__version__}"
    assert job["script"][0] == template("run")[1]["script"][0]
    steps = yaml.safe_dump(action(name)["runs"])
    assert [n for n in action(name)["inputs"] if "${{ inputs." + n + " }}" not in steps] == []
    assert [n for n in inputs if f"$[[ inputs.{n} ]]" not in text] == []


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_is_described_by_its_own_words(name: str) -> None:
    assert action(name)["description"] == STAGES[name].does
    assert template(name)[2].startswith(f"# {STAGES[name].does}\n")


@pytest.mark.parametrize("name", NAMES)
def test_both_platforms_call_the_same_command(name: str) -> None:
    ours = action(name)["runs"]["steps"][1]["run"].replace("\\\n", " ").split()
    _, job, _ = template(name)
    theirs = job["script"][-1].split()
    assert ours[0] == '"$MODEL_CI"'
    assert theirs[theirs.index("model-ci") + 1 :] == ours[1:]


@pytest.mark.parametrize("name", NAMES)
def test_every_input_is_used(name: str) -> None:
    steps = yaml.safe_dump(action(name)["runs"])
    assert [n for n in action(name)["inputs"] if "${{ inputs." + n + " }}" not in steps] == []
    inputs, _, text = template(name)
    assert [n for n in inputs if f"$[[ inputs.{n} ]]" not in text] == []


def test_every_input_of_the_reusable_workflow_reaches_both_jobs() -> None:
    workflow = load(ROOT / ".github" / "workflows" / "pipeline.yml")
    for job in workflow["jobs"].values():
        text = yaml.safe_dump(job, width=1000)
        assert [n for n in workflow["on"]["workflow_call"]["inputs"] if f"inputs.{n}" not in text] == []


def test_each_stage_goes_on_with_the_run_of_the_one_before() -> None:
    after = {name: template(name)[0].get("after", {}).get("default") for name in STAGES}
    always = [name for name, stage in STAGES.items() if not stage.optional and stage.line == "model"]
    assert [(name, after[name]) for name in always] == list(zip(always, [None, *always], strict=False))
    for name in STAGES.keys() - set(always):
        before = list(STAGES)[list(STAGES).index(name) - 1]
        assert after[name] == (before if STAGES[name].line == "model" else None)


@pytest.mark.parametrize("name", NAMES)
def test_outputs_are_those_that_the_stage_gives(name: str) -> None:
    outputs = action(name)["outputs"]
    assert set(outputs) == {"verdict", "run-id", "run-folder"} | OUTPUTS[name]
    assert {o["value"] for o in outputs.values()} == {f"${{{{ steps.{name}.outputs.{n} }}}}" for n in outputs}


@pytest.mark.parametrize("name", NAMES)
def test_gitlab_installs_this_version_and_the_pinned_uv(name: str) -> None:
    inputs, job, _ = template(name)
    assert inputs["toolkit"]["default"] == f"model-ci=={__version__}"
    pin = next(line for line in (ROOT / "constraints.txt").read_text().splitlines() if line.startswith("uv=="))
    assert job["script"][0].split()[-1] == pin.split()[0]


@pytest.mark.parametrize("name", [*NAMES, "selftest"])
def test_both_platforms_install_the_extras_of_the_stage(name: str) -> None:
    known = set(project()["project"]["optional-dependencies"])
    extras = action(name)["runs"]["steps"][0]["run"].split("bootstrap.sh")[1].lstrip('"').split()
    theirs = template(name)[1]["script"][-1].partition('--with "model-ci[')[2].partition("]")[0].split(",")
    assert extras == [extra for extra in theirs if extra]
    assert set(extras) <= known
    assert name not in known or name in extras


def project() -> dict[str, Any]:
    import tomllib

    return tomllib.loads((ROOT / "pyproject.toml").read_text())


def test_the_version_is_the_same_everywhere() -> None:
    assert project()["project"]["version"] == __version__
