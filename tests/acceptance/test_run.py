"""`model-ci run` through its front door: every verdict, what is skipped, what is left out."""

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import Project

GITHUB_PULL_REQUEST = {"GITHUB_ACTIONS": "true", "GITHUB_EVENT_NAME": "pull_request", "GITHUB_REF": "refs/pull/7/merge"}
Command = Callable[..., Any]


def champion(project: Any) -> str | None:
    section = project.record()["stages"].get("register")
    return section["champion"] if section else None


def test_the_first_run_registers_a_champion_and_says_there_was_none(project: Any, command: Command) -> None:
    answer = command(project.root, "run")
    assert answer.code == 0, answer.text
    assert answer.out.startswith("shop: passed\n")
    assert "There is no champion yet: judged by the absolute gates only." in answer.out
    assert "Registered as shop version 1, which is the champion now." in answer.out
    assert "not pushed" not in answer.out  # there is nowhere to push to
    record = project.record()
    assert record["verdict"] == "passed"
    assert list(record["stages"]) == ["check-data", "train", "evaluate", "register", "record"]
    train = record["stages"]["train"]
    assert train["parameters"] == {"C": 1.0}
    assert train["hyperparameters"]["logisticregression__C"] == 1.0
    assert train["data"]["files"][0]["path"] == "data.csv"
    assert train["duration_s"] > 0


def test_nothing_to_do_says_so_and_gives_the_same_verdict(ran: Callable[..., Project], command: Command) -> None:
    project = ran()
    before = project.record()
    answer = command(project.root, "run")
    assert answer.code == 0
    assert answer.err.count("unchanged") == 5, answer.err
    assert project.record() == before
    assert len(project.runs()) == 1


def test_a_refusal_stays_a_refusal_when_nothing_changed(project: Any, command: Command) -> None:
    project.configure(evaluate={"gates": [{"metric": "roc_auc", "min": 0.999}]})
    first, second = command(project.root, "run"), command(project.root, "run")
    assert (first.code, second.code) == (3, 3)
    assert "evaluate     unchanged: failed" in second.err


def test_better_passes_and_becomes_champion(ran: Callable[..., Project], command: Command) -> None:
    project = ran("--set", "train.parameters.columns=[age]")
    answer = command(project.root, "run")
    assert answer.code == 0, answer.text
    assert "Champion is version 1." in answer.out
    assert champion(project) == "2"
    assert project.record()["stages"]["register"]["previous"] == "1"


def test_worse_is_refused_with_the_table_that_says_why(ran: Callable[..., Project], command: Command) -> None:
    project = ran()
    answer = command(project.root, "run", "--set", "train.parameters.columns=[age]")
    assert answer.code == 3
    assert answer.out.startswith("shop: refused\n")
    assert "lower than the champion, 0.01 allowed" in answer.out
    assert "register     refused: evaluate failed" in answer.err
    record = project.record()
    assert record["verdict"] == "failed"
    assert "register" not in record["stages"]
    assert "record" in record["stages"], "a refusal is written down too"
    (relative,) = [g for g in record["stages"]["evaluate"]["gates"] if g["condition"] == "max_drop"]
    assert relative["difference"] < -0.01


def test_equal_passes(ran: Callable[..., Project], command: Command) -> None:
    project = ran()
    answer = command(project.root, "run", "--force")
    assert answer.code == 0, answer.text
    gates = project.record()["stages"]["evaluate"]["gates"]
    assert [g["difference"] for g in gates if g["condition"] == "max_drop"] == [0.0]
    assert len(project.runs()) == 2


def test_a_metric_that_is_nan_is_refused(project: Any, command: Command) -> None:
    (project.root / "own.py").write_text("def broken(truth, probability):\n    return float('nan')\n")
    project.configure(evaluate={"gates": [{"metric": "own:broken", "min": 0.1}, {"metric": "roc_auc", "min": 0.5}]})
    answer = command(project.root, "run")
    assert answer.code == 3
    assert "is nan; what is not there does not pass" in answer.out


def test_a_metric_that_raises_is_refused(project: Any, command: Command) -> None:
    (project.root / "own.py").write_text("def broken(truth, probability):\n    return {}['x']\n")
    project.configure(evaluate={"gates": [{"metric": "own:broken", "max": 0.1}]})
    answer = command(project.root, "run")
    assert answer.code == 3
    assert "KeyError: 'x'; what is not there does not pass" in answer.out


