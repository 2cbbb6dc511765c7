"""The templates, executed as a user's pipeline executes them: included from another project, over git."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.ci.gitlab import GitLab
from tests.ci.repository import branches, newest_record

HOSTILE = "$(touch x) `touch x` \"; touch x; \" '; touch x; '\n$CI_PROJECT_DIR $$ %"
WRITTEN = {"main", "model-ci/records", "model-ci/store"}
STAGES = ["check-data", "train", "evaluate", "register", "record"]


def include(toolkit: str, *templates: str, **inputs: object) -> str:
    """Return a pipeline file that includes templates with these inputs."""
    given = {name.replace("_", "-"): value for name, value in inputs.items()} | {"toolkit": toolkit}
    files = [
        {"project": "acme/model-ci", "ref": "v1", "file": f"gitlab/{name}.gitlab-ci.yml", "inputs": given}
        for name in templates
    ]
    return json.dumps({"stages": [*STAGES, "test", "deploy"], "include": files})  # JSON is YAML


def test_the_default_branch_makes_a_champion_and_a_merge_request_is_judged_against_it(
    gitlab: GitLab, consumer: Callable[..., Path], toolkit: str
) -> None:
    pipeline = json.loads(include(toolkit, "pipeline"))
    pipeline["after"] = {"stage": "deploy", "script": ['echo "got $VERDICT $RUN_ID $MODEL_VERSION $CHAMPION_VERSION."']}
    tree = consumer(pipeline=json.dumps(pipeline))
    pushed = gitlab.run(tree)
    assert pushed.exit == 0, pushed.told
    job = pushed.jobs["model-ci"]
    assert job.dotenv["VERDICT"] == "passed"
    assert f"got passed {job.dotenv['RUN_ID']} 1 1." in pushed.jobs["after"].log
    assert job.artifacts is not None
    assert (job.artifacts / ".model-ci" / "runs" / job.dotenv["RUN_ID"] / "run.json").is_file()
    assert branches(pushed.origin) == WRITTEN

    pipeline.pop("after")
    (tree / ".gitlab-ci.yml").write_text(json.dumps(pipeline))
    asked = gitlab.run(tree, "merge_request_event", "feature")
    assert asked.exit == 0, asked.told
    said = {name: value for name, value in asked.jobs["model-ci"].dotenv.items() if value}
    assert said.keys() == {"VERDICT", "RUN_ID", "RUN_FOLDER", "CHAMPION_VERSION"}
    assert (said["VERDICT"], said["CHAMPION_VERSION"]) == ("passed", "1")
    assert branches(asked.origin) == {*WRITTEN, "feature"}
    assert newest_record(asked.origin)["run_id"] == job.dotenv["RUN_ID"]


@pytest.mark.parametrize(
    ("source", "branch", "when"),
    [
        ("push", "main", "on_success"),
        ("push", "feature", "never"),
        ("merge_request_event", "feature", "on_success"),
        ("schedule", "main", "on_success"),
        ("web", "feature", "on_success"),
        ("trigger", "feature", "never"),
    ],
)
def test_a_job_is_there_when_it_should_be(
    gitlab: GitLab, consumer: Callable[..., Path], source: str, branch: str, when: str
) -> None:
    outcome = gitlab.run(consumer(pipeline=include("none", "pipeline", "record")), source, branch, plan=True)
    assert outcome.exit == 0, outcome.told
    assert outcome.planned == {"model-ci": when, "record": when}


def test_stages_hand_the_run_on(gitlab: GitLab, consumer: Callable[..., Path], toolkit: str) -> None:
    pipeline = include(toolkit, *STAGES, working_directory="models/shop", reason=HOSTILE)
    outcome = gitlab.run(consumer("models/shop", pipeline=pipeline), "schedule")
    assert outcome.exit == 0, outcome.told
    assert {name: job.status for name, job in outcome.jobs.items()} == dict.fromkeys(STAGES, "success")
    assert len({job.dotenv["RUN_ID"] for job in outcome.jobs.values()}) == 1
    assert branches(outcome.origin) == WRITTEN
    record = newest_record(outcome.origin)
    assert record["trigger"] == {"event": "schedule", "reason": HOSTILE}
    assert not list(gitlab.folder.rglob("x"))


def test_components_run_the_commit_that_was_included(gitlab: GitLab, consumer: Callable[..., Path]) -> None:
    """gitlab-ci-local resolves the commit as GitLab does; reading a private project by the job's token it cannot show."""
    components = [
        {"component": f"gitlab.example.com/acme/model-ci/{name}@v1", "inputs": {"reason": HOSTILE}}
        for name in STAGES[:2]
    ]
    outcome = gitlab.run(consumer(pipeline=json.dumps({"stages": STAGES, "include": components})))
    assert outcome.exit == 0, outcome.told
    assert {name: job.status for name, job in outcome.jobs.items()} == dict.fromkeys(STAGES[:2], "success")
    assert len({job.dotenv["RUN_ID"] for job in outcome.jobs.values()}) == 1
    train = outcome.jobs["train"]
    assert train.artifacts is not None
    (record,) = train.artifacts.glob(".model-ci/runs/*/run.json")
    assert json.loads(record.read_text())["trigger"]["reason"] == HOSTILE
    assert not list(gitlab.folder.rglob("x"))


