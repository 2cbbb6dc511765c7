"""`model-ci init` on repositories as people have them; what it writes is run."""

import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml

from model_ci.commands.init import command as init
from model_ci.commands.init import files as init_files
from model_ci.commands.init.columns import Given
from model_ci.errors import ConfigError

ROOT = Path(__file__).resolve().parents[2]
ROWS = 600


ModelCI = Callable[..., Any]  # the fixture `command`


def run(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"DVC_NO_ANALYTICS": "1"}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    folder = tmp_path / "shop"
    (folder / "data").mkdir(parents=True)
    run(folder, "git", "init", "--quiet", "--initial-branch=main", ".")
    return folder


def customers(rows: int = ROWS) -> pl.DataFrame:
    """A target in the middle, text, gaps, a flag, an identifier."""
    draw = random.Random(1)
    age = [draw.randint(18, 80) for _ in range(rows)]
    plan = [draw.choice(["basic", "plus", "pro"]) for _ in range(rows)]
    leaves = [draw.random() < 0.1 + 0.4 * (p == "basic") + 0.3 * (a < 30) for a, p in zip(age, plan, strict=True)]
    return pl.DataFrame(
        {
            "customer_id": [f"C{i:05}" for i in range(rows)],
            "churned": ["yes" if left else "no" for left in leaves],
            "age": age,
            "plan": plan,
            "member": [draw.random() < 0.5 for _ in range(rows)],
            "spend": [None if draw.random() < 0.1 else draw.random() * 100 for _ in range(rows)],
        }
    )


def month_of_trips(month: int, rows: int = 300) -> pl.DataFrame:
    draw = random.Random(month)
    begin = datetime(2024, month, 1)
    hours = sorted(draw.random() * 24 * 28 for _ in range(rows))
    distance = [draw.random() * 10 for _ in range(rows)]
    return pl.DataFrame(
        {
            "pickup": [begin + timedelta(hours=hour) for hour in hours],
            "zone": [draw.choice(["north", "south", None]) for _ in range(rows)],
            "distance": distance,
            "late": [draw.random() < 0.2 + d / 20 for d in distance],
        }
    )


def houses(rows: int = ROWS) -> pl.DataFrame:
    draw = random.Random(2)
    area = [draw.uniform(30, 200) for _ in range(rows)]
    return pl.DataFrame(
        {
            "area": area,
            "district": [draw.choice("ABCD") for _ in range(rows)],
            "price": [a * 3000 + draw.gauss(0, 20_000) for a in area],
        }
    )


def flowers(rows: int = 150) -> pl.DataFrame:
    draw = random.Random(3)
    kinds = [i % 3 for i in range(rows)]
    return pl.DataFrame(
        {
            "sepal": [k + draw.gauss(0, 0.4) for k in kinds],
            "petal": [2 * k + draw.gauss(0, 0.6) for k in kinds],
            "kind": [["setosa", "versicolor", "virginica"][k] for k in kinds],
        }
    )


def configuration(folder: Path) -> dict:
    return yaml.safe_load((folder / "model-ci.yaml").read_text())


def succeeds(command: ModelCI, folder: Path) -> None:
    """Commit everything, as a user does, and run."""
    run(folder, "git", "add", ".")
    run(folder, "git", "commit", "--quiet", "--message", "Begin")
    done = command(folder, "run")
    assert done.code == 0, done.out + done.err


def test_text_columns_and_two_classes(command: ModelCI, repository: Path) -> None:
    customers().write_csv(repository / "data" / "customers.csv")
    done = command(repository, "init")
    assert done.code == 0, done.err
    assert "churned" in done.out
    assert "two values: 'no', 'yes'" in done.out
    written = configuration(repository)
    assert written["data"] == {"path": "data/customers.csv", "target": "churned", "exclude": ["customer_id"]}
    assert written["model"] == {"name": "shop", "task": "binary", "positive": "yes"}
    succeeds(command, repository)


def test_monthly_files_with_times(command: ModelCI, repository: Path) -> None:
    for month in (1, 2, 3):
        month_of_trips(month).write_parquet(repository / "data" / f"trips-2024-{month:02}.parquet")
    assert command(repository, "init").code == 0
    written = configuration(repository)
    assert written["data"] == {"path": "data/trips-2024-*.parquet", "target": "late", "time_column": "pickup"}
    succeeds(command, repository)


def test_a_number_is_predicted(command: ModelCI, repository: Path) -> None:
    houses().write_csv(repository / "houses.csv")
    assert command(repository, "init").code == 0
    written = configuration(repository)
    assert written["model"]["task"] == "regression"
    assert written["evaluate"]["gates"] == [{"metric": "r2", "min": 0, "max_drop": 0.02}]
    succeeds(command, repository)


