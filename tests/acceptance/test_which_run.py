"""Which run an invocation goes on with: nothing is trained twice, no model is taken for another, nothing empty is left."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.conftest import Project

Command = Callable[..., Any]
MODEL = ("run", "--stages", "train,evaluate")


def trainings(project: Any) -> list[str]:
    """Name the runs that trained themselves, and did not take a model over."""
    records = [json.loads((run / "run.json").read_text()) for run in project.runs()]
    return [r["run_id"] for r in records if "train" in r["stages"] and "reused_from" not in r["stages"]["train"]]


@pytest.mark.parametrize(
    ("settings", "code"),
    [
        (["train.parameters.nope=3"], 2),
        (["train.entrypoint=model_code:nope"], 2),
        (["train.parameters.columns=[nope]"], 4),
        (["data.until=2024-11-01", "train.parameters.nope=3"], 2),  # check-data has run in the refused run
    ],
)
def test_a_refused_invocation_makes_the_next_one_train_nothing(
    project: Any, command: Command, settings: list[str], code: int
) -> None:
    stages = "check-data,train,evaluate,register"
    assert command(project.root, "run", "--stages", stages).code == 0
    overrides = [argument for setting in settings for argument in ("--set", setting)]
    assert command(project.root, "run", "--stages", stages, *overrides).code == code
    answer = command(project.root, "run", "--stages", stages)
    assert answer.code == 0, answer.text
    assert answer.err.count("unchanged") == 4, answer.err
    assert len(trainings(project)) == 1


def test_a_refused_invocation_leaves_no_folder_in_which_nothing_ran(
    ran: Callable[..., Project], command: Command
) -> None:
    project = ran("--stages", "train,evaluate")
    before = project.runs()
    for arguments, code in [
        (("train", "--set", "train.parameters.nope=3"), 2),
        (("train", "--force", "--set", "train.parameters.nope=3"), 2),
        (("monitor",), 2),
        (("promote",), 2),
        (("rollback",), 2),
        (("compare-variants",), 2),
        (("check-drift", "--set", "check-drift.rows=nowhere.csv"), 2),
        (("deploy",), 2),
    ]:
        answer = command(project.root, *arguments)
        assert answer.code == code, answer.text
        assert project.runs() == before, arguments


def test_what_a_run_trained_by_force_is_gone_on_with(ran: Callable[..., Project], command: Command) -> None:
    project = ran("--stages", "train,evaluate")
    assert command(project.root, "train", "--force").code == 0
    assert "evaluate     runs" in command(project.root, "evaluate").err
    assert len(project.runs()) == 2


def test_going_back_to_earlier_settings_goes_back_to_their_run(project: Any, command: Command) -> None:
    strict = ("--set", "evaluate.gates=[{metric: roc_auc, min: 0.999}]")
    assert command(project.root, *MODEL).code == 0
    assert command(project.root, *MODEL, "--set", "train.parameters.C=0.5", *strict).code == 3
    answer = command(project.root, *MODEL)
    assert answer.err.count(f"unchanged: done in run {project.runs()[0].name}") == 1, answer.err
    assert len(trainings(project)) == 2


@pytest.fixture
def two_models(project: Any) -> Any:
    """Two configuration files in one folder; the second one learns a number."""
    values = yaml.safe_load((project.root / "model-ci.yaml").read_text())
    values["model"] = {"name": "ages", "task": "regression"}
    values["data"]["target"] = "age"
    values["train"] = {"entrypoint": "age_code:build"}
    values["evaluate"] = {"gates": [{"metric": "mean_absolute_error", "max": 90}]}
    (project.root / "ages.yaml").write_text(yaml.safe_dump(values))
    (project.root / "age_code.py").write_text(
        "from sklearn.compose import make_column_transformer\n"
        "from sklearn.linear_model import LinearRegression\n"
        "from sklearn.pipeline import make_pipeline\n\n\n"
        "def build():\n"
        "    return make_pipeline(make_column_transformer(('passthrough', ['size'])), LinearRegression())\n"
    )
    return project


def test_two_models_in_one_folder_do_not_get_into_each_others_way(two_models: Any, command: Command) -> None:
    root, ages = two_models.root, ("--config", "ages.yaml")
    for _ in range(2):
        assert command(root, *MODEL).code == 0
        assert command(root, *MODEL, *ages).code == 0
    assert len(two_models.runs()) == 2
    shop, other = two_models.runs()
    answer = command(root, "explain", "--row", "1")
    assert answer.code == 0, answer.text
    assert f"shop of run {shop.name}" in answer.out
    assert "sold = " in answer.out
    assert f"ages of run {other.name}" in command(root, "explain", "--row", "1", *ages).out
    answer = command(root, "explain", "--row", "1", "--run", other.name)
    assert answer.code == 2
    assert f"--run {other.name}: is a run of model 'ages' in ages.yaml, not of 'shop' in model-ci.yaml" in answer.err
    for arguments in (("serve",), ("selftest",), ("evaluate",), ("run",)):
        answer = command(root, *arguments, "--run", other.name)
        assert answer.code == 2, arguments
        assert "is a run of model 'ages'" in answer.err, answer.text


def test_one_model_by_two_files_is_two_lines_of_runs(project: Any, command: Command) -> None:
    shutil.copy(project.root / "model-ci.yaml", project.root / "nightly.yaml")
    assert command(project.root, "train").code == 0
    answer = command(project.root, "evaluate", "--config", "nightly.yaml")
    assert answer.code == 2
    assert "evaluate: there is no run of shop with a train; run `model-ci train` first" in answer.err


def test_explain_a_row_of_a_model_that_was_refused_says_so(project: Any, command: Command) -> None:
    project.configure(evaluate={"gates": [{"metric": "roc_auc", "min": 0.999}]})
    assert command(project.root, *MODEL).code == 3
    answer = command(project.root, "explain", "--row", "1")
    assert f"shop of run {project.runs()[0].name}, which was refused: evaluate failed" in answer.out


@pytest.fixture
def failed(project: Any, command: Command) -> Any:
    """A run whose last stage failed."""
    project.configure(explain={"max_share": {"size": 0.01}, "rows": 50})
    assert command(project.root, "run", "--stages", "train,evaluate,explain").code == 3
    return project


def test_a_later_failure_does_not_block_an_earlier_stage(failed: Any, command: Command) -> None:
    change = ("--stages", "train,evaluate", "--set", "train.parameters.C=0.5")
    dry = command(failed.root, "run", "--dry-run", *change).out.splitlines()
    answer = command(failed.root, "run", *change)
    assert answer.code == 0, answer.text
    assert dry == ["train        runs: train section changed", "evaluate     runs: train runs before it"]
    for line in dry:
        assert line in answer.err


@pytest.mark.parametrize(
    "arguments",
    [
        ["run", "--stages", "train,evaluate,explain,register"],
        ["run", "--stages", "train,evaluate,explain,register", "--set", "train.parameters.C=0.5"],
        ["run", "--stages", "explain,register"],
        ["run", "--stages", "evaluate"],
        ["run", "--stages", "explain", "--set", "explain.max_share={size: 0.02}"],
        ["register"],
        ["run", "--stages", "train,evaluate", "--force"],
        ["run"],
    ],
)
def test_the_dry_run_says_what_the_run_does(failed: Any, command: Command, arguments: list[str]) -> None:
    stages = arguments if arguments[0] == "run" else ["run", "--stages", arguments[0], *arguments[1:]]
    before = failed.runs()
    dry = command(failed.root, *stages, "--dry-run").out.splitlines()
    assert failed.runs() == before
    answer = command(failed.root, *arguments)
    done = {line.split()[0]: line for line in answer.err.splitlines() if " after " not in line}
    for line in dry:
        name = line.split()[0]
        # the dry run cannot know that a stage is going to fail; it may promise a stage after it
        if "refused" not in done[name] or "refused" in line:
            assert done[name] == line


def test_advice_names_a_command_that_helps(project: Any, command: Command) -> None:
    for stage, helps in [("deploy", "run --stages train,build-image"), ("register", "run --stages train,evaluate")]:
        answer = command(project.root, stage)
        assert answer.code == 2
        assert f"run `model-ci {helps}` first" in answer.err, answer.err
    assert command(project.root, *"run --stages train,evaluate".split()).code == 0
    assert command(project.root, "register").code == 0


def test_a_run_that_was_killed_after_it_began_is_passed_over(ran: Callable[..., Project], command: Command) -> None:
    """A `--force` that died before its first stage ended has a record with what it took over, and nothing of its own."""
    project = ran("--stages", "train,evaluate")
    whole = project.runs()[0]
    half: Path = whole.with_name("29991231T000000000Z-00000000")
    shutil.copytree(whole, half)
    record = json.loads((half / "run.json").read_text())
    taken = {name: s | {"reused_from": whole.name} for name, s in record["stages"].items() if name == "train"}
    (half / "run.json").write_text(json.dumps(record | {"run_id": half.name, "stages": taken}))
    for arguments in (("run", "--dry-run", "--stages", "train,evaluate"), MODEL):
        answer = command(project.root, *arguments)
        assert answer.code == 0
        assert f"evaluate     unchanged: passed in run {whole.name}" in answer.text
