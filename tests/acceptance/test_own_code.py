"""A saved model is asked with its own code, answers as it did when it was trained, and answers each row for itself."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import Project

Command = Callable[..., Any]

MODEL = """
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from {package}features import prepare


def build(C=1.0):
    return make_pipeline(FunctionTransformer(prepare), LogisticRegression(C=C))
"""
FEATURES = """
import importlib


def prepare(rows):
    sign = importlib.import_module("{package}signs." + "".join(["now", "adays"])).SIGN
    return sign * rows[["size", "age"]]
"""


def scored(project: Any) -> tuple[float | None, float | None]:
    """Return the champion's ROC AUC and the challenger's."""
    metric = project.record()["stages"]["evaluate"]["metrics"]["roc_auc"]
    return metric["champion"], metric["challenger"]


def write(folder: Path, package: str = "") -> Path:
    """Write a model that imports its features, which import what they need when they are asked; return the last."""
    (folder / "signs").mkdir(parents=True)
    if package:
        (folder / "__init__.py").touch()
    (folder / "model_code.py").write_text(MODEL.format(package=package))
    (folder / "features.py").write_text(FEATURES.format(package=package))
    (folder / "signs" / "__init__.py").touch()
    (folder / "signs" / "nowadays.py").write_text("SIGN = 1\n")
    return folder / "signs" / "nowadays.py"


@pytest.mark.parametrize("layout", ["modules", "package", "src"])
def test_the_champion_is_scored_with_the_code_it_was_saved_with(
    project: Any, command: Command, layout: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.configure(evaluate={"gates": [{"metric": "roc_auc", "min": 0.1, "max_drop": 0.9}]})
    places = {"modules": project.root, "package": project.root / "shop", "src": project.root / "src" / "shop"}
    signs = write(places[layout], "" if layout == "modules" else "shop.")
    if layout != "modules":
        project.configure(train={"entrypoint": "shop.model_code:build"})
    if layout == "src":
        monkeypatch.syspath_prepend(str(project.root / "src"))
    answer = command(project.root, "run", "--stages", "train,evaluate,register")
    assert answer.code == 0, answer.text
    _, before = scored(project)
    signs.write_text("SIGN = -1\n")
    # Only one of the two loads a model by way of the file that changed; the other was trained on it.
    answer = command(project.root, "run", "--stages", "train,evaluate", "--force", "--set", "train.parameters.C=0.9")
    assert answer.code == 0, answer.text
    champion, _ = scored(project)
    assert champion == before
    stored = project.runs()[0] / "model" / "code"
    assert "SIGN = 1" in next(stored.rglob("nowadays.py")).read_text()


def test_a_champion_whose_code_is_gone_is_still_asked(project: Any, command: Command) -> None:
    write(project.root)
    project.configure(evaluate={"gates": [{"metric": "roc_auc", "min": 0.1, "max_drop": 0.9}]})
    command(project.root, "run", "--stages", "train,evaluate,register")
    _, before = scored(project)
    for name in ("features.py", "signs/nowadays.py"):
        (project.root / name).unlink()
    (project.root / "model_code.py").write_text(
        "from sklearn.dummy import DummyClassifier\n\n\ndef build(C=1.0):\n    return DummyClassifier()\n"
    )
    answer = command(project.root, "run", "--stages", "train,evaluate")
    assert answer.code == 0, answer.text
    assert scored(project) == (before, 0.5)
    assert command(project.root, "run", "--stages", "explain").code == 0
    assert project.record()["stages"]["explain"]["champion"]["problem"] is None


def test_a_warm_start_with_other_code_begins_from_scratch(project: Any, command: Command) -> None:
    signs = write(project.root)
    code = (project.root / "model_code.py").read_text()
    (project.root / "model_code.py").write_text(
        code.replace("LogisticRegression(C=C)", "LogisticRegression(C=C, warm_start=True)")
    )
    project.configure(evaluate={"gates": [{"metric": "roc_auc", "min": 0.1}]})
    assert command(project.root, "run", "--stages", "train,evaluate,register").code == 0
    signs.write_text("SIGN = -1\n")
    answer = command(project.root, "run", "--stages", "train", "--set", "train.mode=warm_start")
    assert answer.code == 0, answer.text
    method = project.record()["stages"]["train"]["method"]
    assert method["used"] == "scratch"
    assert method["why"] == "version 1 was saved with other code than today's: signs/nowadays.py"


def test_a_champion_that_answers_otherwise_has_no_values(
    project: Any, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after the upgrade of a library: its code is as it was, its answers are not."""
    library = project.root.parent / "libraries"
    (library / "steady-1.0.dist-info").mkdir(parents=True)
    (library / "steady-1.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: steady\nVersion: 1.0\n")
    (library / "steady.py").write_text("def prepare(rows):\n    return rows[['size', 'age']]\n")
    monkeypatch.syspath_prepend(str(library))
    monkeypatch.setenv("PYTHONPATH", str(library))
    (project.root / "model_code.py").write_text(MODEL.format(package="").replace("from features", "from steady"))
    project.configure(evaluate={"gates": [{"metric": "roc_auc", "min": 0.1, "max_drop": 0.9}]})
    assert model_ci(project.root, "run", "--stages", "train,evaluate,register").code == 0
    (library / "steady-1.0.dist-info").rename(library / "steady-2.0.dist-info")
    (library / "steady-2.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: steady\nVersion: 2.0\n")
    (library / "steady.py").write_text("def prepare(rows):\n    return -rows[['size', 'age']]\n")
    answer = model_ci(project.root, "run", "--stages", "train,evaluate", "--force")
    assert answer.code == 3, answer.text
    reason = project.record()["stages"]["evaluate"]["gates"][1]["reason"]
    assert "the champion cannot be asked: version 1: as saved, the model answers otherwise" in reason
    assert "rows differ, by up to" in reason
    assert "since then steady 1.0 -> 2.0: install these versions again, or train a new model" in reason