def test_few_rows_of_three_classes(command: ModelCI, repository: Path) -> None:
    flowers().write_csv(repository / "data" / "flowers.csv")
    assert command(repository, "init").code == 0
    assert configuration(repository)["model"]["task"] == "multiclass"
    succeeds(command, repository)


def test_data_that_only_the_dvc_remote_has(command: ModelCI, repository: Path, tmp_path: Path) -> None:
    for number, part in enumerate(customers().partition_by("plan")):
        part.write_parquet(repository / "data" / f"part-{number}.parquet")
    dvc = (sys.executable, "-m", "dvc")
    for step in (
        ("init", "--quiet"),
        ("remote", "add", "--default", "storage", str(tmp_path / "storage")),
        ("add", "--quiet", "data"),
        ("push", "--quiet"),
    ):
        assert run(repository, *dvc, *step).returncode == 0
    shutil.rmtree(repository / "data")
    shutil.rmtree(repository / ".dvc" / "cache")
    done = command(repository, "init")
    assert done.code == 0, done.err
    assert configuration(repository)["data"]["path"] == "data/part-*.parquet"
    shutil.rmtree(repository / "data")
    succeeds(command, repository)


def test_no_data(command: ModelCI, repository: Path) -> None:
    (repository / ".hidden").mkdir()
    customers(30).write_csv(repository / ".hidden" / "customers.csv")
    done = command(repository, "init")
    assert done.code == 2
    assert "no CSV or Parquet file here" in done.err
    assert "--data" in done.err
    assert not (repository / "model-ci.yaml").exists()


def test_of_two_tables_the_one_below_data_is_taken_and_the_other_named(repository: Path) -> None:
    customers(300).write_csv(repository / "old.csv")
    houses(100).write_csv(repository / "data" / "houses.csv")
    proposal = init.propose(repository)
    assert proposal.table.pattern == "data/houses.csv"
    assert proposal.others == ("old.csv",)
    assert init.propose(repository, data="old.csv").roles.target.value == "churned"


def test_a_column_without_a_telling_name(repository: Path) -> None:
    houses(100).rename({"price": "z"}).write_csv(repository / "houses.csv")
    target = init.propose(repository).roles.target
    assert (target.value, target.why) == ("z", "the last column; no name says what is to be predicted")


def test_an_identifier_is_never_the_target(repository: Path) -> None:
    table = customers(100).select("age", "plan", (pl.col("age").rank("random", seed=1) * 7).alias("orderId"))
    table.write_csv(repository / "customers.csv")
    roles = init.propose(repository).roles
    assert roles.target.value == "plan"
    assert roles.excluded == {"orderId": "an identifier, by its name"}


def test_what_is_told_is_kept(repository: Path) -> None:
    customers(100).write_csv(repository / "customers.csv")
    roles = init.propose(repository, Given(target="plan", task="multiclass")).roles
    assert (roles.target.value, roles.task.value) == ("plan", "multiclass")
    with pytest.raises(ConfigError, match="--target chruned: no such column; did you mean 'churned'"):
        init.propose(repository, Given(target="chruned"))
    with pytest.raises(ConfigError, match="--task regression: churned holds String"):
        init.propose(repository, Given(task="regression"))
    with pytest.raises(ConfigError, match=r"--data nothing\.csv: no such file"):
        init.propose(repository, data="nothing.csv")


def test_a_holdout_by_time_that_lacks_a_class_is_not_proposed(repository: Path) -> None:
    month_of_trips(1).sort("late").with_columns(pickup=month_of_trips(1)["pickup"]).write_parquet(
        repository / "trips.parquet"
    )
    assert init.propose(repository).roles.time_column is None


def test_a_column_that_knows_the_answer_is_left_out(command: ModelCI, repository: Path) -> None:
    table = month_of_trips(1).with_columns(minutes=pl.when("late").then(pl.lit(20)).otherwise(pl.lit(0)))
    table.write_csv(repository / "data" / "trips.csv")
    done = command(repository, "init", "--target", "late")
    assert done.code == 0, done.err
    assert "predicts late all by itself (1.000): is it known beforehand?" in done.out
    assert configuration(repository)["data"]["exclude"] == ["minutes"]
    checked = command(repository, "check-data")
    assert checked.code == 0, checked.out + checked.err


def test_rows_that_look_alike_are_allowed_when_they_are_the_rule(command: ModelCI, repository: Path) -> None:
    month_of_trips(1).with_columns(pl.col("distance").round(0)).write_csv(repository / "data" / "trips.csv")
    done = command(repository, "init")
    assert done.code == 0, done.err
    assert configuration(repository)["check-data"]["overlap"] > 0.5
    checked = command(repository, "check-data")
    assert checked.code == 0, checked.out + checked.err


