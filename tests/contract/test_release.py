"""A release is built of a tag that fits the package, and leaves no placeholder in what `init` writes."""

import re
import subprocess
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import pytest
from tests.ci.yaml12 import load

from model_ci import __version__

ROOT = Path(__file__).parents[2]
COMMIT = "5" * 40
TEMPLATES = sorted((ROOT / "scripts/model_ci/commands/init/templates").glob("*.yml"))


@pytest.fixture(scope="module")
def release() -> ModuleType:
    spec = spec_from_file_location("release", ROOT / ".ci" / "release.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("file", [*TEMPLATES, TEMPLATES[0].parents[1] / "files.py"], ids=lambda file: file.name)
def test_no_placeholder_is_left(release: ModuleType, file: Path) -> None:
    text = release.stamp(file.read_text(), "v9.8.7", "corp/tool", COMMIT, "group/mirror")
    assert not re.search(r"acme/model-ci|0{40}|v0\.1\.0", text)
    assert "corp/tool" in text or "project: group/mirror" in text
    pins = re.findall(r"([0-9a-f]{40})\"? # (v[\d.]+)", text)
    assert set(pins) <= {(COMMIT, "v9.8.7")}
    assert bool(pins) == (file.suffix == ".yml")


def test_every_placeholder_is_one_that_the_release_stamps() -> None:
    """A pin that the pattern misses would be shipped as it is."""
    for file in TEMPLATES:
        assert file.read_text().count("0" * 40) == len(re.findall(r'0{40}"? # v[\d.]+', file.read_text()))


def test_the_notes_are_the_section_of_the_version(release: ModuleType) -> None:
    changelog = "# Changelog\n\n## Unreleased\n\n## 1.0.1 - 2026-12-01\n\n### Fixed\n\n- A.\n\n## 1.0.0\n\n- B.\n"
    assert release.changes(changelog, "1.0.1") == "### Fixed\n\n- A.\n"
    assert release.changes(changelog, "1.0.0") == "- B.\n"
    assert release.changes(changelog, "1.0") == release.changes(changelog, "2.0.0") == ""


def test_a_tag_that_is_not_the_version_is_refused() -> None:
    command = [sys.executable, ".ci/release.py", "v0.0.9", "corp/tool", COMMIT]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert f"v0.0.9: is not the version {__version__} of the package; tag v{__version__}" in done.stderr


def test_who_publishes_runs_no_code_of_the_repository() -> None:
    jobs = load(ROOT / ".github" / "workflows" / "release.yml")["jobs"]
    assert jobs["build"]["permissions"] == {"contents": "read"}
    assert jobs["publish"]["environment"] == "release"
    used = [step.get("uses", "").partition("@")[0] for step in jobs["publish"]["steps"]]
    assert {u for u in used if u} == {"actions/download-artifact", "actions/attest-build-provenance"}
    assert not [s for s in jobs["publish"]["steps"] if re.search(r"\bpython|\.ci/|\bmake\b", s.get("run", ""))]