RANDOM = {
    "again": "noise = numpy.random.default_rng().normal(0, 0.05, answers.shape)",
    "in-another-process": "noise = 0.05 * (os.getpid() % 97) / 97 * numpy.ones(answers.shape)",
}


@pytest.mark.parametrize("when", RANDOM)
def test_a_model_that_answers_otherwise_is_refused(project: Any, command: Command, when: str) -> None:
    (project.root / "model_code.py").write_text(f"""
import numpy
import os
from sklearn.linear_model import LogisticRegression


class Noisy(LogisticRegression):
    def predict_proba(self, rows):
        answers = super().predict_proba(rows)
        {RANDOM[when]}
        return answers + noise


def build():
    return Noisy()
""")
    project.configure(data={"features": ["size", "age"]}, train={"parameters": {}})
    (project.root / "model-ci.yaml").write_text(
        (project.root / "model-ci.yaml")
        .read_text()
        .replace("    C: 1.0\n", "")
        .replace("parameters:\n", "parameters: {}\n")
    )
    answer = command(project.root, "run", "--stages", "train,evaluate")
    assert answer.code == 4, answer.text
    told = "differently when it is asked again" if when == "again" else "otherwise than it did when it was trained"
    assert told in answer.err
    assert "evaluate" not in project.record()["stages"]


BATCH = {
    "ranks": "rows[['size', 'age']].rank(pct=True)",
    "mean": "(rows[['size', 'age']] - rows[['size', 'age']].mean())",
    "codes": "rows[['size']].assign(kind=rows['kind'].astype('category').cat.codes)",
    "before": "rows[['size']].assign(last=rows['size'].shift(1).fillna(0))",
}


@pytest.mark.parametrize("kind", BATCH)
def test_answers_that_depend_on_other_rows_fail_the_verdict(project: Any, command: Command, kind: str) -> None:
    (project.root / "model_code.py").write_text(f"""
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer


def prepare(rows):
    return {BATCH[kind]}


def build(C=1.0):
    return make_pipeline(FunctionTransformer(prepare), LogisticRegression(C=C))
""")
    answer = command(project.root, "run", "--stages", "train,evaluate")
    assert answer.code == 3, answer.text
    evaluate = project.record()["stages"]["evaluate"]
    assert evaluate["verdict"] == "failed"
    assert evaluate["why"].startswith("the answers depend on which rows are asked together: asked ")
    if kind != "before":
        column = {"ranks": "size", "mean": "size", "codes": "kind"}[kind]
        assert f"what other rows hold in {column}" in evaluate["dependence"]
    assert "The answers depend on which rows are asked together" in answer.out


def test_a_model_that_ends_its_process_is_told(project: Any, command: Command) -> None:
    (project.root / "model_code.py").write_text("""
import os
from sklearn.linear_model import LogisticRegression

TRAINING = os.getpid()


class Crash(LogisticRegression):
    def predict(self, rows):
        if not hasattr(self, "home"):
            self.home = os.getpid()
        if self.home != os.getpid():
            os._exit(1)
        return super().predict(rows)


def build(C=1.0):
    return Crash(C=C)
""")
    project.configure(data={"features": ["size", "age"]})
    answer = command(project.root, "run", "--stages", "train,evaluate")
    assert answer.code == 4, answer.text
    assert "the model's process ended before it answered" in answer.err


def test_a_model_that_drops_rows_is_refused(project: Any, command: Command) -> None:
    (project.root / "model_code.py").write_text("""
from sklearn.linear_model import LogisticRegression


class Dropping(LogisticRegression):
    def predict(self, rows):
        return super().predict(rows[rows["age"] > 20])


def build(C=1.0):
    return Dropping(C=C)
""")
    project.configure(data={"features": ["size", "age"]})
    answer = command(project.root, "run", "--stages", "train,evaluate")
    assert answer.code == 4, answer.text
    assert "rows; answer each row once" in answer.err
    assert "Traceback" not in answer.err


def test_the_probe_is_spread_over_classes_and_predictions(ran: Callable[..., Project]) -> None:
    project = ran("--stages", "train")
    probe = json.loads((project.runs()[-1] / "model" / "probe" / "answers.json").read_text())
    assert set(probe["labels"]) == {0, 1}
    assert len(probe["labels"]) == 64
    assert probe["environment"]["python"] == ".".join(map(str, sys.version_info[:3]))


def test_two_models_have_two_probes(project: Any, command: Command) -> None:
    hashes = []
    for c in ("1.0", "0.99"):
        command(project.root, "run", "--stages", "train", "--set", f"train.parameters.C={c}")
        hashes.append(project.record()["stages"]["train"]["model"]["probe_sha256"])
    assert hashes[0] != hashes[1]


def model_ci(folder: Path, *arguments: str) -> Any:
    """Call `model-ci` in a process of its own, with the environment as it is."""
    import subprocess

    from tests.conftest import Answer

    done = subprocess.run(
        [sys.executable, "-m", "model_ci", *arguments], cwd=folder, capture_output=True, text=True, check=False
    )
    return Answer(done.returncode, done.stdout, done.stderr)
