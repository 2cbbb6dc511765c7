"""The prediction log never blocks, never grows without bound, and never loses more than what waits."""

import fcntl
import json
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.serving.asking import until

from model_ci.serving import log
from model_ci.serving.log import LoggedRequest, PredictionLog
from model_ci.serving.predictions import Predictions
from model_ci.serving.signature import Rows


def entry(request_id: str = "r", rows: int = 1, text: str = "x") -> LoggedRequest:
    answers = Predictions(labels=np.arange(rows), probabilities=np.full((rows, 2), 0.5))
    values = Rows(count=rows, values=[[1.5] * rows, [text] * rows])
    return LoggedRequest(
        time=1.7e9, request_id=request_id, user=None, route="/invocations", rows=values, answers=answers,
        duration_s=0.0012,
    )  # fmt: skip


def opened(folder: Path, sample: float = 1.0, max_mb: float = 10.0) -> PredictionLog:
    return PredictionLog(folder, ["a", "b"], ("champion", "3"), sample, max_mb)


def lines(folder: Path) -> list[dict[str, Any]]:
    files = sorted(folder.glob("*.jsonl"))
    return [json.loads(line) for file in files for line in file.read_bytes().splitlines()]


def test_a_line_says_all_of_a_request(tmp_path: Path) -> None:
    wrote = opened(tmp_path)
    wrote.start()
    wrote.add(entry("r1", rows=2))
    wrote.close()
    assert lines(tmp_path) == [
        {
            "time": "2023-11-14T22:13:20.000+00:00", "request_id": "r1", "variant": "champion", "version": "3",
            "user": None, "route": "/invocations", "columns": ["a", "b"], "inputs": [[1.5, "x"], [1.5, "x"]],
            "outputs": [0, 1], "probabilities": [[0.5, 0.5], [0.5, 0.5]], "duration_ms": 1.2,
        }
    ]  # fmt: skip


def test_what_has_no_room_is_dropped_and_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log, "QUEUED_ROWS", 10)
    wrote = opened(tmp_path)
    for i in range(7):
        wrote.add(entry(str(i), rows=2))
    assert wrote.dropped == 2
    wrote.start()
    until(lambda: len(lines(tmp_path)) == 5, "five lines")
    wrote.add(entry("again", rows=2))
    wrote.close()
    assert [line["request_id"] for line in lines(tmp_path)] == ["0", "1", "2", "3", "4", "again"]


def test_a_disk_that_fails_costs_lines_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wrote = opened(tmp_path)
    wrote.start()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(wrote, "_write", full)
    for i in range(3):
        wrote.add(entry(str(i)))
    wrote.close()
    assert wrote.dropped == 3


def test_the_same_requests_are_in_every_sample(tmp_path: Path) -> None:
    found = []
    for name in ("one", "two"):
        wrote = opened(tmp_path / name, sample=0.3)
        wrote.start()
        for i in range(1000):
            wrote.add(entry(f"request-{i}"))
        wrote.close()
        found.append([line["request_id"] for line in lines(tmp_path / name)])
    assert found[0] == found[1]
    assert 200 < len(found[0]) < 400
    none = opened(tmp_path / "none", sample=0.0)
    none.start()
    none.add(entry())
    none.close()
    assert lines(tmp_path / "none") == []
    assert none.dropped == 0


def test_the_folder_is_bounded_and_the_newest_lines_stay(tmp_path: Path) -> None:
    wrote = opened(tmp_path, max_mb=0.5)
    wrote.start()
    for i in range(300):
        wrote.add(entry(str(i), text="x" * 5000))
        if i % 20 == 0:
            until(lambda: not wrote._queue, "an empty queue")
    wrote.close()
    sizes = sum(file.stat().st_size for file in tmp_path.iterdir())
    assert sizes <= 0.5 * 2**20
    kept = [int(line["request_id"]) for line in lines(tmp_path)]
    assert kept == list(range(300 - len(kept), 300))
    assert len(kept) > 50
    assert wrote.dropped == 0


def test_another_services_open_file_is_not_deleted(tmp_path: Path) -> None:
    theirs, dead = tmp_path / "predictions-2020-a-1-0.jsonl", tmp_path / "predictions-2021-b-1-0.jsonl"
    for file in (theirs, dead):
        file.write_bytes(b"{}\n" * 300_000)
    with theirs.open("ab") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        wrote = opened(tmp_path, max_mb=0.5)
        wrote.start()
        wrote.close()
        assert theirs.exists()
        assert not dead.exists()
    assert log.delete_unless_open(theirs)
    assert log.delete_unless_open(theirs)


def test_a_kill_leaves_every_line_that_was_written_and_at_most_one_torn(tmp_path: Path) -> None:
    code = """
        import sys
        from pathlib import Path
        from tests.unit.test_serving_log import entry, opened
        wrote = opened(Path(sys.argv[1]))
        wrote.start()
        i = 0
        while True:
            if len(wrote._queue) < 1000:
                wrote.add(entry(str(i)))
                i += 1
    """
    child = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code), str(tmp_path)], cwd=Path(__file__).parents[2]
    )
    until(lambda: sum(f.stat().st_size for f in tmp_path.glob("*.jsonl")) > 100_000, "100 kB")
    child.send_signal(signal.SIGKILL)
    child.wait()
    (file,) = tmp_path.glob("*.jsonl")
    whole = file.read_bytes().split(b"\n")[:-1]
    assert [json.loads(line)["request_id"] for line in whole] == [str(i) for i in range(len(whole))]


def test_adding_never_waits_for_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wrote = opened(tmp_path)
    held = []
    monkeypatch.setattr(wrote, "_write", lambda *_: held.append(time.sleep(0.3)))
    wrote.start()
    wrote.add(entry("0"))
    until(lambda: not wrote._queue, "the writer at work")
    for i in range(100):
        wrote.add(entry(str(i)))
    assert not held  # all were added while the first write was still under way
    wrote.close()
