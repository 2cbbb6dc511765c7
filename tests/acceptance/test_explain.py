"""`model-ci explain` through its front door: the stage with its gates, and why one decision was made."""

import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from tests.conftest import Project

Command = Callable[..., Any]
STAGES = ("--stages", "train,evaluate,explain")


def explained(project: Any) -> dict[str, Any]:
    return project.record()["stages"]["explain"]  # type: ignore[no-any-return]


def plant_a_leak(project: Any) -> None:
    """Add a column that tells the answer."""
    header, *rows = (project.root / "data.csv").read_text().splitlines()
    lines = [f"{header},leak", *(f"{row},{int(row[-1]) + i / 1000}" for i, row in enumerate(rows))]
    (project.root / "data.csv").write_text("\n".join(lines) + "\n")
    project.configure(train={"parameters": {"columns": ["size", "age", "leak"], "C": 100.0}})


def test_the_first_run_explains_and_says_there_is_no_champion(project: Any, command: Command) -> None:
    project.configure(explain={"max_share": {"age": 0.5}, "max_shift": 0.1})
    answer = command(project.root, "run")
    assert answer.code == 0, answer.text
    assert "There is no champion whose attributions could be compared." in answer.out
    assert "no champion: there is no champion to compare with" in answer.out
    section = explained(project)
    assert list(project.record()["stages"]) == ["check-data", "train", "evaluate", "explain", "register", "record"]
    assert (section["verdict"], section["explainer"], section["scale"]) == ("passed", "linear", "log-odds")
    assert section["target_class"] == "1"
    assert [column["name"] for column in section["columns"]][-1] == "age"
    assert sum(column["share"] for column in section["columns"]) == pytest.approx(1)
    assert section["additivity"]["holds"]
    assert section["champion"] is None
    folder = project.runs()[-1] / "explain"
    assert sorted(file.name for file in folder.iterdir()) == sorted(section["files"])
    assert json.loads((folder / "importance.json").read_text())["columns"] == section["columns"]
    points = json.loads((folder / "dependence.json").read_text())
    assert set(points) == {"size", "age", "kind"}
    assert len(points["kind"]["values"]) == len(points["kind"]["attributions"][0]) == section["rows"]


def test_a_run_explains_only_where_the_file_has_the_section(project: Any, command: Command) -> None:
    answer = command(project.root, "run", "--dry-run")
    assert "explain" not in answer.out
    assert "explain" in command(project.root, "run", "--dry-run", "--set", "explain.rows=50").out
    assert "explain" not in command(project.root, "run", "--dry-run", "--set", "explain.in_run=false").out


def test_a_leak_gets_its_share_and_is_refused(project: Any, command: Command) -> None:
    plant_a_leak(project)
    project.configure(explain={"max_share": {"leak": 0.3}}, evaluate={"too_good": None})
    answer = command(project.root, "run", "--stages", "train,evaluate,explain,register")
    assert answer.code == 3, answer.text
    assert "of the attribution, 30.0% allowed" in answer.out
    assert "register     refused: explain failed" in answer.err
    section = explained(project)
    assert section["columns"][0]["name"] == "leak"
    assert section["columns"][0]["share"] > 0.5
    assert section["gates"][0]["state"] == "failed"
    assert project.record()["verdict"] == "failed"


def test_what_changed_against_the_champion_is_told_and_judged(ran: Callable[..., Project], command: Command) -> None:
    project = ran("--set", "train.parameters.columns=[age]")
    project.configure(explain={"max_shift": 0.05})
    answer = command(project.root, "run", *STAGES)
    assert answer.code == 3, answer.text
    section = explained(project)
    assert section["champion"]["version"] == "1"
    assert section["champion"]["explainer"] == "linear"
    assert section["champion"]["rows"] == section["rows"]
    assert section["new_top"] == "size"
    assert "size counts most now; for the champion it was kind." in answer.out
    size = section["changes"][0]
    assert (size["name"], size["champion_share"], size["rank"]) == ("size", 0.0, 1)
    assert size["shift"] == pytest.approx(size["share"])
    assert command(project.root, "run", *STAGES, "--set", "explain.max_shift=1").code == 0


def test_a_champion_that_cannot_be_explained_is_told_and_lets_no_shift_pass(
    ran: Callable[..., Project], command: Command
) -> None:
    project = ran()
    table = (project.root / "data.csv").read_text().replace("day,size,age,kind,sold", "day,size,years,kind,sold")
    (project.root / "data.csv").write_text(table)
    project.configure(explain={})
    options = ("--stages", "train,explain", "--set", "train.parameters.columns=[size]")
    answer = command(project.root, "run", *options)
    assert answer.code == 0, answer.text
    assert "The champion cannot be explained: explain: the model needs the columns age" in answer.out
    assert command(project.root, "run", *options, "--set", "explain.max_shift=0.9").code == 3


