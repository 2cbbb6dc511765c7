"""The generated files offer what the package has: every stage, the same inputs and command on every platform, its outputs."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from platforms.description import Description
from tests.ci.yaml12 import load, load_all

from model_ci import __version__
from model_ci.stages import STAGES

ROOT = Path(__file__).parents[2]
GITLAB_ONLY = {"job-name", "stage", "after", "image", "toolkit"}
GITHUB_ONLY = {"token", "webhook", "heartbeat"}  # masked variables on GitLab
NAMES = [*STAGES, "run"]
COMMANDS = ["comment", "notify", "selftest"]  # what is neither a stage nor runs any
OUTPUTS = {name: set(stage.outputs) for name, stage in STAGES.items()}
OUTPUTS["run"] = set().union(*OUTPUTS.values())


def action(name: str) -> dict[str, Any]:
    return load(ROOT / "actions" / name / "action.yml")  # type: ignore[no-any-return]


def template(name: str, component: bool = False) -> tuple[dict[str, Any], dict[str, Any], str]:
    """Return the inputs, the job, and the text of its file."""
    stem = "pipeline" if name == "run" else name
    file = ROOT / "templates" / f"{stem}.yml" if component else ROOT / "gitlab" / f"{stem}.gitlab-ci.yml"
    header, body = load_all(file)
    assert list(body) == ["$[[ inputs.job-name ]]"]
    return header["spec"]["inputs"], body["$[[ inputs.job-name ]]"], file.read_text()


def described(inputs: dict[str, Any], without: set[str]) -> dict[str, tuple[str, Any]]:
    return {n: (i["description"], i["default"]) for n, i in inputs.items() if n not in without}


def called(command: str) -> list[str]:
    """Return the arguments of model-ci."""
    words = command.replace("\\\n", " ").split()
    return words[words.index("model-ci") + 1 :] if "model-ci" in words else words[words.index('"$MODEL_CI"') + 1 :]


def test_every_stage_and_command_has_its_files() -> None:
    names = {*NAMES, *COMMANDS}
    templates = {*names - {"run"}, "pipeline", "scheduled"}
    assert {p.parent.name for p in ROOT.glob("actions/*/action.yml")} == names
    assert {p.name.removesuffix(".gitlab-ci.yml") for p in ROOT.glob("gitlab/*")} == templates
    assert {p.stem for p in ROOT.glob("templates/*")} == templates
    assert len(templates) <= 30  # components of one project in GitLab's catalog


@pytest.mark.parametrize("name", [*NAMES, *COMMANDS])
def test_all_platforms_have_the_same_inputs_and_call_the_same_command(name: str) -> None:
    github, (gitlab, job, text) = action(name), template(name)
    component, its_job, its_text = template(name, component=True)
    assert described(github["inputs"], GITHUB_ONLY) == described(gitlab, GITLAB_ONLY)
    assert described(component, {"toolkit-project"}) == described(gitlab, {"toolkit"})
    assert ("stages" in gitlab) == (name == "run")
    command = called(github["runs"]["steps"][1]["run"])
    assert command[0] == name
    assert command == called(job["script"][-1]) == called(its_job["script"][-1])
    steps = yaml.safe_dump(github["runs"])
    assert [n for n in github["inputs"] if "${{ inputs." + n + " }}" not in steps] == []
    assert [n for n in gitlab if f"$[[ inputs.{n} ]]" not in text] == []
    assert [n for n in component if f"$[[ inputs.{n} ]]" not in its_text] == []


@pytest.mark.parametrize("name", ["pipeline", "comment", "deliver", "scheduled"])
def test_a_reusable_workflow_has_the_described_inputs(name: str) -> None:
    workflow = load(ROOT / ".github" / "workflows" / f"{name}.yml")["on"]["workflow_call"]["inputs"]
    ours = {i.name: (i.text, i.default) for i in Description().pipeline_inputs(name, "workflow")}
    assert {n: (i["description"], i.get("default", "")) for n, i in workflow.items()} == ours
    types = {
        i.name: "string" if i.type == "choice" else i.type for i in Description().pipeline_inputs(name, "workflow")
    }
    assert {n: i["type"] for n, i in workflow.items()} == types


@pytest.mark.parametrize("name", ["pipeline", "scheduled"])
def test_the_jobs_of_a_reusable_workflow_have_the_rights_of_their_actions(name: str) -> None:
    rights = Description().platforms["github"]["rights"]
    for job in load(ROOT / ".github" / "workflows" / f"{name}.yml")["jobs"].values():
        actions = [s["uses"].removeprefix("$/actions/") for s in job["steps"] if s.get("uses", "").startswith("$/")]
        needed = {rights[right] for a in actions for right in Description().command(a, "github").rights}
        given = {f"{scope}: {right}" for scope, right in job["permissions"].items() if right == "write"}
        assert given == needed or "pull_request" in job["if"].partition("!")[0]


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_is_described_by_its_own_words(name: str) -> None:
    assert action(name)["description"] == STAGES[name].does
    assert f"\n# {STAGES[name].does}\n" in template(name)[2]


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


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_that_uses_a_stage_installs_its_extra(name: str) -> None:
    known = set(project()["project"]["optional-dependencies"])
    place = ROOT / "scripts" / "model_ci" / "commands" / name
    files = [*place.rglob("*.py")] or [place.with_suffix(".py")]
    used = {
        stage.replace("_", "-") for file in files for stage in re.findall(r"model_ci\.stages\.(\w+)", file.read_text())
    }
    extras = action(name)["runs"]["steps"][0]["run"].split("bootstrap.sh")[1].lstrip('"').split()
    assert used & known <= set(extras)


def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


def test_the_version_is_the_same_everywhere() -> None:
    assert project()["project"]["version"] == __version__
