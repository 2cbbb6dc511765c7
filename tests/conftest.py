"""What every test lives in: a home of its own, no platform's variables, and a small project to work on."""

import contextlib
import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests import shared

pytest_plugins = ["tests.cpu", "tests.ci.fixtures", "tests.serving.fixtures", "tests.docker_engine"]
IDENTITY = {
    "GIT_AUTHOR_NAME": "Test", "GIT_AUTHOR_EMAIL": "test@example.invalid",
    "GIT_COMMITTER_NAME": "Test", "GIT_COMMITTER_EMAIL": "test@example.invalid",
}  # fmt: skip
# What a test's fixtures say of it: an engine, or a runner of a CI platform.
MARKERS = {"docker": {"docker_engine"}, "platform": {"github", "gitlab"}}
# What a CI system and a developer's shell set; it would change what the commands do.
FOREIGN = ("GITHUB_", "CI_", "GITLAB_", "MLFLOW_", "INPUT_", "GIT_", "JENKINS_")
FOREIGN_NAMES = ("CI", "CONTINUOUS_INTEGRATION", "TF_BUILD", "TEAMCITY_VERSION", "PYTHONDONTWRITEBYTECODE")


def pytest_configure(config: pytest.Config) -> None:
    # here, not in a fixture of one test: fixtures that a module or a session shares run before those
    for name in list(os.environ):
        if name.startswith(FOREIGN) or name in FOREIGN_NAMES:
            del os.environ[name]
    config.addinivalue_line("markers", "slow: a simulation, or more than two CPU seconds for one behaviour")
    config.addinivalue_line("markers", "docker: needs a Docker engine")
    config.addinivalue_line("markers", "platform: runs act or gitlab-ci-local")


def pytest_collection_modifyitems(items: Sequence[pytest.Item]) -> None:
    for item in items:
        for marker, fixtures in MARKERS.items():
            if fixtures & set(getattr(item, "fixturenames", ())):
                item.add_marker(marker)