def test_nothing_changed_is_not_explained_again(project: Any, command: Command) -> None:
    project.configure(explain={})
    command(project.root, "run")
    answer = command(project.root, "run")
    assert "explain      unchanged: done" in answer.err, answer.text
    command(project.root, "run", "--force", "--stages", "record")
    assert (project.runs()[-1] / "explain" / "importance.png").is_file()


def test_a_column_that_does_not_exist_is_a_mistake_of_the_file(project: Any, command: Command) -> None:
    project.configure(explain={"max_share": {"sise": 0.3, "kind": 0.9}})
    answer = command(project.root, "run")
    assert answer.code == 2
    assert "explain.max_share.sise: no such column; there are day, size, age, kind, sold" in answer.err
    assert not project.runs()[-1:] or "train" not in project.record()["stages"]


def test_a_column_that_the_model_does_not_see_passes(project: Any, command: Command) -> None:
    project.configure(data={"exclude": ["age"]}, train={"parameters": {"columns": ["size"]}})
    project.configure(explain={"max_share": {"age": 0.0}})
    answer = command(project.root, "run", "--stages", "train,explain")
    assert answer.code == 0, answer.text
    assert explained(project)["gates"][0]["value"] == 0


def test_attributions_of_nan_are_refused_without_any_gate(project: Any, command: Command) -> None:
    with (project.root / "model_code.py").open("a") as code:
        code.write(
            "\n\nclass Nan(LogisticRegression):\n    def predict_proba(self, X):\n"
            "        return super().predict_proba(X) * float('nan')\n"
            "    def decision_function(self, X):\n        return super().decision_function(X) * float('nan')\n\n\n"
            "def nan():\n    return make_pipeline(make_column_transformer(('passthrough', ['size'])), Nan())\n"
        )
    project.configure(train={"entrypoint": "model_code:nan", "parameters": {}})
    answer = command(project.root, "run", "--stages", "train,explain")
    assert answer.code == 3, answer.text
    assert "not all numbers; what is not there does not pass" in answer.out
    assert not (project.runs()[-1] / "explain" / "importance.png").exists()


def contributions(text: str) -> tuple[float, float]:
    """Return the sum of what is printed, and the sum that is printed."""
    figures = [float(line.split()[-1]) for line in text.splitlines() if re.search(r"[+-]\d+\.\d{4}$", line)]
    return sum(figures[:-1]), figures[-1]


def test_one_decision_is_explained_in_figures_that_add_up(ran: Callable[..., Project], command: Command) -> None:
    project = ran("--stages", "train")
    before = project.record()
    answer = command(project.root, "explain", "--row", "3")
    assert answer.code == 0, answer.text
    found, said = contributions(answer.out)
    assert found == pytest.approx(said, abs=5e-4)
    assert re.search(r"(?m)^The model says sold = [01]: the log-odds of 1 is -?\d+\.\d{4}, a probability of 0\.\d{4}\.", answer.out)  # fmt: skip
    assert project.record() == before, "nothing is recorded"


def test_a_decision_is_explained_on_values_that_are_given(ran: Callable[..., Project], command: Command) -> None:
    project = ran("--stages", "train")
    answer = command(project.root, "explain", "--row", '{"size": 2, "age": 30, "kind": "a"}')
    assert answer.code == 0, answer.text
    found, said = contributions(answer.out)
    assert found == pytest.approx(said, abs=5e-4)
    assert "\nThe model says sold = 1" in answer.out
    (project.root / "rows.csv").write_text("kind,size,age\na,2,30\nnever seen,-2,30\n")
    several = command(project.root, "explain", "--rows-file", str(project.root / "rows.csv"))
    assert several.out.startswith(answer.out.rstrip())
    assert several.out.count("The model says") == 2


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ("0", "no such row; the held-out rows are 1 to"),
        ("{", "is neither a number nor JSON"),
        ("[1]", "must be one JSON object"),
        ('{"size": [1]}', "must be one JSON object with a plain value"),
        ('{"size": 1}', "age, kind missing; the model needs each column"),
        ('{"size": "big", "age": 1, "kind": "a"}', "size: must be float64. Got 'big'."),
        ('{"size": 1, "age": 1, "kind": "a", "agee": 3}', "no column 'agee' in the data"),
    ],
)
def test_a_row_that_cannot_be_explained_is_told(
    ran: Callable[..., Project], command: Command, row: str, told: str
) -> None:
    project = ran("--stages", "train")
    answer = command(project.root, "explain", f"--row={row}")
    assert answer.code == 2, answer.text
    assert told in answer.err


def test_without_a_model_there_is_nothing_to_explain(project: Any, command: Command) -> None:
    answer = command(project.root, "explain", "--row", "1")
    assert answer.code == 2
    assert "with a train here; run `model-ci train` first" in answer.err


def test_a_changed_model_file_is_not_loaded(ran: Callable[..., Project], command: Command) -> None:
    project = ran("--stages", "train")
    with (project.runs()[-1] / "model" / "MLmodel").open("a") as file:
        file.write("\n")
    answer = command(project.root, "explain", "--row", "1")
    assert answer.code == 2
    assert "MLmodel not as recorded" in answer.err
