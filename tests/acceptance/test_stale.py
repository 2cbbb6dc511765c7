"""A result is reused only when nothing changed that it may depend on, and the user reads what did."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.conftest import Answer, Project

Command = Callable[..., Answer]
STAGES = ("run", "--stages", "train,evaluate")
GATES = "def fair(context):\n    return True, 'fine'\n"
SETTINGS = (
    'import json, pathlib\nSETTINGS = json.loads(pathlib.Path(__file__).with_name("settings.json").read_text())\n'
)


def git(root: Path, *arguments: str) -> None:
    subprocess.run(["git", *arguments], cwd=root, check=True, capture_output=True)


def commit(root: Path) -> None:
    git(root, "add", "-A")
    git(root, "commit", "-qm", "change")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, empty_store: Path) -> Iterator[Project]:
    """A project that has trained, with code in several places, some of it not committed."""
    from tests.conftest import CONFIG, MODEL_CODE, write_rows

    root = tmp_path_factory.mktemp("trained") / "project"
    shutil.copytree(empty_store, root / ".model-ci" / "store")
    write_rows(root / "data.csv")
    (root / "model_code.py").write_text(SETTINGS + MODEL_CODE)
    (root / "settings.json").write_text("{}")
    (root / "src").mkdir()
    (root / "src" / "part.py").write_text("A = 1\n")
    (root / "own_gates.py").write_text(GATES)
    (root / "told-to-stay.py").write_text("A = 1\n")
    (root / "behind.txt").write_text("1")
    (root / "link.txt").symlink_to("../outside.txt")
    (root.parent / "outside.txt").write_text("1")
    values = {**CONFIG, "train": {**CONFIG["train"], "env": ["SETTING"]}}
    (root / "model-ci.yaml").write_text(yaml.safe_dump(values, sort_keys=False))
    (root / ".gitignore").write_text(".model-ci/\n__pycache__/\nignored.txt\n")
    git(root, "init", "-q", "-b", "main")
    git(root, "config", "user.name", "a")
    git(root, "config", "user.email", "a@b")
    commit(root)
    git(root, "update-index", "--assume-unchanged", "told-to-stay.py")
    (root / "notes.txt").write_text("not committed\n")
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("GIT_", "PYTHONDONT"))}
    done = subprocess.run(
        [Path(sys.executable).with_name("model-ci"), *STAGES],
        cwd=root,
        env=environment,
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    yield Project(root)


@pytest.fixture
def project(trained: Project, tmp_path: Path) -> Project:
    """A copy of it."""
    shutil.copytree(trained.root.parent, tmp_path / "copy", symlinks=True)
    root = tmp_path / "copy" / "project"
    git(root, "config", "core.fileMode", "false")
    return Project(root)


def dry(project: Project, command: Command) -> list[str]:
    answer = command(project.root, *STAGES, "--dry-run")
    assert answer.code == 0, answer.text
    return answer.out.splitlines()


def submodule(root: Path) -> None:
    other = root.parent / "other"
    other.mkdir()
    git(other, "init", "-q")
    (other / "inside.py").write_text("A = 1\n")
    git(other, "add", ".")
    git(other, "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "x")
    shutil.copytree(other, root / "nested")


CHANGES: dict[str, tuple[Callable[[Path], Any], str]] = {
    "the entry point": (lambda r: (r / "model_code.py").open("a").write("\n# a\n"), "model_code.py"),
    "a module in src": (lambda r: (r / "src" / "part.py").write_text("A = 2\n"), "src/part.py"),
    "a file that the code reads": (lambda r: (r / "settings.json").write_text('{"a": 1}'), "settings.json"),
    "a gate": (lambda r: (r / "own_gates.py").write_text("\n"), "own_gates.py"),
    "a file that is not committed": (lambda r: (r / "notes.txt").write_text("other\n"), "notes.txt"),
    "a new file": (lambda r: (r / "new.py").write_text("\n"), "new.py"),
    "a file that goes": (lambda r: (r / "settings.json").unlink(), "settings.json"),
    "a file that git does not look at": (lambda r: (r / "told-to-stay.py").write_text("A = 2\n"), "told-to-stay.py"),
    "what a link leads to": (lambda r: (r.parent / "outside.txt").write_text("2"), "link.txt"),
    "a repository inside": (submodule, "nested/inside.py"),
    "many files": (lambda r: [(r / f"new{i}.py").write_text("\n") for i in range(5)], "new0.py, new1.py, 3 more"),
}


@pytest.mark.parametrize("committed", [False, True], ids=["as it lies", "committed"])
@pytest.mark.parametrize("change", CHANGES)
def test_a_change_of_any_file_is_seen_and_named(
    project: Project, command: Command, change: str, committed: bool
) -> None:
    make, name = CHANGES[change]
    make(project.root)
    if committed and change not in ("a repository inside", "a file that git does not look at"):
        commit(project.root)
    first, second = dry(project, command)
    assert first.startswith("train        runs: "), first
    assert name in first or committed, first
    assert second == "evaluate     runs: train runs before it"


SAME: dict[str, Callable[[Path], Any]] = {
    "nothing": lambda r: None,
    "a commit of the same content": commit,
    "new times": lambda r: [os.utime(f) for f in r.glob("*.py")],
    "an ignored file": lambda r: (r / "ignored.txt").write_text("x"),
    "compiled modules": lambda r: ((r / "__pycache__").mkdir(exist_ok=True), (r / "x.pyc").write_text("x")),
    "our own folder, tracked": lambda r: ((r / ".gitignore").write_text("ignored.txt\n__pycache__/\n"), git(r, "checkout", "--", ".gitignore")),
    "an environment": lambda r: ((r / ".venv").mkdir(), (r / ".venv" / "pyvenv.cfg").write_text(""), (r / ".venv" / "x.py").write_text("")),
    "the contract": lambda r: (r / "data-contract.yaml").write_text("columns: {}\n"),
}  # fmt: skip


@pytest.mark.parametrize("change", SAME)
def test_what_cannot_change_the_result_does_not(project: Project, command: Command, change: str) -> None:
    SAME[change](project.root)
    assert [line.split()[1] for line in dry(project, command)] == ["unchanged:", "unchanged:"]


def test_a_gate_in_the_configuration_is_no_code(project: Project, command: Command) -> None:
    project.configure(evaluate={"gates": [{"metric": "roc_auc", "min": 0.61}]})
    first, second = dry(project, command)
    assert "unchanged" in first
    assert second == "evaluate     runs: evaluate section changed"


def test_narrowed_code_leaves_out_the_rest(project: Project, command: Command) -> None:
    project.configure(train={"code": ["model_code.py", "settings.json"]}, evaluate={"code": ["own_gates.py"]})
    assert command(project.root, *STAGES).code == 0
    (project.root / "notes.txt").write_text("other\n")
    assert [line.split()[1] for line in dry(project, command)] == ["unchanged:"] * 2, dry(project, command)
    (project.root / "own_gates.py").write_text("\n")
    first, second = dry(project, command)
    assert "unchanged" in first
    assert second == "evaluate     runs: own_gates.py changed"
    (project.root / "settings.json").write_text('{"b": 1}')
    assert dry(project, command)[0] == "train        runs: settings.json changed"


def test_globs_that_match_nothing_are_refused(project: Project, command: Command) -> None:
    project.configure(evaluate={"code": ["nope/*.py"]})
    answer = command(project.root, *STAGES)
    assert answer.code == 2
    assert "evaluate.code: nope/*.py match no file" in answer.err


def test_without_git_every_file_counts(project: Project, command: Command) -> None:
    shutil.rmtree(project.root / ".git")
    assert command(project.root, *STAGES, "--force").code == 0
    assert [line.split()[1] for line in dry(project, command)] == ["unchanged:"] * 2, dry(project, command)
    os.mkfifo(project.root / "pipe")  # reading it would wait for ever
    assert [line.split()[1] for line in dry(project, command)] == ["unchanged:"] * 2, dry(project, command)
    (project.root / "src" / "part.py").write_text("A = 2\n")
    assert dry(project, command)[0] == "train        runs: src/part.py changed"


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder like site-packages, in which a library is installed."""
    folder = tmp_path / "site-packages"
    (folder / "otherlib-1.0.dist-info").mkdir(parents=True)
    monkeypatch.syspath_prepend(str(folder))
    return folder


