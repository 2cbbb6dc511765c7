"""No model is judged on rows that it learnt from, whatever changed since the champion was trained."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from model_ci import config
from model_ci.data import table

Command = Callable[..., Any]
DAYS = 120
# A forest that remembers its rows, so that it scores 1.0 on each that it learnt from, and a model that learns the truth.
MODELS = """
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.compose import make_column_transformer

def remembers(n_estimators=20, seed=0):
    chosen = make_column_transformer(("passthrough", ["x0", "x1", "x2", "x3"]))
    return make_pipeline(chosen, RandomForestClassifier(n_estimators=n_estimators, random_state=seed))

def learns():
    return make_pipeline(make_column_transformer((StandardScaler(), ["x0"])), LogisticRegression())

def grows(n_estimators=20):
    return RandomForestClassifier(n_estimators=n_estimators)
"""
TIME = {"time_column": "day", "holdout": {"by": "time", "last": "14d"}}
RANDOM = {"time_column": None, "holdout": {"by": "random"}, "exclude": ["id", "day", "customer"]}


def rows(first: int = 0, days: int = DAYS, per_day: int = 10, seed: int = 0) -> pd.DataFrame:
    """Rows whose target depends on `x0` and on chance."""
    draw = np.random.default_rng([seed, first + 1000])
    count = days * per_day
    day = np.datetime64("2024-01-01") + (first + np.arange(count) // per_day).astype("timedelta64[D]")
    values = {f"x{i}": draw.normal(size=count).round(6) for i in range(4)}
    sold = (draw.random(count) < 1 / (1 + np.exp(-values["x0"]))).astype(int)
    index = (first + 1000) * 100 + np.arange(count)
    return pd.DataFrame({"id": index, "day": day, "customer": index % 60, **values, "sold": sold})


class Shop:
    """A project whose champion remembers its rows."""

    def __init__(self, root: Path, command: Command, **data: Any) -> None:
        self.root, self.command = root, command
        (root / "model_code.py").write_text(MODELS)
        self.values: dict[str, Any] = {
            "model": {"name": "shop", "task": "binary"},
            "data": {"path": "data.parquet", "target": "sold", "exclude": ["id", "customer"], **data},
            "train": {"entrypoint": "model_code:remembers"},
            "evaluate": {"gates": [{"metric": "roc_auc", "min": 0.55, "max_drop": 0.02}]},
        }
        self.write(rows())

    def write(self, frame: pd.DataFrame) -> None:
        frame.to_parquet(self.root / "data.parquet")

    def run(self, *arguments: str, stages: str = "train,evaluate") -> Any:
        (self.root / "model-ci.yaml").write_text(yaml.safe_dump(self.values))
        return self.command(self.root, "run", "--stages", stages, *arguments)

    def sides(self, *overrides: str) -> tuple[set[int], set[int]]:
        """Return which rows are learnt from, and which are held out."""
        (self.root / "model-ci.yaml").write_text(yaml.safe_dump(self.values))
        settled = config.load(self.root / "model-ci.yaml", overrides)
        loaded = table.load(settled.data, root=self.root)
        return set(loaded.train["id"]), set(loaded.holdout["id"])

    def record(self) -> dict[str, Any]:
        import json

        newest = max((self.root / ".model-ci" / "runs").iterdir())
        return json.loads((newest / "run.json").read_text())["stages"]  # type: ignore[no-any-return]

    def evaluated(self) -> dict[str, Any]:
        return self.record()["evaluate"]  # type: ignore[no-any-return]


def set_(**values: Any) -> list[str]:
    return [part for name, value in values.items() for part in ("--set", f"{name.replace('__', '.')}={value}")]


def test_a_time_holdout_that_changes(tmp_path: Path, command: Command) -> None:
    shop = Shop(tmp_path, command, **TIME)
    assert shop.run(stages="train,evaluate,register").code == 0
    honest = shop.evaluated()["metrics"]["roc_auc"]["challenger"]
    learnt, _ = shop.sides()
    shop.values["train"]["entrypoint"] = "model_code:learns"
    filled_in = pd.concat([rows(-60, 60, per_day=30, seed=1), rows()])
    wider = rows().assign(new=lambda frame: frame["x3"] * 2)
    changes: dict[str, tuple[pd.DataFrame, list[str]]] = {
        "another train.seed": (rows(), set_(train__seed=5)),
        "a longer holdout": (rows(), set_(data__holdout__last="60d")),
        "a share": (rows(), set_(data__holdout__last="null", data__holdout__share=0.4)),
        "an earlier time": (rows(), set_(data__until="2024-04-10", data__holdout__last="30d")),
        "another window": (rows(), set_(data__window__kind="fixed", data__window__last="40d")),
        "a new column that is learnt from": (wider, set_(data__holdout__last="30d")),
        "a new column that is not": (wider, set_(data__exclude='["id","customer","new"]', data__holdout__last="30d")),
        "older rows that come later": (filled_in, set_(data__holdout__last="null", data__holdout__share=0.6)),
        "a random holdout": (rows(), set_(data__holdout__by="random", data__holdout__last="null")),
        "whole groups": (rows(), set_(data__holdout='{"by":"group","group":"customer"}')),
        "other rows in another order": (rows().sample(frac=1, random_state=1), set_(data__holdout__last="20d")),
    }
    for what, (frame, arguments) in changes.items():
        shop.write(frame)
        answer = shop.run(*arguments)
        held = shop.sides(*[part for part in arguments if part != "--set"])[1]
        _check(shop.evaluated(), held, learnt, honest, f"{what}\n{answer.text}")


@pytest.mark.parametrize("key", [None, ["id"]], ids=["values", "key"])
def test_a_random_holdout_that_changes(tmp_path: Path, command: Command, key: list[str] | None) -> None:
    shop = Shop(tmp_path, command, **RANDOM | {"holdout": {"by": "random", "key": key}})
    assert shop.run(stages="train,evaluate,register").code == 0
    honest = shop.evaluated()["metrics"]["roc_auc"]["challenger"]
    learnt, _ = shop.sides()
    shop.values["train"]["entrypoint"] = "model_code:learns"
    changes: dict[str, tuple[pd.DataFrame, list[str]]] = {
        "another train.seed": (rows(), set_(train__seed=5)),
        "another holdout.seed": (rows(), set_(data__holdout__seed=5)),
        "another share": (rows(), set_(data__holdout__share=0.5)),
        "classes in their shares": (rows(), set_(data__holdout__stratify="true")),
        "a new column": (rows().assign(new=1.5), []),
        "more rows": (pd.concat([rows(200, 30), rows()]), []),
        "the newest rows": (
            rows(),
            set_(data__time_column="day", data__holdout__by="time", data__exclude='["id","customer"]'),
        ),
    }
    for what, (frame, arguments) in changes.items():
        shop.write(frame)
        answer = shop.run(*arguments)
        held = shop.sides(*[part for part in arguments if part != "--set"])[1]
        same = what in ("another train.seed", "more rows") or (key and what == "a new column")
        assert not same or not held & learnt, what
        _check(shop.evaluated(), held, learnt, honest, f"{what}\n{answer.text}")


def _check(section: dict[str, Any], held: set[int], learnt: set[int], honest: float, what: str) -> None:
    """The rows that were judged on are those that the champion has not learnt from, but for a few false positives."""
    holdout, new = section["holdout"], len(held - learnt)
    assert holdout["rows"] == len(held), what
    assert abs(holdout["champion_learnt"] - len(held & learnt)) <= 4, what
    relative = next(gate for gate in section["gates"] if gate["condition"] == "max_drop")
    assert relative["comparison"] != "worse", what
    if holdout["problem"]:
        assert new < 60, what
        assert relative["state"] == "inconclusive", what
        assert section["metrics"]["roc_auc"]["champion"] is None, what
        return
    assert new - 4 <= section["rows"] <= new, what
    champion = section["metrics"]["roc_auc"]["champion"]
    assert champion < honest + 0.2, f"{what}: {champion}"


def test_too_few_new_rows_are_inconclusive_with_the_reason(tmp_path: Path, command: Command) -> None:
    shop = Shop(tmp_path, command, **TIME)
    shop.run(stages="train,evaluate,register")
    shop.values["data"] |= {"until": "2024-04-01"}
    answer = shop.run("--set", "train.entrypoint=model_code:learns")
    assert answer.code == 3
    section = shop.evaluated()
    assert section["holdout"]["champion_learnt"] == section["holdout"]["rows"] == 140
    problem = "champion version 1 has learnt from 140 of the 140 held-out rows, so only 0 can be compared on, and 50 are needed"
    assert problem in section["holdout"]["problem"]
    assert problem in " ".join(answer.text.split())
    states = {gate["condition"]: gate["state"] for gate in section["gates"]}
    assert states == {"min": "passed", "max_drop": "inconclusive"}
    shop.values["evaluate"]["uncertainty"] = {"inconclusive": "pass"}
    assert shop.run("--set", "train.entrypoint=model_code:learns").code == 0


def test_a_champion_whose_training_rows_nobody_wrote_down_is_not_compared_with(
    tmp_path: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    from model_ci.stages.register import stage

    shop = Shop(tmp_path, command, **TIME)
    attached = stage._attached
    monkeypatch.setattr(
        stage, "_attached", lambda run: {k: v for k, v in attached(run).items() if k != "training-rows"}
    )
    shop.run(stages="train,evaluate,register")
    answer = shop.run("--set", "train.entrypoint=model_code:learns")
    assert answer.code == 3
    assert "champion version 1 has no record of its training rows" in " ".join(answer.text.split())
    assert shop.evaluated()["metrics"]["roc_auc"]["champion"] is None
    shop.values["train"] |= {"mode": "warm_start", "entrypoint": "model_code:grows"}
    shop.run()
    method = shop.record()["train"]["method"]
    assert method["used"] == "scratch"
    assert "has no record of its training rows" in method["why"]


def test_values_that_are_written_otherwise_are_not_taken_for_new_rows(tmp_path: Path, command: Command) -> None:
    shop = Shop(tmp_path, command, **TIME)
    shop.run(stages="train,evaluate,register")
    rounded = rows()
    rounded[["x0", "x1", "x2", "x3"]] = rounded[["x0", "x1", "x2", "x3"]].round(4)
    shop.write(rounded)
    answer = shop.run("--set", "data.holdout.last=60d")
    assert answer.code == 3
    assert "declare data.holdout.key" in shop.evaluated()["holdout"]["problem"]
    shop.run("--set", "data.holdout.last=60d", "--set", "train.mode=warm_start", stages="train")
    assert "declare data.holdout.key" in shop.record()["train"]["method"]["why"]
    shop = Shop(tmp_path, command, **TIME | {"holdout": {"by": "time", "last": "14d", "key": ["id"]}})
    shop.run("--set", "evaluate.uncertainty.inconclusive=pass", stages="train,evaluate,register")
    assert shop.record()["register"]["promoted"]
    shop.write(rounded)
    shop.run("--set", "data.holdout.last=60d")
    section = shop.evaluated()
    assert section["holdout"]["problem"] is None
    assert abs(section["rows"] - 140) <= 2


@pytest.mark.parametrize("fall_back", [True, False])
def test_no_model_goes_on_from_one_that_has_seen_the_holdout(tmp_path: Path, command: Command, fall_back: bool) -> None:
    shop = Shop(tmp_path, command, **TIME)
    shop.values["train"] = {"entrypoint": "model_code:grows", "mode": "warm_start", "fall_back": fall_back}
    shop.run(stages="train,evaluate,register")
    shop.write(pd.concat([rows(), rows(DAYS, 30)]))
    assert shop.run().code in (0, 3)
    assert shop.record()["train"]["method"]["used"] == "warm_start", "new rows are held out, so it may go on"
    assert shop.record()["train"]["training_rows"]["layers"] == 2
    answer = shop.run("--set", "data.holdout.last=90d")
    words = "champion version 1 has learnt from 460 of the 900 held-out rows, so a model that goes on from it could not be judged"
    if not fall_back:
        assert answer.code == 2
        assert words in " ".join(answer.text.split())
        assert "train.mode=scratch" in answer.text
        return
    method = shop.record()["train"]["method"]
    assert method["used"] == "scratch"
    assert words in method["why"]
    assert words in " ".join(answer.text.split())
    assert shop.evaluated()["metrics"]["roc_auc"]["challenger"] < 0.9


def test_what_a_model_went_on_from_counts_as_learnt(tmp_path: Path, command: Command) -> None:
    shop = Shop(tmp_path, command, **TIME)
    shop.values["train"] = {"entrypoint": "model_code:grows", "mode": "warm_start"}
    shop.run(stages="train,evaluate,register")
    # The second champion learns from the last days alone, but has the trees of the first one.
    shop.write(pd.concat([rows(), rows(DAYS, 30)]))
    shop.values["data"]["window"] = {"kind": "fixed", "last": "20d"}
    shop.values["evaluate"]["gates"] = [{"metric": "roc_auc", "min": 0.5}]
    shop.run(stages="train,evaluate,register")
    assert shop.record()["register"]["version"] == "2"
    assert shop.record()["train"]["method"]["used"] == "warm_start"
    shop.values["train"] = {"entrypoint": "model_code:learns"}
    shop.run("--set", "data.until=2024-03-01", "--set", "data.window.kind=all", "--set", "data.window.last=null")
    holdout = shop.evaluated()["holdout"]
    assert holdout["champion_learnt"] == holdout["rows"]


def test_how_many_challengers_were_judged_on_the_same_rows(tmp_path: Path, command: Command) -> None:
    shop = Shop(tmp_path, command, **TIME)
    shop.values["evaluate"]["uncertainty"] = {"inconclusive": "pass"}
    shop.run(stages="train,evaluate,register")
    for i, rank in ((2, "2nd"), (3, "3rd")):
        answer = shop.run("--set", f"train.parameters.n_estimators={20 + i}")
        assert shop.evaluated()["holdout"]["challengers"] == i
        assert f"This is the {rank} model judged on these rows" in " ".join(answer.text.split())
    shop.run("--set", "train.parameters.n_estimators=23", "--force")
    assert shop.evaluated()["holdout"]["challengers"] == 3, "the same challenger again"
    shop.run("--set", "data.holdout.last=15d")
    assert shop.evaluated()["holdout"]["challengers"] == 1, "other rows"
    assert shop.evaluated()["holdout"]["confidence"] == 0.95
    shop.values["evaluate"]["uncertainty"]["reuse"] = "adjust"
    shop.run("--set", "train.parameters.n_estimators=30")
    section = shop.evaluated()
    assert section["holdout"]["challengers"] == 4
    assert section["holdout"]["confidence"] == pytest.approx(1 - 0.05 / (4 * 5))
    assert section["comparison"]["confidence"] == section["holdout"]["confidence"]


def test_the_count_outlives_the_folder_by_the_records_branch(tmp_path: Path, command: Command) -> None:
    import shutil
    import subprocess

    subprocess.run(["git", "init", "--quiet", str(tmp_path)], check=True)
    shop = Shop(tmp_path, command, **TIME)
    shop.run(stages="train,evaluate,record")
    shutil.rmtree(tmp_path / ".model-ci")
    shop.run("--set", "train.parameters.n_estimators=25", stages="train,evaluate,record")
    assert shop.evaluated()["holdout"]["challengers"] == 2


def test_a_champion_that_came_meanwhile_is_judged_by_the_same_rule(tmp_path: Path, command: Command) -> None:
    shop = Shop(tmp_path, command, **TIME)
    shop.values["evaluate"]["gates"] = [{"metric": "roc_auc", "min": 0.5}]
    shop.run(stages="train,evaluate,register")
    shop.values["data"]["holdout"] = {"by": "time", "last": "60d"}
    shop.run(stages="train,evaluate")
    waiting = max((tmp_path / ".model-ci" / "runs").iterdir()).name
    # Somebody else's champion has learnt from most of the rows that this challenger was judged on.
    shop.values["data"]["holdout"] = {"by": "time", "last": "3d"}
    shop.values["evaluate"]["min_rows"] = 20
    shop.run("--set", "train.parameters.n_estimators=21", stages="train,evaluate,register")
    shop.values["data"]["holdout"] = {"by": "time", "last": "60d"}
    del shop.values["evaluate"]["min_rows"]
    shop.values["evaluate"]["gates"] = [{"metric": "roc_auc", "min": 0.5}]
    (tmp_path / "model-ci.yaml").write_text(yaml.safe_dump(shop.values))
    answer = command(tmp_path, "register", "--run", waiting)
    assert answer.code == 0, answer.text
    import json

    section = json.loads((tmp_path / ".model-ci" / "runs" / waiting / "run.json").read_text())["stages"]["register"]
    holdout = section["rejudged"]["holdout"]
    assert holdout["champion_learnt"] == 570
    assert "only 30 can be compared on" in holdout["problem"]
