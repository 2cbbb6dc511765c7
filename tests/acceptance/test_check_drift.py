"""`model-ci check-drift` through its front door: what drifts, what does not, and what cannot be judged."""

import json
import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import Project, write_rows

from model_ci.report import html
from model_ci.stages.content import content

Command = Callable[..., Any]


def section(project: Any) -> dict[str, Any]:
    return project.record()["stages"]["check-drift"]  # type: ignore[no-any-return]


def column(project: Any, name: str) -> dict[str, Any]:
    return next(c for c in section(project)["columns"] if c["name"] == name)


def rows_file(
    root: Path, name: str = "now.csv", rows: int = 300, shift: float = 0.0, kinds: str = "abc", seed: int = 5
) -> None:
    """Write rows of the time after the training's, with `size` moved and `kind` drawn from other kinds."""
    draw = random.Random(seed)
    lines = ["day,size,age,kind"]
    for i in range(rows):
        day = datetime(2025, 1, 1, tzinfo=UTC) + timedelta(days=i * 20 // max(rows, 1))
        lines.append(f"{day:%Y-%m-%d},{draw.gauss(shift, 1):.6f},{draw.randint(1, 90)},{draw.choice(kinds)}")
    (root / name).write_text("\n".join(lines) + "\n")


@pytest.fixture
def watched(project: Any) -> Any:
    """Configure a check of a table against a table."""
    write_rows(project.root / "data.csv", rows=2000)
    project.configure(check_drift={"rows": "now.csv", "reference": "data.csv"})
    return project


def test_the_same_rows_do_not_drift(watched: Any, command: Command) -> None:
    rows_file(watched.root)
    answer = command(watched.root, "check-drift")
    assert answer.code == 0, answer.text
    found = section(watched)
    assert (found["state"], found["verdict"], found["share"]) == ("no drift", "passed", 0)
    assert {c["name"] for c in found["columns"]} == {"size", "age", "kind"}


def test_a_column_that_moves_drifts(watched: Any, command: Command) -> None:
    rows_file(watched.root, shift=1.0, kinds="abd")
    answer = command(watched.root, "check-drift")
    assert answer.code == 3, answer.text
    found = section(watched)
    assert (found["state"], found["drift"]["data"]) == ("drift", True)
    assert [c["name"] for c in found["columns"] if c["drifted"]] == ["kind", "size"]
    assert column(watched, "size")["score"] == pytest.approx(1, abs=0.2)
    assert column(watched, "kind")["categories"]["new"] == ["d"]
    assert column(watched, "kind")["categories"]["vanished"] == ["c"]
    page = html(content(watched.record()))
    assert page.count('<svg class="distribution no"') == 2
    assert "gone: c" in answer.out


def test_little_weight_may_drift(watched: Any, command: Command) -> None:
    rows_file(watched.root, shift=1.0)
    assert command(watched.root, "check-drift", "--set", "check-drift.max_share=0.34").code == 0
    assert "carry only 33% of the model's weight" in section(watched)["why"]


def test_too_few_rows_may_pass_but_none_never(watched: Any, command: Command) -> None:
    rows_file(watched.root, rows=20)
    allow = ("--set", "check-drift.inconclusive=pass")
    assert command(watched.root, "check-drift", *allow).code == 0
    assert section(watched)["verdict"] == "done"
    assert command(watched.root, "check-drift", *allow, "--set", "check-drift.since=2030-01-01").code == 3


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        (["reference=absent.csv"], "absent.csv: no such file"),
        (["reference=null"], "there is no champion"),
        (["reference=null", "joint.rows=100"], "joint: needs the reference's rows themselves"),
        (["windows.needed=2"], "needed 2 is more than of 1"),
        (["rules=evidently", "numbers=total_variation"], "not among Evidently's distances"),
        (["time_column=when"], "has no column 'when'"),
        (["last=3h", "time_column=age"], "age counts in numbers"),
        (["rows=sql:SELECT * FROM nowhere"], "sql: Catalog Error"),
    ],
)
def test_what_is_wrong_with_the_settings_is_said(
    watched: Any, command: Command, settings: list[str], told: str
) -> None:
    rows_file(watched.root)
    answer = command(watched.root, "check-drift", *(a for s in settings for a in ("--set", f"check-drift.{s}")))
    assert answer.code == 2, answer.text
    assert told in answer.err