def test_another_version_of_a_library_is_seen_and_named(project: Project, command: Command, installed: Path) -> None:
    assert command(project.root, *STAGES).code == 0
    (installed / "otherlib-1.0.dist-info").rename(installed / "otherlib-2.0.dist-info")
    assert dry(project, command)[0] == "train        runs: otherlib 1.0 -> 2.0 changed"


def test_an_editable_library_counts_by_its_content(
    project: Project, command: Command, installed: Path, tmp_path: Path
) -> None:
    source = tmp_path / "lib"
    source.mkdir()
    (source / "lib.py").write_text("A = 1\n")
    origin = {"url": source.as_uri(), "dir_info": {"editable": True}}
    (installed / "otherlib-1.0.dist-info" / "direct_url.json").write_text(json.dumps(origin))
    assert command(project.root, *STAGES).code == 0
    assert "unchanged" in dry(project, command)[0]
    (source / "lib.py").write_text("A = 2\n")
    assert "otherlib" in dry(project, command)[0]


def test_a_module_from_elsewhere_counts_by_its_content(
    project: Project, command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "away.py").write_text("A = 1\n")
    monkeypatch.syspath_prepend(str(elsewhere))
    (project.root / "model_code.py").open("a").write("\nimport importlib\nimportlib.import_module('aw' + 'ay')\n")
    assert command(project.root, *STAGES).code == 0
    assert "unchanged" in dry(project, command)[0]
    (elsewhere / "away.py").write_text("A = 2  # other\n")
    assert dry(project, command)[0] == "train        runs: away changed"


