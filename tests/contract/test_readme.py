"""The README is true: its generated parts are what the files say, and what it links to is there."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from model_ci.stages import STAGES

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), ROOT / "benchmarks" / "README.md"]


def test_generated_parts_are_up_to_date() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "cogapp", "--check", "-P", "-I", "scripts", "README.md", "docs/options.md"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"run `make readme`: {done.stdout}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\((?!https?://|#)([^)#]+)", page.read_text(encoding="utf-8"))
    assert not [link for link in links if not (page.parent / link).exists()]


def test_every_target_and_stage_it_names_exists() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"make ([a-z]+)", text)) <= targets | {"src"}
    assert all(f"`{name}`" in text for name in STAGES)


def test_the_workflow_that_users_copy_is_short() -> None:
    workflow = yaml.safe_load((ROOT / "example-project/.github/workflows/model-ci.yml").read_text())
    job = yaml.safe_dump(workflow["jobs"], sort_keys=False)
    assert len(job.splitlines()) < 12
    assert len((ROOT / "example-project/model-ci.yaml").read_text().splitlines()) <= 25


def test_the_report_page_shows_the_workflow_that_init_writes() -> None:
    workflow = (ROOT / "example-project/.github/workflows/model-ci-comment.yml").read_text(encoding="utf-8")
    assert workflow in (ROOT / "docs" / "reports.md").read_text(encoding="utf-8")