def test_predictions_of_nan_are_refused(project: Any, command: Command) -> None:
    with (project.root / "model_code.py").open("a") as code:
        code.write(
            "\n\nclass Nan(LogisticRegression):\n    def predict_proba(self, X):\n"
            "        return super().predict_proba(X) * float('nan')\n\n\n"
            "def nan():\n    return make_pipeline(make_column_transformer(('passthrough', ['size'])), Nan())\n"
        )
    project.configure(train={"entrypoint": "model_code:nan", "parameters": {}})
    answer = command(project.root, "run")
    assert answer.code == 3, answer.text
    assert "what is not there does not pass" in answer.out


def test_too_little_data_is_refused(project: Any, command: Command) -> None:
    project.configure(evaluate={"min_rows": 5000})
    answer = command(project.root, "run")
    assert answer.code == 3
    assert "Too little data to judge on: the holdout has" in answer.out


def test_relative_gates_alone_refuse_the_first_model(project: Any, command: Command) -> None:
    project.configure(evaluate={"gates": [{"metric": "roc_auc", "max_drop": 0.01}]})
    answer = command(project.root, "run")
    assert answer.code == 3
    assert "add a min or max to a gate" in answer.out


def test_a_champion_that_can_no_longer_be_asked_lets_nothing_pass(
    ran: Callable[..., Project], command: Command
) -> None:
    project = ran()
    table = (project.root / "data.csv").read_text().replace("day,size,age,kind,sold", "day,size,years,kind,sold")
    (project.root / "data.csv").write_text(table)
    answer = command(project.root, "run", "--set", "train.parameters.columns=[size]", "--stages", "train,evaluate")
    assert answer.code == 3
    assert "the model needs the columns age" in answer.out


def test_on_verdict_warn_ends_with_zero_and_still_says_no(project: Any, command: Command) -> None:
    project.configure(evaluate={"gates": [{"metric": "roc_auc", "min": 0.999}]})
    answer = command(project.root, "run", "--on-verdict", "warn")
    assert answer.code == 0
    assert answer.out.startswith("shop: refused")
    assert project.record()["verdict"] == "failed"


def test_a_stage_by_itself_goes_on_with_the_newest_run(project: Any, command: Command) -> None:
    for stage in ("check-data", "train", "evaluate", "register", "record"):
        answer = command(project.root, stage)
        assert answer.code == 0, answer.text
    assert len(project.runs()) == 1
    assert champion(project) == "1"


def test_a_change_begins_a_new_run_that_takes_over_what_is_unchanged(
    ran: Callable[..., Project], command: Command
) -> None:
    project = ran()
    first = project.record()["run_id"]
    project.configure(evaluate={"gates": [{"metric": "roc_auc", "min": 0.61}]})
    answer = command(project.root, "run")
    assert answer.code == 0, answer.text
    assert "train        unchanged" in answer.err
    assert "evaluate     runs: evaluate section changed" in answer.err
    assert project.record()["stages"]["train"]["reused_from"] == first
    assert (project.runs()[-1] / "model" / "MLmodel").is_file()


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda p: p.configure(train={"parameters": {"C": 0.5}}), "train section changed"),
        (lambda p: (p.root / "model_code.py").open("a").write("\n# a comment\n"), "model_code.py changed"),
        (lambda p: (p.root / "data.csv").open("a").write("2024-12-30,1.0,5,a,1\n"), "data changed"),
    ],
)
def test_dry_run_says_what_would_run_and_why_and_runs_nothing(
    ran: Callable[..., Project], command: Command, change: Callable[[Any], Any], why: str
) -> None:
    project = ran()
    change(project)
    answer = command(project.root, "run", "--dry-run", "--stages", "train,evaluate,register")
    assert answer.code == 0
    assert why in answer.out.splitlines()[0], answer.out
    assert answer.out.splitlines()[1] == "evaluate     runs: train runs before it"
    assert len(project.runs()) == 1


def test_a_pull_request_only_reads(
    ran: Callable[..., Project], command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = ran()
    for name, value in GITHUB_PULL_REQUEST.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("GITHUB_OUTPUT", str(project.root / "outputs"))
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(project.root / "summary.md"))
    project.configure(register={"store": "file"}, train={"parameters": {"C": 0.9}})
    answer = command(project.root, "run")
    assert answer.code == 0, answer.text
    assert answer.err.count("left out: a pull request only reads") == 2
    assert list(project.record()["stages"]) == ["check-data", "train", "evaluate"]
    assert project.record()["stages"]["evaluate"]["champion"] == {"version": "1", "run_id": project.runs()[0].name}
    assert (project.root / "summary.md").read_text().startswith("## ✅ shop: passed")
    assert "verdict<<" in (project.root / "outputs").read_text()