def test_a_column_must_drift_in_enough_windows(watched: Any, command: Command) -> None:
    settings = [a for s in ("windows.of=3", "windows.needed=2") for a in ("--set", f"check-drift.{s}")]
    codes = []
    for seed, shift in ((1, 1.0), (1, 1.0), (2, 0.0), (3, 1.0)):
        rows_file(watched.root, seed=seed, shift=shift)
        codes.append((command(watched.root, "check-drift", *settings).code, section(watched)["windows"]["seen"]))
    # One window is too few, and looking at it again adds none; with the fourth, two of three have drifted.
    assert codes == [(3, 1), (3, 1), (0, 2), (3, 3)]
    assert section(watched)["state"] == "drift"
    assert column(watched, "size")["windows"] == [True, False, True]


def test_rows_are_split_into_windows(watched: Any, command: Command) -> None:
    rows_file(watched.root, rows=1000, shift=1.0)
    settings = [
        a
        for s in ("windows.every=5d", "windows.of=3", "windows.needed=3", "last=15d")
        for a in ("--set", f"check-drift.{s}")
    ]
    assert command(watched.root, "check-drift", *settings).code == 3
    assert column(watched, "size")["windows"] == [True, True, True]
    assert section(watched)["window"]["first"].startswith("2025-01-06")


def test_a_season_is_compared_with_its_like(project: Any, command: Command) -> None:
    lines = ["day,size,age,kind,sold"]
    draw = random.Random(1)
    for i in range(4000):
        day = datetime(2023, 1, 1, tzinfo=UTC) + timedelta(days=i % 365)
        lines.append(f"{day:%Y-%m-%d},{draw.gauss(3 * (day.month in (6, 7)), 1):.4f},{draw.randint(1, 90)},a,{i % 2}")
    (project.root / "data.csv").write_text("\n".join(lines) + "\n")
    lines = ["day,size,age,kind"]
    for i in range(400):
        lines.append(f"2024-06-{1 + i % 30:02d},{draw.gauss(3, 1):.4f},{draw.randint(1, 90)},a")
    (project.root / "now.csv").write_text("\n".join(lines) + "\n")
    project.configure(check_drift={"rows": "now.csv", "reference": "data.csv"})
    assert command(project.root, "check-drift").code == 3
    answer = command(project.root, "check-drift", "--set", "check-drift.seasonal=month")
    assert answer.code == 0, answer.text


def test_a_registered_model_brings_its_profile(ran: Callable[..., Project], command: Command) -> None:
    """The model's answers drift by the prediction log, without any training data."""
    project = ran("--stages", "train,evaluate,register")
    (project.root / "data.csv").unlink()
    draw, lines = random.Random(4), []
    for i in range(200):
        line = {
            "time": (datetime(2025, 1, 1, tzinfo=UTC) + timedelta(minutes=i)).isoformat(timespec="milliseconds"),
            "request_id": f"r{i}", "variant": "champion", "version": "1", "user": None, "route": "/invocations",
            "columns": ["size", "age", "kind"], "inputs": [[draw.gauss(0, 1), draw.randint(1, 90), draw.choice("abc")]],
            "outputs": [1], "probabilities": [[0.1, 0.9]], "duration_ms": 1.0,
        }  # fmt: skip
        lines.append(json.dumps(line))
    (project.root / "log").mkdir()
    (project.root / "log" / "predictions-20250101T000000Z-a-1-0.jsonl").write_text("\n".join(lines) + "\n{torn")
    answer = command(project.root, "check-drift", "--set", "check-drift.rows=log")
    assert answer.code == 3, answer.text
    found = section(project)
    assert found["drift"] == {"data": False, "prediction": True, "label": False, "joint": False}, answer.out
    assert (found["reference"]["kind"], found["reference"]["version"]) == ("version", "1")


def test_drift_of_columns_together(watched: Any, command: Command) -> None:
    """Each column is as before; that two of them hang together now is what the classifier sees."""
    draw = random.Random(1)
    for name, together in (("before.csv", False), ("now.csv", True)):
        lines = ["x,y"]
        for _ in range(1500):
            x, y = draw.gauss(0, 1), draw.gauss(0, 1)
            lines.append(f"{x:.5f},{abs(y) * (1 if x > 0 else -1) if together else y:.5f}")
        (watched.root / name).write_text("\n".join(lines) + "\n")
    watched.configure(check_drift={"reference": "before.csv", "joint": {"rows": 1000}})
    assert command(watched.root, "check-drift").code == 3
    found = section(watched)
    assert found["drift"] == {"data": False, "prediction": False, "label": False, "joint": True}
    assert found["joint"]["auc"] > 0.6
    assert command(watched.root, "check-drift", "--set", "check-drift.rows=before.csv").code == 0