@pytest.fixture(autouse=True)
def _apart(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Keep the machine's settings out, and the test's out of the machine."""
    home = tempfile.mkdtemp(
        prefix="home-", dir=tmp_path_factory.getbasetemp()
    )  # pytest's own would count them all each time
    for name, value in {**IDENTITY, "HOME": home, "GIT_CONFIG_NOSYSTEM": "1", "OMP_NUM_THREADS": "1"}.items():
        monkeypatch.setenv(name, value)


@dataclass(frozen=True)
class Answer:
    """What a command said."""

    code: int
    out: str
    err: str

    @property
    def text(self) -> str:
        return self.out + self.err


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Answer]:
    """Call `model-ci` in this process, in a folder, as its console script does."""

    def call(folder: Path, *arguments: str) -> Answer:
        monkeypatch.chdir(folder)
        return _call(folder, arguments)

    return call


def _call(folder: Path, arguments: Sequence[str]) -> Answer:
    from model_ci.__main__ import exit_code

    out, err = io.StringIO(), io.StringIO()
    with _forget_modules(folder), redirect_stdout(out), redirect_stderr(err):
        try:
            code = exit_code(list(arguments))
        except SystemExit as end:
            code = int(end.code or 0)
    return Answer(int(code), out.getvalue(), err.getvalue())


class _forget_modules:  # noqa: N801 - reads as the statement it is
    """Two projects' modules of one name are not one module."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __enter__(self) -> None:
        self.path = list(sys.path)

    def __exit__(self, *_: object) -> None:
        sys.path[:] = self.path
        inside = [
            n for n, m in sys.modules.items() if str(getattr(m, "__file__", "") or "").startswith(str(self.folder))
        ]
        for name in inside:
            del sys.modules[name]


MODEL_CODE = '''
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder


def build(C=1.0, columns=("size", "age")):
    """A pipeline that sees `columns` and, one-hot, `kind`."""
    kinds = (OneHotEncoder(handle_unknown="ignore"), ["kind"])
    chosen = make_column_transformer(kinds, ("passthrough", list(columns)), remainder="drop")
    return make_pipeline(chosen, LogisticRegression(C=C, max_iter=500))
'''
CONFIG: dict[str, Any] = {
    "model": {"name": "shop", "task": "binary"},
    "data": {"path": "data.csv", "target": "sold", "time_column": "day", "holdout": {"share": 0.3}},
    "train": {"entrypoint": "model_code:build", "parameters": {"C": 1.0}},
    "evaluate": {"metrics": ["log_loss"], "gates": [{"metric": "roc_auc", "min": 0.6, "max_drop": 0.01}]},
}


@dataclass(frozen=True)
class Project:
    """A folder with data, code and configuration."""

    root: Path

    def configure(self, **sections: Any) -> None:
        """Merge sections into model-ci.yaml."""
        file = self.root / "model-ci.yaml"
        values = yaml.safe_load(file.read_text())
        for name, section in sections.items():
            key = name.replace("_", "-")
            values[key] = {**values.get(key, {}), **section}
        file.write_text(yaml.safe_dump(values, sort_keys=False))

    def runs(self) -> list[Path]:
        return sorted((self.root / ".model-ci" / "runs").glob("*"))

    def record(self) -> dict[str, Any]:
        """The newest run's record."""
        return json.loads((self.runs()[-1] / "run.json").read_text())  # type: ignore[no-any-return]


def write_rows(file: Path, rows: int = 400, seed: int = 0, labels: Sequence[int] | None = None) -> None:
    """Write a table whose target depends on `size` and `kind`, and on `age` not at all."""
    import random

    draw = random.Random(seed)
    lines = ["day,size,age,kind,sold"]
    for i in range(rows):
        size, age, kind = draw.gauss(0, 1), draw.randint(1, 90), draw.choice(["a", "b", "c"])
        sold = int(size + (kind == "a") + draw.gauss(0, 1) > 0.3)
        day = f"2024-{1 + i * 12 // rows:02d}-{1 + i % 28:02d}"
        lines.append(f"{day},{size:.6f},{age},{kind},{labels[i % len(labels)] if labels else sold}")
    file.write_text("\n".join(lines) + "\n")


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """MLflow takes seconds to make a database: make one, for all tests to begin with a copy of it."""

    def make(folder: Path) -> None:
        from model_ci.registry.file import FileStore

        store = FileStore(folder)
        store.change(lambda access: None, lambda access: None)
        store.close()

    return shared.made("empty-store", tmp_path_factory, make)


def make_repository(root: Path) -> Project:
    """A small project of 400 rows and a logistic regression, in a repository without a remote, that never ran."""
    root.mkdir()
    write_rows(root / "data.csv")
    (root / "model_code.py").write_text(MODEL_CODE)
    (root / "model-ci.yaml").write_text(yaml.safe_dump(CONFIG, sort_keys=False))
    (root / ".gitignore").write_text(".model-ci/\n__pycache__/\n")
    for arguments in (["init", "-q", "-b", "main"], ["add", "."], ["commit", "-q", "-m", "begin"]):
        subprocess.run(["git", *arguments], cwd=root, check=True)
    return Project(root)


@pytest.fixture
def repository(tmp_path: Path) -> Project:
    """A small project in a repository without a remote, that never ran."""
    return make_repository(tmp_path / "project")


@pytest.fixture
def project(repository: Project, empty_store: Path) -> Project:
    """The same, with an empty model store."""
    shutil.copytree(empty_store, repository.root / ".model-ci" / "store")
    return repository


@pytest.fixture
def ran(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, empty_store: Path) -> Callable[..., Project]:
    """Return the project after its first `model-ci run`, with the arguments and settings given; each is run once a session."""

    def copy(*arguments: str, **settings: Any) -> Project:
        def make(folder: Path) -> None:
            made = make_repository(folder)
            shutil.copytree(empty_store, folder / ".model-ci" / "store")
            made.configure(**settings)
            with contextlib.chdir(folder):
                answer = _call(folder, ["run", *arguments])
            assert answer.code == 0, answer.text

        name = hashlib.sha256(json.dumps([arguments, settings], sort_keys=True).encode()).hexdigest()[:16]
        made = shared.made(f"ran-{name}", tmp_path_factory, make)
        return Project(shutil.copytree(made, tmp_path / "project", symlinks=True))

    return copy
