"""What is trained, and on which rows: windows that follow a change, samples, warm starts, online, and the way back."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from tests.conftest import Project

Command = Callable[..., Any]

BOOSTING = """
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.compose import make_column_transformer
from sklearn.preprocessing import OrdinalEncoder
from sklearn.pipeline import make_pipeline

def build(max_iter=20, learning_rate=0.1):
    kinds = (OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1), ["kind"])
    columns = make_column_transformer(kinds, remainder="passthrough")
    return make_pipeline(columns, HistGradientBoostingClassifier(
        max_iter=max_iter, learning_rate=learning_rate, early_stopping=False))
"""
LINEAR = """
from sklearn.compose import make_column_transformer
from sklearn.linear_model import SGDClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

def build(alpha=0.001):
    columns = make_column_transformer((OneHotEncoder(handle_unknown="ignore"), ["kind"]), (StandardScaler(), ["size", "age"]))
    return make_pipeline(columns, SGDClassifier(loss="log_loss", alpha=alpha))
"""
FOREST_OF_ITS_OWN = """
from sklearn.ensemble import GradientBoostingClassifier
from sklearn.compose import make_column_transformer
from sklearn.pipeline import make_pipeline

def build(n_estimators=10, init_model=None):
    seen = [] if init_model is None else [step.n_estimators_ for step in [init_model.steps[-1][1]]]
    columns = make_column_transformer(("passthrough", ["size", "age"]))
    return make_pipeline(columns, GradientBoostingClassifier(n_estimators=n_estimators + sum(seen)))
