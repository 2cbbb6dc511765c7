"""Text of the data, printed by the command under GitHub Actions."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any


def test_categories_of_the_data_command_no_runner(project: Any, tmp_path: Path) -> None:
    rows = (project.root / "data.csv").read_text().splitlines()
    place = rows[0].split(",").index("kind")
    evil = '"x\n::error title=hello::owned ##[add-mask]passed"'
    lines = [rows[0]]
    for number, row in enumerate(rows[1:]):
        cells = row.split(",")
        lines.append(",".join([*cells[:place], evil if number % 2 else cells[place], *cells[place + 1 :]]))
    (project.root / "data.csv").write_text("\n".join(lines) + "\n")
    project.configure(evaluate={"gates": [{"metric": "accuracy", "by": "kind", "min": 0.99, "min_rows": 5}]})
    (tmp_path / "event.json").write_text('{"repository": {"default_branch": "main"}}')
    environment = {
        "GITHUB_ACTIONS": "true", "GITHUB_EVENT_NAME": "pull_request", "GITHUB_REF": "refs/pull/7/merge",
        "GITHUB_EVENT_PATH": str(tmp_path / "event.json"), "GITHUB_REPOSITORY": "acme/shop", "GITHUB_RUN_ID": "1",
        "GITHUB_SERVER_URL": "https://github.com",
    }  # fmt: skip
    model_ci = Path(sys.executable).with_name("model-ci")
    done = subprocess.run(
        [model_ci, "run", "--stages", "train,evaluate"], cwd=project.root, capture_output=True, text=True, check=False,
        env={**os.environ, **environment},
    )  # fmt: skip
    assert done.returncode == 3, done.stderr
    for line in (done.stdout + done.stderr).splitlines():
        if line.lstrip().startswith("::"):
            assert "title=model-ci" in line.partition("::error")[2]
        else:
            assert "##[" not in line
    assert "owned" in done.stdout
