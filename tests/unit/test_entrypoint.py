"""The user's code: what belongs to an entry point, how it is called, and whose traceback is shown."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from model_ci import entrypoint
from model_ci.errors import ConfigError, UserCodeError


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Path]:
    """A folder of modules that are forgotten afterwards."""
    before, path = set(sys.modules), list(sys.path)
    yield tmp_path
    sys.path[:] = path
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(tmp_path)):
            del sys.modules[name]


def write(root: Path, **files: str) -> None:
    for name, text in files.items():
        file = root / f"{name.replace('__', '/')}.py"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)


def names(root: Path, entry: str) -> set[str]:
    return {f.relative_to(root).as_posix() for f in entrypoint.sources(entry, root)}


def test_sources_are_the_module_and_what_it_imports(root: Path) -> None:
    write(
        root,
        main="import os, numpy\nimport one\nfrom pack.inner import thing\n\ndef late():\n    import two\n",
        one="from three import x\n",
        two="",
        three="x = 1",
        unrelated="",
        pack____init__="",
    )
    (root / "pack").mkdir(exist_ok=True)
    (root / "pack" / "__init__.py").write_text("")
    (root / "pack" / "inner.py").write_text("from . import sibling\nfrom .deeper.leaf import y\nthing = 1\n")
    (root / "pack" / "sibling.py").write_text("")
    (root / "pack" / "deeper").mkdir()
    (root / "pack" / "deeper" / "__init__.py").write_text("")
    (root / "pack" / "deeper" / "leaf.py").write_text("from ..sibling import z\ny = 1\n")
    found = names(root, "main:build")
    assert found == {
        "main.py", "one.py", "two.py", "three.py", "pack/__init__.py", "pack/inner.py", "pack/sibling.py",
        "pack/deeper/__init__.py", "pack/deeper/leaf.py",
    }  # fmt: skip


def test_sources_survive_a_circle_and_a_syntax_error(root: Path) -> None:
    write(root, a="import b\n", b="import a\nimport c\n", c="def (:\n")
    assert names(root, "a:f") == {"a.py", "b.py", "c.py"}


def test_parameters_that_do_not_fit_are_told_together() -> None:
    def build(depth: int, rate: float = 0.1) -> None: ...

    with pytest.raises(ConfigError) as raised:
        entrypoint.call(build, {"dept": 3, "x": 1}, {"seed": 0}, "m:build", "train.parameters")
    assert raised.value.problems == (
        "train.parameters.dept: m:build takes no such parameter; it takes depth, rate",
        "train.parameters.x: m:build takes no such parameter; it takes depth, rate",
        "train.parameters: m:build needs 'depth'; add it",
    )


def test_what_is_offered_is_given_only_when_asked_for() -> None:
    def build(seed: int, **rest: Any) -> tuple[int, dict[str, Any]]:
        return seed, rest

    assert entrypoint.call(build, {"a": 1}, {"seed": 7, "train": None}, "m:build", "p") == (7, {"a": 1})
    with pytest.raises(ConfigError, match=r"p\.seed: is given by model-ci; leave it out"):
        entrypoint.call(build, {"seed": 1}, {"seed": 7}, "m:build", "p")


def test_a_traceback_begins_in_the_users_file(root: Path) -> None:
    write(root, mine="def build():\n    return 1 / 0\n")
    function = entrypoint.load("mine:build", root, "train.entrypoint")
    with pytest.raises(UserCodeError) as raised:
        entrypoint.call(function, {}, {}, "mine:build", "p")
    lines = raised.value.traceback.splitlines()
    assert lines[1].strip().startswith(f'File "{root}/mine.py", line 2')
    assert lines[-1] == "ZeroDivisionError: division by zero"


def test_a_command_and_all_it_started_are_ended_in_time(tmp_path: Path) -> None:
    import os
    import time

    with pytest.raises(UserCodeError, match=r"was ended after 0\.5 s"):
        entrypoint.run_command("sleep 60 & echo $! > child; wait", tmp_path, dict(os.environ), 0.5)
    child = int((tmp_path / "child").read_text())
    for _ in range(100):
        try:
            os.kill(child, 0)
        except ProcessLookupError:
            return
        if Path(f"/proc/{child}/stat").read_text().split()[2] == "Z":
            return
        time.sleep(0.05)
    pytest.fail("the child lives on")