"""


def rows(days: int, per_day: int = 40, flips: int | None = None, seed: int = 0) -> pd.DataFrame:
    """Rows whose target follows `size`, and from the day `flips` on its opposite."""
    draw = np.random.default_rng(seed)
    count = days * per_day
    day = np.arange(count) // per_day
    size, age = draw.normal(size=count), draw.integers(1, 90, count)
    sign = np.where(day >= (days if flips is None else flips), -1, 1)
    sold = (sign * size + draw.normal(size=count) > 0.5).astype(int)
    when = np.datetime64("2024-01-01") + day.astype("timedelta64[D]")
    return pd.DataFrame(
        {"day": when, "size": size, "age": age, "kind": draw.choice(["a", "b", "c"], count), "sold": sold}
    )


def prepare(project: Project, code: str, parameters: dict[str, Any], frame: pd.DataFrame, **train: Any) -> None:
    (project.root / "model_code.py").write_text(code)
    frame.to_parquet(project.root / "data.parquet")
    values = yaml.safe_load((project.root / "model-ci.yaml").read_text())
    values["data"] |= {"path": "data.parquet", "holdout": {"last": "10d"}}
    values["train"] = {"entrypoint": "model_code:build", "parameters": parameters, **train}
    values["check-data"] = {"min_rows": 10}
    values["evaluate"]["gates"] = [{"metric": "roc_auc", "min": 0.5, "max_drop": 0.05}]
    (project.root / "model-ci.yaml").write_text(yaml.safe_dump(values, sort_keys=False))


def trained(project: Project) -> dict[str, Any]:
    return project.record()["stages"]["train"]  # type: ignore[no-any-return]


def test_a_warm_start_goes_on_from_the_champion(project: Project, command: Command) -> None:
    prepare(project, BOOSTING, {"max_iter": 20}, rows(60), mode="warm_start", warm_start={"add": 7})
    answer = command(project.root, "run")
    assert answer.code == 0, answer.text
    method = trained(project)["method"]
    assert (method["used"], method["why"]) == ("scratch", "there is no champion to go on from")
    rows(75).to_parquet(project.root / "data.parquet")
    assert command(project.root, "run").code == 0
    method = trained(project)["method"]
    assert (method["used"], method["had"], method["added"]) == ("warm_start", 20, 7)
    assert method["champion"]["version"] == "1"
    assert trained(project)["hyperparameters"]["histgradientboostingclassifier__max_iter"] == 27
    assert "unchanged" in command(project.root, "run", "--dry-run").out.splitlines()[1]


def test_what_cannot_go_on_begins_from_scratch_and_says_why(project: Project, command: Command) -> None:
    prepare(project, BOOSTING, {}, rows(60), mode="warm_start")
    command(project.root, "run")
    prepare(project, LINEAR, {}, rows(60), mode="warm_start")
    assert command(project.root, "train").code == 0
    method = trained(project)["method"]
    assert method["used"] == "scratch"
    assert (
        method["why"] == "the champion is a HistGradientBoostingClassifier, and the entry point makes a SGDClassifier"
    )


def test_an_entry_point_that_takes_init_model_is_given_the_champion(project: Project, command: Command) -> None:
    prepare(project, FOREST_OF_ITS_OWN, {"n_estimators": 10}, rows(60), mode="warm_start")
    command(project.root, "run")
    rows(70).to_parquet(project.root / "data.parquet")
    assert command(project.root, "train").code == 0
    assert trained(project)["method"]["used"] == "init_model"
    assert trained(project)["hyperparameters"]["gradientboostingclassifier__n_estimators"] == 20


def test_online_learns_what_is_new_and_predicts_it_first(project: Project, command: Command) -> None:
    prepare(project, LINEAR, {}, rows(60), mode="online", online={"chunk_rows": 100})
    command(project.root, "run")
    first = trained(project)["method"]
    assert (first["used"], first["new_rows"], first["chunks"]) == ("scratch", 2000, 20)
    assert 0.7 < first["prequential"]["roc_auc"] < 1
    rows(80).to_parquet(project.root / "data.parquet")
    assert command(project.root, "run").code == 0
    method = trained(project)["method"]
    assert (method["used"], method["new_rows"], method["chunks"]) == ("online", 800, 8)
    assert command(project.root, "train", "--force").code == 0
    assert trained(project)["method"]["why"] == "no row is new to the champion"
    command(project.root, "train", "--set", "data.holdout.last=29d")
    assert "of the 1,160 held-out rows" in trained(project)["method"]["why"]


@pytest.mark.parametrize("fall_back", [True, False])
def test_a_refused_shortcut_leads_to_training_from_scratch(project: Project, command: Command, fall_back: bool) -> None:
    prepare(project, BOOSTING, {"max_iter": 60}, rows(100, flips=100), mode="warm_start", warm_start={"add": 1})
    project.configure(train={"fall_back": fall_back})
    command(project.root, "run")
    rows(140, flips=100).to_parquet(
        project.root / "data.parquet"
    )  # the old trees are wrong now, and one more mends little
    project.configure(data={"window": {"kind": "fixed", "last": "28d"}})
    answer = command(project.root, "run")
    runs = [project.root / ".model-ci" / "runs" / folder.name for folder in project.runs()]
    method = trained(project)["method"]
    if not fall_back:
        assert (answer.code, len(runs), method["used"]) == (3, 2, "warm_start")
        return
    assert (answer.code, len(runs), method["asked"], method["used"]) == (0, 3, "warm_start", "scratch")
    assert method["why"].startswith(f"fall back to training from scratch: the gates refused the warm_start model of run {runs[1].name}")  # fmt: skip
    assert "from scratch" in project.record()["trigger"]["reason"]
    steps = command(project.root, "run", "--dry-run").out.splitlines()
    assert [step.split(":")[0].split()[-1] for step in steps[:4]] == ["unchanged"] * 4


def test_a_dynamic_window_begins_at_the_change(project: Project, command: Command) -> None:
    prepare(project, BOOSTING, {}, rows(60))
    project.configure(data={"window": {"kind": "dynamic", "min_rows": 100}})
    assert command(project.root, "run").code == 0
    dynamic = trained(project)["data"]["learnt_from"]["dynamic"]
    assert (dynamic["signal"], dynamic["changes"]) == ("target", [])
    assert dynamic["why"] == "there is no champion whose loss could tell"
    rows(150, flips=90).to_parquet(project.root / "data.parquet")
    assert command(project.root, "run").code == 0
    section = trained(project)["data"]
    dynamic = section["learnt_from"]["dynamic"]
    assert dynamic["signal"] == "loss"
    assert "2024-03-25" <= dynamic["since"][:10] <= "2024-04-05", dynamic  # day 90 is 2024-03-31
    assert section["learnt_from"]["rows"] == dynamic["rows"] < section["train_rows"]


def test_a_sample_is_learnt_from_and_recorded(project: Project, command: Command) -> None:
    prepare(project, BOOSTING, {}, rows(100))
    project.configure(data={"window": {"sample": {"rows": 500}}})
    assert command(project.root, "run").code == 0
    section = trained(project)["data"]
    assert section["learnt_from"]["sample"]["of_rows"] == section["train_rows"] == 3600
    assert section["learnt_from"]["rows"] == 500
    answer = command(project.root, "run", "--set", "data.window.sample.max_distance=0.001")
    assert answer.code == 2
    assert "500 rows do not represent all" in answer.text


def test_an_estimator_without_the_method_is_named(project: Project, command: Command) -> None:
    prepare(project, BOOSTING, {}, rows(60), mode="online")
    answer = command(project.root, "run")
    assert answer.code == 2
    assert "train.mode: HistGradientBoostingClassifier has no partial_fit" in answer.text