def test_a_declared_variable_counts_and_its_value_is_nowhere(
    project: Project, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SETTING", "a-secret-value")
    assert dry(project, command)[0] == "train        runs: the variable SETTING changed"
    assert command(project.root, *STAGES).code == 0
    assert "unchanged" in dry(project, command)[0]
    written = [f.read_bytes() for f in project.runs()[-1].rglob("*") if f.is_file()]
    assert not any(b"a-secret-value" in content for content in written)


def test_a_command_depends_on_its_script_before_it_is_committed(project: Project, command: Command) -> None:
    script = project.root / "fit.py"
    script.write_text("raise SystemExit(7)\n")
    configuration = yaml.safe_load((project.root / "model-ci.yaml").read_text())
    configuration["train"] = {"command": "python fit.py"}
    (project.root / "model-ci.yaml").write_text(yaml.safe_dump(configuration))
    script.write_text(
        "import json, os, mlflow.sklearn, pandas\n"
        "from sklearn.linear_model import LogisticRegression\n"
        "rows = pandas.read_parquet(os.environ['MODEL_CI_TRAIN_DATA'])\n"
        "x = rows[['size', 'age']]\n"
        "model = LogisticRegression().fit(x, rows['sold'])\n"
        "mlflow.sklearn.save_model(model, os.environ['MODEL_CI_MODEL_DIR'], input_example=x.head(2))\n"
    )
    answer = command(project.root, "train")
    assert answer.code == 0, answer.text
    assert "unchanged" in command(project.root, "run", "--dry-run", "--stages", "train").out
    script.write_text("raise SystemExit(7)\n")
    assert "runs: fit.py changed" in command(project.root, "run", "--dry-run", "--stages", "train").out


@pytest.fixture
def registered(project: Project, command: Command) -> Project:
    """The copy, with its model as version 1."""
    assert command(project.root, "register").code == 0
    return project


def test_an_alias_that_was_moved_by_hand_is_seen(registered: Project, command: Command) -> None:
    from model_ci.registry.client import connect

    assert command(registered.root, "run", "--dry-run", "--stages", "register").out.startswith("register     unchanged")
    client = connect(f"sqlite:///{registered.root}/.model-ci/store/mlflow.db")
    client.delete_registered_model_alias("shop", "champion")
    line = "register     runs: no version is the champion in the registry, not version 1 as recorded"
    assert command(registered.root, "run", "--dry-run", "--stages", "register").out.splitlines() == [line]
    answer = command(registered.root, "register")
    assert line in answer.err
    assert "champion now" not in answer.out
    assert "there is no champion" in answer.out
    assert len(client.search_model_versions("name = 'shop'")) == 1
    assert len(registered.runs()) == 1


def test_a_version_that_was_deleted_is_registered_again(registered: Project, command: Command) -> None:
    from model_ci.registry.client import connect

    client = connect(f"sqlite:///{registered.root}/.model-ci/store/mlflow.db")
    client.delete_registered_model_alias("shop", "champion")
    client.delete_registered_model_alias("shop", "challenger")
    client.delete_model_version("shop", "1")
    answer = command(registered.root, "register")
    assert answer.code == 0, answer.text
    assert "Registered as shop version 2, which is the champion now." in answer.out


def test_a_stage_in_another_environment_judges_the_model_as_it_is(
    project: Project, command: Command, installed: Path
) -> None:
    """Each CI job may install its own packages: evaluate needs more than train."""
    project.configure(evaluate={"gates": [{"metric": "roc_auc", "min": 0.61}]})
    (installed / "otherlib-1.0.dist-info").rename(installed / "otherlib-2.0.dist-info")
    answer = command(project.root, "evaluate")
    assert answer.code == 0, answer.text
    assert "evaluate     runs: evaluate section, otherlib" in answer.err
    assert "reused_from" in project.record()["stages"]["train"]