def test_gitlab_gets_its_report_files(project: Any, command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"GITLAB_CI": "true", "CI_PIPELINE_SOURCE": "push", "CI_COMMIT_BRANCH": "main"}.items():
        monkeypatch.setenv(name, value)
    project.configure(register={"store": "file"}, evaluate={"gates": [{"metric": "roc_auc", "min": 0.999}]})
    answer = command(project.root, "run")
    assert answer.code == 3
    reports = project.root / ".model-ci" / "reports"
    assert "VERDICT=failed\n" in (reports / "outputs.env").read_text()
    assert 'failures="2"' in (reports / "junit.xml").read_text()
    assert (reports / "metrics.txt").read_text().startswith("roc_auc 0.")


def test_another_process_at_work_is_told(project: Any, command: Command) -> None:
    from model_ci.run import exclusive

    with exclusive(project.root):
        answer = command(project.root, "run")
    assert answer.code == 2
    assert "another model-ci works in this folder" in answer.err


def test_equal_seeds_make_equal_models(project: Any, command: Command) -> None:
    probes = []
    for _ in range(2):
        command(project.root, "train", "--force")
        probes.append(project.record()["stages"]["train"]["model"]["probe_sha256"])
    assert probes[0] == probes[1]


def test_a_changed_model_file_is_not_loaded(ran: Callable[..., Project], command: Command) -> None:
    project = ran("--stages", "train")
    with (project.runs()[-1] / "model" / "MLmodel").open("a") as file:
        file.write("\n")
    answer = command(project.root, "evaluate")
    assert answer.code == 2
    assert "MLmodel not as recorded when the model was trained" in answer.err


def test_a_damaged_record_is_told(ran: Callable[..., Project], command: Command) -> None:
    project = ran("--stages", "train")
    record = project.runs()[-1] / "run.json"
    values = json.loads(record.read_text())
    del values["stages"]["train"]["model"]["files"]
    record.write_text(json.dumps(values))
    answer = command(project.root, "run")
    assert answer.code == 2
    assert "'files' is missing" in answer.err


def test_runs_of_another_version_are_left_alone(ran: Callable[..., Project], command: Command) -> None:
    project = ran("--stages", "train")
    record = project.runs()[-1] / "run.json"
    values = json.loads(record.read_text())
    values["tool"]["version"] = "0.0.1"
    values["a key of old"] = values.pop("trigger")
    record.write_text(json.dumps(values))
    answer = command(project.root, "train")
    assert answer.code == 0, answer.text
    assert "train        runs: it has not run yet" in answer.err
    assert len(project.runs()) == 2


def test_a_record_that_could_not_be_pushed_is_pushed_the_next_time(project: Any, command: Command) -> None:
    origin = project.root.parent / "origin.git"
    subprocess.run(["git", "remote", "add", "origin", str(origin)], cwd=project.root, check=True)
    answer = command(project.root, "run")
    assert answer.code == 0, answer.text  # the verdict does not depend on it
    assert project.record()["stages"]["record"]["pushed"] is False
    assert "The record was not pushed to model-ci/records" in answer.out
    assert command(project.root, "record").code == 5
    subprocess.run(["git", "init", "-q", "--bare", str(origin)], check=True)
    assert command(project.root, "run").code == 0
    assert project.record()["stages"]["record"]["pushed"] is True
    assert len(project.runs()) == 1
    listed = subprocess.run(
        ["git", "ls-tree", "-r", "--name-only", "model-ci/records"],
        cwd=origin,
        check=True,
        capture_output=True,
        text=True,
    )
    assert f"runs/{project.runs()[0].name}/run.json" in listed.stdout


def test_a_record_that_is_required_ends_with_its_own_code(project: Any, command: Command) -> None:
    subprocess.run(["git", "remote", "add", "origin", str(project.root / "nowhere")], cwd=project.root, check=True)
    project.configure(record={"required": True})
    assert command(project.root, "run").code == 5
    project.configure(evaluate={"gates": [{"metric": "roc_auc", "min": 0.999}]})
    assert command(project.root, "run").code == 3, "a no stays a no"


def test_a_run_that_other_gates_judged_is_not_registered(ran: Callable[..., Project], command: Command) -> None:
    project = ran("--stages", "train,evaluate")
    project.configure(evaluate={"gates": [{"metric": "roc_auc", "min": 0.999}]})
    answer = command(project.root, "register")
    assert answer.code == 2
    assert "register: the section evaluate changed since run" in answer.err
    assert champion(project) is None