def test_every_component_can_be_included(gitlab: GitLab, consumer: Callable[..., Path], product: Path) -> None:
    names = sorted(file.stem for file in (product / "templates").glob("*.yml"))
    pipeline = {
        "stages": ["watch", "train", "test"],
        "include": [
            {
                "component": f"gitlab.example.com/acme/model-ci/{name}@v1",
                "inputs": {} if name == "scheduled" else {"job-name": f"my {name}", "stage": "test"},
            }
            for name in names
        ],
    }
    outcome = gitlab.run(consumer(pipeline=json.dumps(pipeline)), "schedule", plan=True)
    assert outcome.exit == 0, outcome.told
    jobs = {*(f"my {name}" for name in names if name != "scheduled"), "watch", "train"}
    assert outcome.planned.keys() == jobs
    left_out = {name for name, when in outcome.planned.items() if when == "never"}
    assert left_out == {"my comment"}  # for merge requests alone


def test_a_component_of_a_commit_that_is_not_there_fails(gitlab: GitLab, consumer: Callable[..., Path]) -> None:
    component = {
        "component": "gitlab.example.com/acme/model-ci/check-data@v1",
        "inputs": {"toolkit-project": "acme/no"},
    }
    outcome = gitlab.run(consumer(pipeline=json.dumps({"stages": STAGES, "include": [component]})))
    assert outcome.exit == 1
    assert outcome.jobs["check-data"].status == "failed"


def test_a_person_starts_it_with_parameters(gitlab: GitLab, consumer: Callable[..., Path], toolkit: str) -> None:
    settings = "train.parameters.C=0.5\nmodel.name=other"
    outcome = gitlab.run(consumer(pipeline=include(toolkit, "pipeline", set=settings)), "web")
    assert outcome.exit == 0, outcome.told
    record = newest_record(outcome.origin)
    assert record["trigger"]["event"] == "manual"
    assert record["config"]["values"]["train"]["parameters"] == {"C": 0.5}
    assert record["model"]["name"] == "other"


def test_a_refusal_fails_the_job_with_its_reasons_as_test_cases(
    gitlab: GitLab, consumer: Callable[..., Path], toolkit: str
) -> None:
    pipeline = include(toolkit, "pipeline", set="evaluate.gates=[{metric: roc_auc, min: 0.999}]")
    outcome = gitlab.run(consumer(pipeline=pipeline))
    assert outcome.exit == 1
    job = outcome.jobs["model-ci"]
    assert job.status == "failed"
    assert job.workdir is not None
    assert job.artifacts is not None
    reports = job.workdir / ".model-ci" / "reports"
    assert "<failure" in (reports / "junit.xml").read_text()
    assert "roc_auc" in (reports / "metrics.txt").read_text()
    assert list(job.artifacts.glob(".model-ci/runs/*/run.json"))
    assert branches(outcome.origin) == {"main", "model-ci/records"}


def test_a_refusal_is_recorded_by_the_job_that_judges(
    gitlab: GitLab, consumer: Callable[..., Path], toolkit: str
) -> None:
    template = {"project": "acme/model-ci", "ref": "v1", "file": "gitlab/pipeline.gitlab-ci.yml"}
    strict = {"toolkit": toolkit, "set": "evaluate.gates=[{metric: roc_auc, min: 0.999}]"}
    train = {"job-name": "fit", "stage": "train", "stages": "check-data, train", **strict}
    judge = {"job-name": "judge", "stage": "deploy", "stages": "evaluate, register, record", **strict}
    included = [{**template, "inputs": train}, {**template, "inputs": judge}]
    outcome = gitlab.run(consumer(pipeline=json.dumps({"stages": ["train", "deploy"], "include": included})))
    states = {name: job.status for name, job in outcome.jobs.items()}
    assert states == {"fit": "success", "judge": "failed"}, outcome.told
    assert branches(outcome.origin) == {"main", "model-ci/records"}
    assert newest_record(outcome.origin)["run_id"] == outcome.jobs["fit"].dotenv["RUN_ID"]


def test_a_refusal_can_be_a_warning(gitlab: GitLab, consumer: Callable[..., Path], toolkit: str) -> None:
    settings = "evaluate.gates=[{metric: roc_auc, min: 0.999}]"
    pipeline = include(toolkit, "pipeline", set=settings, on_verdict="warn", stages="train,evaluate")
    outcome = gitlab.run(consumer(pipeline=pipeline))
    assert outcome.exit == 0, outcome.told
    assert outcome.jobs["model-ci"].dotenv["VERDICT"] == "failed"


def test_a_verdict_that_is_no_option_is_refused(gitlab: GitLab, consumer: Callable[..., Path]) -> None:
    outcome = gitlab.run(consumer(pipeline=include("none", "pipeline", on_verdict="ignore")), plan=True)
    assert outcome.exit == 1
    assert "on-verdict" in outcome.output