def test_nothing_is_overwritten(command: ModelCI, repository: Path) -> None:
    customers(100).write_csv(repository / "customers.csv")
    run(repository, "git", "remote", "add", "origin", "git@gitlab.com:acme/shop.git")
    mine = dict.fromkeys(("model-ci.yaml", ".gitignore", ".gitlab-ci.yml", "train_model.py"), "# mine\n")
    for name, text in mine.items():
        (repository / name).write_text(text)
    done = command(repository, "init")
    assert done.code == 0, done.err
    assert {name: (repository / name).read_text() for name in mine} == mine
    assert not (repository / "train_model_2.py").exists()
    assert "is there already; --force replaces it" in done.out
    assert "Add to .gitlab-ci.yml:\n\ninclude:" in done.out
    assert command(repository, "init", "--force").code == 0
    assert configuration(repository)["train"]["entrypoint"] == "train_model_2:build"
    assert (repository / ".gitlab-ci.yml").read_text() == "# mine\n"


def test_an_entry_point_that_is_there_is_taken(repository: Path) -> None:
    customers(100).write_csv(repository / "customers.csv")
    (repository / "models").mkdir()
    (repository / "models" / "forest.py").write_text("import sklearn\n\n\ndef build_model(depth=3):\n    ...\n")
    (repository / "broken.py").write_text("import sklearn\ndef build(:\n")
    (repository / "needs.py").write_text("import sklearn\n\n\ndef build(depth):\n    ...\n")
    entrypoint = init.propose(repository).entrypoint
    assert entrypoint is not None
    assert entrypoint.value == "models.forest:build_model"


@pytest.mark.parametrize(
    ("origin", "platform", "files"),
    [
        (
            "https://github.com/acme/shop.git",
            "github",
            {".github/workflows/model-ci.yml", ".github/workflows/model-ci-comment.yml"},
        ),
        ("git@gitlab.example.com:acme/shop.git", "gitlab", {".gitlab-ci.yml"}),
        ("https://git.example.com/shop.git", "none", set()),
    ],
)
def test_the_platform_is_that_of_origin(repository: Path, origin: str, platform: str, files: set[str]) -> None:
    customers(100).write_csv(repository / "customers.csv")
    run(repository, "git", "remote", "add", "origin", origin)
    proposal = init.propose(repository)
    assert proposal.platform.value == platform
    planned = {path.relative_to(repository).as_posix() for path in init.plan(proposal)}
    assert planned - {"model-ci.yaml", "train_model.py", ".gitignore"} == files


@pytest.mark.parametrize(("platform", "key"), [("github", "with"), ("gitlab", "inputs")])
def test_a_project_in_a_folder_is_told_to_the_platform(repository: Path, platform: str, key: str) -> None:
    project = repository / "models" / "churn"
    project.mkdir(parents=True)
    customers(100).write_csv(project / "customers.csv")
    proposal = init.propose(project, platform=platform)
    documents = {file.name: yaml.safe_load(text) for file, text in init.plan(proposal).items() if file.suffix == ".yml"}
    if platform == "github":
        calls = [documents["model-ci.yml"]["jobs"]["model"]]  # the one that comments checks nothing out
    else:
        calls = documents[".gitlab-ci.yml"]["include"]
        assert [Path(call["file"]).name.partition(".")[0] for call in calls] == ["pipeline", "comment"]
    assert [call[key]["working-directory"] for call in calls] == ["models/churn"] * len(calls)


def test_the_workflow_that_comments_follows_the_one_that_runs() -> None:
    run, comment = (yaml.safe_load(text) for text in init_files.workflows("github", ".").values())
    assert comment[True]["workflow_run"]["workflows"] == [run["name"]]
    assert comment["permissions"] == {}


def test_the_pipelines_are_those_of_the_example() -> None:
    templates = ROOT / "scripts" / "model_ci" / "commands" / "init" / "templates"
    example = ROOT / "example-project"
    workflow = (example / ".github" / "workflows" / "model-ci.yml").read_text()
    # The example's file names no store, so that it runs on a laptop without a branch; `init` writes one into the file.
    named = "set: |\n        register.store=branch\n        ${{ inputs.set }}\n"
    assert (templates / "github.yml").read_text() == workflow.replace(named, "set: ${{ inputs.set }}\n")
    comment = example / ".github" / "workflows" / "model-ci-comment.yml"
    assert (templates / "github-comment.yml").read_text() == comment.read_text()
    assert (templates / "gitlab.yml").read_text() == (example / ".gitlab-ci.yml").read_text()
