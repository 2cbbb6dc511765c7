"""A run that is killed at any instant leaves a valid record, loses nothing that was complete, and can go on."""

import json
import random
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from model_ci.schema import problems

KILLS = 12


def records(root: Path) -> dict[str, dict[str, Any]]:
    return {f.parent.name: json.loads(f.read_text()) for f in sorted(root.glob(".model-ci/runs/*/run.json"))}


def test_sigkill_at_random_moments(project: Any) -> None:
    whole = start(project.root)
    begin = time.monotonic()
    assert whole.wait() == 0
    length = time.monotonic() - begin
    draw = random.Random(7)
    for i in range(KILLS):
        project.configure(train={"parameters": {"C": 1.0 + i // 4}})
        before = records(project.root)
        process = start(project.root)
        time.sleep(draw.uniform(0.2, length))
        process.kill()
        process.wait()
        after = records(project.root)
        assert not [p for record in after.values() for p in problems(record, "run")]
        for run_id, record in before.items():
            kept = after[run_id]["stages"]
            assert {name: kept.get(name) for name in record["stages"]} == record["stages"]
    last = start(project.root)
    assert last.wait() == 0
    finished = list(records(project.root).values())[-1]
    assert list(finished["stages"]) == ["check-data", "train", "evaluate", "register", "record"]
    assert not list(project.root.glob(".model-ci/runs/*/model.partial"))


def start(root: Path) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [sys.executable, "-m", "model_ci", "run"], cwd=root, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