def test_what_was_made_differently_stands_in_the_report(ran: Callable[..., Project], command: Command) -> None:
    project = ran()
    assert project.record()["stages"]["evaluate"]["changed"] is None
    answer = command(project.root, "run", "--set", "train.parameters.C=0.5")
    found = {change["what"]: change for change in project.record()["stages"]["evaluate"]["changed"]}
    assert found["parameter C"] == {"what": "parameter C", "champion": 1.0, "challenger": 0.5}
    assert not {"data version", "code"} & set(found)
    assert "Made differently" in answer.out


@pytest.mark.parametrize("stage", ["evaluate", "explain"])
@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda p: p.configure(train={"parameters": {"C": 0.5}}), "train section"),
        (lambda p: (p.root / "model_code.py").open("a").write("\n# a comment\n"), "model_code.py"),
    ],
)
def test_a_model_that_would_be_made_otherwise_now_is_judged_only_by_name(
    ran: Callable[..., Project], command: Command, stage: str, change: Callable[[Any], Any], why: str
) -> None:
    project = ran("--stages", "train,evaluate")
    (run,) = project.runs()
    change(project)
    answer = command(project.root, stage)
    assert answer.code == 2, answer.text
    assert f"{stage}: {why} changed since train ended in run {run.name}; run `model-ci train` first" in answer.err
    assert command(project.root, "run", "--dry-run", "--stages", stage).code == 2
    if stage == "evaluate":
        assert command(project.root, stage, "--run", run.name).code == 0
        assert command(project.root, "run", "--stages", "train,evaluate").code == 0


def test_a_model_that_is_named_is_not_judged_on_other_rows(ran: Callable[..., Project], command: Command) -> None:
    project = ran("--stages", "train,evaluate")
    (run,) = project.runs()
    answer = command(project.root, "evaluate", "--run", run.name, "--set", "data.holdout.share=0.4")
    assert answer.code == 2, answer.text
    assert f"evaluate: data section changed since train ended in run {run.name}" in answer.err


@pytest.mark.parametrize("how", ["entrypoint", "command"])
def test_the_users_code_does_not_see_the_token_that_git_pushes_by(
    project: Any, command: Command, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    monkeypatch.setenv("MODEL_CI_GIT_TOKEN", "secret")
    leak = project.root / "leak.txt"
    code = project.root / "model_code.py"
    seen = f"import os, subprocess\nopen({str(leak)!r}, 'w').write(subprocess.check_output(['env'], text=True))\n"
    code.write_text(seen + code.read_text())
    if how == "command":
        file = project.root / "model-ci.yaml"
        file.write_text(file.read_text().replace("entrypoint: model_code:build", f"command: env > {leak}; false"))
    answer = command(project.root, "run", "--stages", "train")
    assert answer.code == (0 if how == "entrypoint" else 4), answer.text
    assert "PATH=" in leak.read_text()
    assert "MODEL_CI_GIT_TOKEN" not in leak.read_text()


def test_every_stage_keeps_to_the_threads_also_in_a_process_that_has_them_already(
    project: Any, command: Command
) -> None:
    from threadpoolctl import threadpool_limits

    seen = project.root / "threads.json"
    (project.root / "own.py").write_text(
        "import json, pathlib, threadpoolctl\ndef held():\n"
        "    threads = {pool['num_threads'] for pool in threadpoolctl.threadpool_info()}\n"
        f"    pathlib.Path({str(seen)!r}).write_text(json.dumps(sorted(threads)))\n    return True\n"
    )
    project.configure(evaluate={"own_gates": ["own:held"]})
    import sklearn.ensemble  # noqa: F401 - brings OpenMP, which reads its variables once

    with threadpool_limits(2):
        answer = command(project.root, "run", "--stages", "train,evaluate")
    assert answer.code == 0, answer.text
    assert json.loads(seen.read_text()) == [1]


@pytest.mark.parametrize("folder", ["", "teams/a", ".models"])
def test_the_record_names_the_folder_below_the_top(project: Any, command: Command, tmp_path: Path, folder: str) -> None:
    place = tmp_path / "repository" / folder
    shutil.copytree(project.root, place, ignore=shutil.ignore_patterns(".git", ".model-ci"))
    subprocess.run(["git", "init", "-q", "."], cwd=tmp_path / "repository", check=True)
    assert command(place, "run", "--stages", "check-data").code == 0
    (record,) = (place / ".model-ci" / "runs").glob("*/run.json")
    assert json.loads(record.read_text())["config"] | {"values": None} == {
        "file": "model-ci.yaml", "folder": folder, "values": None,
    }  # fmt: skip
